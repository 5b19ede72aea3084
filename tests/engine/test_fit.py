"""The catalogue, and what fits where: every figure against the published tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.catalogue import STAND_IN, VARIANTS, describe, of_served_name, resolve
from engine.errors import EngineRefused
from engine.fit import kv_tokens, plan, why_no_engine
from engine.hardware import Card, Machine, disk_free_bytes, probe

GIB = 1024**3


def _machine(*cards_gib: float, memory_gib: float = 64, system: str = "linux", architecture: str = "x86_64") -> Machine:
    cards = tuple(Card("a card", int(gib * GIB), (9, 0)) for gib in cards_gib)
    return Machine(cards, 8, int(memory_gib * GIB), int(memory_gib * GIB), 500 * GIB, system, architecture)


@pytest.mark.parametrize(
    ("name", "gib", "kv_bytes"),
    [
        ("1.5B", 3.31, 28_672),
        ("7B", 14.19, 57_344),
        ("Llama-8B", 14.96, 131_072),
        ("Qwen3-8B", 15.26, 147_456),
        ("14B", 27.51, 196_608),
        ("32B", 61.03, 262_144),
        ("70B", 131.42, 327_680),
        ("R1", 626.9, 70_272),
    ],
)
def test_sizes(name: str, gib: float, kv_bytes: int) -> None:
    variant = resolve(name)
    assert variant.weights_gib == pytest.approx(gib, rel=0.01)
    assert variant.kv_bytes_per_token == kv_bytes


@pytest.mark.parametrize(
    ("name", "card_gib", "cards", "thousands"),
    [
        ("7B", 23.99, 1, 39), ("7B", 47.99, 1, 489), ("7B", 79.6, 1, 959), ("7B", 79.6, 2, 2180), ("7B", 79.6, 8, 4664),
        ("7B", 140.4, 8, 9218), ("8B", 23.99, 1, 11), ("8B", 47.99, 1, 208), ("8B", 79.6, 1, 413), ("8B", 79.6, 2, 947),
        ("14B", 47.99, 1, 70), ("14B", 79.6, 1, 207), ("14B", 79.6, 2, 563), ("32B", 79.6, 1, 18),
        ("32B", 79.6, 2, 285), ("R1", 140.4, 8, 694), ("R1", 79.6, 16, 349),
    ],
)  # fmt: skip
def test_context_that_is_left(name: str, card_gib: float, cards: int, thousands: int) -> None:
    """SGLang's default reserve on 24, 48, 80 and 141 GB cards."""
    assert kv_tokens(resolve(name), card_gib, cards) / 1000 == pytest.approx(thousands, rel=0.03)


@pytest.mark.parametrize(("name", "card_gib", "cards"), [("14B", 23.99, 1), ("32B", 47.99, 1), ("R1", 79.6, 8)])
def test_what_does_not_fit_is_refused_in_numbers(name: str, card_gib: float, cards: int) -> None:
    with pytest.raises(EngineRefused, match=r"its weights are \d+\.\d GiB.*KVASIR_MODEL"):
        plan(resolve(name), _machine(*[card_gib] * cards))


def test_as_few_cards_as_it_takes() -> None:
    assert plan(resolve("7B"), _machine(*[79.6] * 8)).tensor_parallel == 1
    wide = plan(resolve("32B"), _machine(*[47.99] * 4))
    assert (wide.device, wide.tensor_parallel) == ("cuda", 2)
    assert wide.context_tokens == min(131072, wide.kv_tokens)


def test_without_a_wish_or_a_card_the_stand_in() -> None:
    assert plan(None, _machine()).variant is STAND_IN
    chosen = plan(None, _machine(79.6))
    assert (chosen.variant, chosen.device) == (STAND_IN, "cpu")
    assert "KVASIR_MODEL" in chosen.note


def test_an_r1_without_a_card_is_refused() -> None:
    with pytest.raises(EngineRefused, match=r"14\.19 GiB.*KVASIR_ENGINE_URL"):
        plan(resolve("7B"), _machine())


def test_too_little_memory_for_the_stand_in() -> None:
    with pytest.raises(EngineRefused, match=r"this machine has 2\.0 GiB"):
        plan(None, _machine(memory_gib=2))


@pytest.mark.parametrize(("system", "architecture"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_machines_that_no_engine_runs_on(system: str, architecture: str) -> None:
    machine = _machine(system=system, architecture=architecture)
    assert "KVASIR_ENGINE_URL" in (why_no_engine(machine) or "")
    with pytest.raises(EngineRefused, match="KVASIR_ENGINE_URL"):
        plan(None, machine)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("33B", "DeepSeek-R1-Distill-Qwen-32B"),
        ("13b", "DeepSeek-R1-Distill-Qwen-14B"),
        ("671B", "DeepSeek-R1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "DeepSeek-R1-Distill-Llama-70B"),
        ("Llama-8B", "DeepSeek-R1-Distill-Llama-8B"),
        ("0528-Qwen3-8B", "DeepSeek-R1-0528-Qwen3-8B"),
        ("smollm2", "SmolLM2-135M-Instruct"),
    ],
)
def test_names_that_people_use(said: str, name: str) -> None:
    assert resolve(said).name == name


def test_an_unknown_name_names_its_neighbours() -> None:
    with pytest.raises(EngineRefused, match="DeepSeek-R1-Distill-Qwen-32B"):
        resolve("Distill-Qwen-31B")


def test_no_name_means_two_variants() -> None:
    names = [name for variant in (*VARIANTS, STAND_IN) for name in {variant.name.lower(), *variant.aliases}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("served", "name"),
    [
        ("casperhansen/deepseek-r1-distill-qwen-14b-awq", "DeepSeek-R1-Distill-Qwen-14B"),
        ("RedHatAI/DeepSeek-R1-Distill-Llama-70B-FP8-dynamic", "DeepSeek-R1-Distill-Llama-70B"),
        ("QuixiAI/DeepSeek-R1-0528-AWQ", "DeepSeek-R1-0528"),
        ("nvidia/DeepSeek-R1-0528-NVFP4-v2", "DeepSeek-R1-0528"),
        ("/models/SmolLM2-135M-Instruct/", "SmolLM2-135M-Instruct"),
    ],
)
def test_served_names_of_quantised_checkpoints(served: str, name: str) -> None:
    variant = of_served_name(served)
    assert variant is not None
    assert variant.name == name


@pytest.mark.parametrize("served", ["gpt-4", "DeepSeek-R1-Distill-Mistral-9B", ""])
def test_served_names_that_say_nothing(served: str) -> None:
    assert of_served_name(served) is None


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
    variant = resolve(str(_folder(tmp_path, template, num_key_value_heads=2)))
    assert (variant.reasoning_parser, variant.opens_think) == (parser, opens)
    assert (variant.context_tokens, variant.weights_bytes, variant.kv_bytes_per_token) == (
        2048,
        1024,
        2 * 2 * 2 * 32 * 2,
    )
    assert variant.is_directory


def test_a_folder_with_compressed_context(tmp_path: Path) -> None:
    variant = describe(_folder(tmp_path, "", kv_lora_rank=512, qk_rope_head_dim=64))
    assert (variant.family, variant.kv_bytes_per_token) == ("mla", 2 * 576 * 2)


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "broken", "no text"])
def test_folders_that_hold_no_model(tmp_path: Path, damage: str) -> None:
    folder = _folder(tmp_path, "")
    if damage in {"broken", "no text"}:
        (folder / "config.json").write_text("{" if damage == "broken" else "{}")
    else:
        (folder / damage).unlink()
    with pytest.raises(EngineRefused, match=str(folder)):
        describe(folder)


def test_this_machine(tmp_path: Path) -> None:
    """A machine without a driver has no cards and still has memory, cores and a disk."""
    machine = probe(tmp_path / "not" / "made" / "yet")
    assert machine.cores >= 1
    assert machine.memory_gib > 0.5
    assert disk_free_bytes(tmp_path) > 0
