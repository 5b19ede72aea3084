"""Plans: what SGLang accepts, what users require, what is refused with numbers, and common false claims."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.__main__ import build_parser
from engine.notes import join_notes
from engine.planning.candidates import list_layouts
from engine.planning.cards import parse_machine
from engine.planning.catalogue import VARIANTS, explain_nickname, parse_catalogue, resolve_model
from engine.planning.fit import find_best_plan, fit_variant, plan_model, plan_variant
from engine.planning.hardware import GpuCard
from engine.planning.launch import build_environment, build_manual_commands
from engine.planning.memory import Layout, estimate_free_gib, estimate_weights_gib_per_card
from engine.planning.plans import FitResult, LaunchPlan, PlanRequirements
from engine.planning.variant import R1_SCORES, Variant, estimate_quality, estimate_weights_bytes
from tests.engine.machines import machine


def _fit(name: str, where: str, **wish: object) -> FitResult:
    return fit_variant(resolve_model(name), parse_machine(where), PlanRequirements(**wish))  # type: ignore[arg-type]


def _plan(name: str, where: str, **wish: object) -> LaunchPlan:
    found = _fit(name, where, **wish).plan
    assert found is not None
    return found


MACHINES = ["1x24GB", "RTX-4090", "T4", "2xL40S", "3x80GB", "6x48GB", "8xH100", "8xA100", "8xH200", "2x8x80GB"]


@given(
    variant=st.sampled_from(VARIANTS),
    where=st.sampled_from(MACHINES),
    context=st.none() | st.integers(1024, 200_000),
    people=st.integers(1, 300),
    goal=st.sampled_from(["quality", "speed"]),
)
def test_any_plan_is_valid_and_sufficient(
    variant: Variant, where: str, context: int | None, people: int, goal: Literal["quality", "speed"]
) -> None:
    """Heads divide, cards suffice, weights and context fit; otherwise there are reasons with numbers."""
    there = parse_machine(where)
    found = fit_variant(variant, there, PlanRequirements(context, people, goal))
    made = found.plan
    if made is None:
        assert any(letter.isdigit() for letter in found.reasons[0])
        return
    layout = made.layout
    assert layout.cards <= len(there.cards) * there.nodes
    assert variant.heads % layout.tp == 0
    assert variant.kv_heads % layout.tp == 0 or layout.tp % variant.kv_heads == 0
    assert estimate_free_gib(variant, made.weights, there.card_gib, layout) > 0 or made.memory_fraction is not None
    assert made.weights_gib_per_card < there.card_gib
    assert made.people >= people
    assert made.kv_tokens >= (context or 8192) * people
    assert made.context_tokens == context if context else made.context_tokens >= 8192
    assert made.context_tokens <= variant.context_tokens
    assert made.weights.min_capability <= (there.capability or 80)


def test_groups_of_128_are_not_split() -> None:
    """13,824 over eight cards is thirteen and a half groups."""
    assert _plan("14B", "8xH100", precision="int4", people=4000, context_tokens=1024).layout.tp < 8


def test_goal_speed_uses_more_cards_and_fewer_bits() -> None:
    slow, fast = _plan("32B", "8xH100"), _plan("32B", "8xH100", goal="speed")
    assert slow.speed is not None
    assert fast.speed is not None
    assert fast.speed.answer_s < slow.speed.answer_s
    assert fast.layout.cards > slow.layout.cards


def test_many_people_need_copies() -> None:
    assert _plan("7B", "8xH100", people=1000).layout == Layout(tp=4, dp=2)


def test_large_context_of_mla_uses_dp_attention() -> None:
    """Each of eight cards has its own context instead of the same one."""
    made = _plan("R1", "8xH200", people=200)
    assert (made.layout.tp, made.layout.attn_dp, made.layout.ep) == (8, 8, 8)
    argv = " ".join(build_manual_commands(made)[0])
    assert "--tp-size 8 --attn-dp-size 8 --ep-size 8" in argv


def test_two_nodes_have_two_commands() -> None:
    first, second = build_manual_commands(_plan("R1", "2x8x80GB"))
    assert first[-6:] == ("--dist-init-addr", "FIRST_NODE:20000", "--nnodes", "2", "--node-rank", "0")
    assert second[-1] == "1"
    assert first[:-1] == second[:-1]


def test_an_odd_number_of_cards_is_a_pipeline() -> None:
    assert _plan("70B", "3xA100-40GB", precision="fp8").layout == Layout(pp=3)


def test_smaller_reserve_only_if_nothing_else_fits() -> None:
    made = _plan("32B", "1x24GB", people=1)
    assert (made.weights.precision, made.memory_fraction, made.chunk_tokens) == ("int4", 0.871, 2048)
    assert _plan("32B", "1x48GB").memory_fraction is None


def test_offload_on_request() -> None:
    assert _fit("32B", "1x24GB+128GB", precision="fp8").plan is None
    made = _plan("32B", "1x24GB+128GB", precision="fp8", offload=True)
    assert made.offload_gib > 8
    assert made.weights_gib_per_card < 24
    argv = build_manual_commands(made)[0]
    assert argv[argv.index("--cpu-offload-gb") + 1].isdecimal(), "SGLang takes whole numbers there"
    assert _fit("32B", "1x24GB+16GB", precision="fp8", offload=True).plan is None


@pytest.mark.parametrize(
    ("where", "precision", "kv"),
    [("T4", "int4", "auto"), ("RTX-3090", "fp8", "auto"), ("RTX-4090", "bf16", "fp8_e4m3")],
)
def test_formats_by_compute_capability(where: str, precision: str, kv: str) -> None:
    """A T4 runs awq but not marlin; fp8 context needs an Ada."""
    made = _plan("7B", where, people=8)
    assert (made.weights.precision, made.kv_dtype) == (precision, kv)
    assert made.weights.min_capability <= (parse_machine(where).capability or 0)


def test_new_formats_are_not_used_on_old_cards() -> None:
    on_a100 = {one.weights.precision for one in [_plan("R1-0528", "8xA100-80GB")]}
    assert on_a100 == {"int4"}
    assert _plan("R1-0528", "8xH100").weights.precision == "w4afp8"
    assert _fit("R1-0528", "8xA100-80GB", precision="w4afp8").plan is None


def test_auto_chooses_the_best_that_fits() -> None:
    assert find_best_plan(parse_machine("8xH200"), PlanRequirements()).variant.name == "DeepSeek-R1-0528"  # type: ignore[union-attr]
    one = find_best_plan(parse_machine("1x24GB"), PlanRequirements())
    assert one is not None
    others = [
        found.plan
        for found in (fit_variant(v, parse_machine("1x24GB"), PlanRequirements()) for v in VARIANTS)
        if found.plan
    ]
    assert estimate_quality(one.variant, one.weights.precision) == max(
        estimate_quality(made.variant, made.weights.precision) for made in others
    )
    assert plan_model("auto", machine()).variant.small_model
    assert plan_model("Auto", machine(79.6)).device == "cuda"


@pytest.mark.parametrize(
    ("where", "name", "precision"),
    [
        ("1x24GB", "DeepSeek-R1-0528-Qwen3-8B", "fp8"),
        ("1x80GB", "DeepSeek-R1-Distill-Qwen-32B", "fp8"),
        ("2x80GB", "DeepSeek-R1-Distill-Llama-70B", "fp8"),
        ("4x80GB", "DeepSeek-R1-Distill-Llama-70B", "bf16"),
        ("8xA100", "DeepSeek-R1-0528", "int4"),
        ("2x8xH100", "DeepSeek-R1-0528", "fp8"),
    ],
)
def test_lowest_score_ratio_decides(where: str, name: str, precision: str) -> None:
    """0528-Qwen3-8B has a better AIME than the 70B, but a lower GPQA."""
    made = find_best_plan(parse_machine(where), PlanRequirements())
    assert made is not None
    assert (made.variant.name, made.weights.precision) == (name, precision)


def test_missing_score_changes_nothing() -> None:
    small = resolve_model("0528-Qwen3-8B")
    assert estimate_quality(small) == estimate_quality(replace(small, scores={**small.scores, "math500": 90.0}))
    assert estimate_quality(resolve_model("32B")) > estimate_quality(small) > estimate_quality(resolve_model("14B"))


def test_largest_group_of_equal_cards_counts() -> None:
    old, new = GpuCard("old", 24 << 30, (8, 6), uuid="GPU-a"), GpuCard("new", 80 << 30, (9, 0), uuid="GPU-b")
    there = replace(machine(), cards=(old, new, old, replace(new, uuid="GPU-c")))
    made = fit_variant(resolve_model("70B"), there, PlanRequirements()).plan
    assert made is not None
    assert (made.layout.tp, made.visible_cards, made.weights.precision) == (2, ("GPU-b", "GPU-c"), "fp8")
    assert "uses the largest group of equal cards, 2 of 80.0 GiB (new)" in join_notes(made.notes)
    assert build_environment(made, "x", {})["CUDA_VISIBLE_DEVICES"] == "GPU-b,GPU-c"
    assert fit_variant(resolve_model("7B"), machine(79.6, 79.6), PlanRequirements()).plan.visible_cards == ()  # type: ignore[union-attr]
    beside = fit_variant(
        resolve_model("7B"), replace(there, cards=(*[GpuCard("V100", 32 << 30, (7, 0))] * 4, new)), PlanRequirements()
    ).plan
    assert beside is not None
    assert beside.visible_cards == ("GPU-b",), "more of what SGLang does not start on is no more"


def test_experts_in_fp8_need_a_recent_card() -> None:
    """SGLang has Marlin for dense layers on older cards, but nothing for experts."""
    assert _plan("R1", "2x8xA100").weights.precision == "int8"
    assert "needs 8.9 for experts" in _fit("R1", "8xA100").claims[0]
    assert _plan("R1", "2x8xH100").weights.precision == "fp8"
    assert _plan("70B", "2xA100").weights.precision == "fp8"


def test_unstartable_layouts_are_not_planned() -> None:
    assert "from 7.5" in _fit("7B", "V100").reasons[0]
    assert _fit("R1-0528", "2xMI300X", precision="w4afp8").plan is None
    found = list_layouts(resolve_model("70B"), resolve_model("70B").checkpoints[0], parse_machine("40x4x24GB"))
    assert max(one.pp for one in found) == 80, "no more groups than layers"


def test_fullest_group_of_a_pipeline_has_an_embedding() -> None:
    large = resolve_model("32B")
    whole, outer = (
        estimate_weights_gib_per_card(large, large.checkpoints[0], Layout()),
        2 * large.embedding_parameters / 1024**3,
    )
    assert estimate_weights_gib_per_card(large, large.checkpoints[0], Layout(pp=4)) == pytest.approx(
        (whole - outer) / 4 + outer / 2
    )


def test_named_model_starts_for_one_person() -> None:
    """A named model starts even if it fits for only one person at a time."""
    assert plan_variant(resolve_model("32B"), parse_machine("1x24GB")).people == 1


def test_weights_are_loaded_before_sglang_quantizes_them() -> None:
    """On 16 GB the quantized 8.8 GiB would fit, but the 15.3 GiB of loading do not."""
    found = _fit("0528-Qwen3-8B", "1x16GB", people=1)
    assert found.plan is None
    assert "Loading takes 15.3 GiB" in found.reasons[1]
    assert _plan("0528-Qwen3-8B", "1x24GB").weights.quantization == "fp8"
    little = replace(machine(24), disk_free_bytes=10 * 1024**3)
    found = fit_variant(resolve_model("0528-Qwen3-8B"), little, PlanRequirements())
    assert found.plan is not None
    assert "The weights take 15 GiB of disk" in join_notes(found.plan.notes)


@pytest.mark.parametrize(
    ("name", "where", "wish"),
    [
        ("0528-Qwen3-8B", "1x16GB", PlanRequirements(people=1)),
        ("R1", "8xA100-80GB", PlanRequirements(people=7, precision="fp8", goal="speed")),
        ("70B", "1x24GB", PlanRequirements(people=1, precision="int4")),
        ("8B", "1x16GB", PlanRequirements(context_tokens=100_000, people=1)),
        ("70B", "1x24GB+8GB", PlanRequirements(context_tokens=9000, offload=True)),
    ],
)
def test_suggested_command_shows_the_suggested_plan(name: str, where: str, wish: PlanRequirements) -> None:
    found = fit_variant(resolve_model(name), parse_machine(where), wish)
    near = found.nearest
    assert near is not None
    command = re.search("`kvasir (fit [^`]+)`", found.reasons[-1])
    assert command is not None
    said = build_parser().parse_args(command[1].split())
    requirements = PlanRequirements(said.context, said.people, said.goal, said.precision, said.offload)
    assert fit_variant(resolve_model(said.variant), parse_machine(where), requirements).plan == near


def test_nearest_plan() -> None:
    found = _fit("R1", "8xA100-80GB", precision="fp8")
    assert found.nearest is not None
    assert (found.nearest.variant.name, found.nearest.weights.precision) == ("DeepSeek-R1", "int4")
    smaller = _fit("R1", "1x80GB")
    assert smaller.nearest is not None
    assert smaller.nearest.variant.name in smaller.reasons[-1]
    assert _fit("1.5B", "1x2GB").nearest is None


@pytest.mark.parametrize(("precision", "gib", "share"), [("bf16", "1249.9", "156.2"), ("fp8", "626.8", "78.4")])
def test_false_claim_about_the_671b_on_eight_a100(precision: str, gib: str, share: str) -> None:
    for name in ("R1", "R1-0528"):
        found = _fit(name, "8xA100-80GB", precision=precision)
        assert found.plan is None
        (claim,) = found.claims
        assert "false" in claim
        assert gib in claim
        assert share in claim
    assert _fit("R1", "8xH200").claims[0].count("FP16") == 2, "in FP16 it is false there too, in FP8 it is true"


@pytest.mark.parametrize(("name", "saving"), [("1.5B", 55), ("7B", 63), ("14B", 66), ("32B", 71), ("70B", 72)])
def test_false_claim_about_four_bits(name: str, saving: int) -> None:
    (claim,) = _fit(name, "1x80GB", precision="int4").claims
    assert f"it saves {saving} %" in claim
    assert "75 %" in claim


@pytest.mark.parametrize("precision", ["bf16", "fp8", "int8", "int4", None])
def test_false_claim_about_the_32b_on_24_gb(precision: str | None) -> None:
    claims = " ".join(_fit("33B", "1x24GB", precision=precision).claims)
    assert "on one card of 24.0 GiB with SGLang's defaults" in claims
    assert "25.6 GiB" in claims


def test_true_claims_are_not_denied() -> None:
    assert _fit("14B", "1x80GB").claims == ()
    assert _fit("32B", "1x80GB").claims == ()


def test_distills_with_nine_tenths_of_r1() -> None:
    """By the mean of all four scores, which these published."""
    distills = [v for v in VARIANTS if "Distill" in v.name]
    names = {v.name for v in distills if sum(v.scores[name] / R1_SCORES[name] for name in R1_SCORES) / 4 >= 0.9}
    assert names == {"DeepSeek-R1-Distill-Llama-70B", "DeepSeek-R1-Distill-Qwen-32B"}


def test_nicknames_33b_and_13b() -> None:
    assert "DeepSeek-R1-Distill-Qwen-32B, which has 32.8 billion" in (explain_nickname("33B") or "")
    assert "DeepSeek-R1-Distill-Qwen-14B, which has 14.8 billion" in (explain_nickname("13b") or "")
    assert explain_nickname("32B") is None


@pytest.mark.parametrize(
    ("slip", "message"),
    [
        ("layers = 1\nlayer = 2", "unknown layer"),
        ("layers = 'many'", "layers"),
        ("layers = 1\nkv_heads = 3", "no multiple"),
        ("layers = 1\ncheckpoints = []", "no checkpoint"),
        ("layers = 1\nparameters = 5", "larger than the model"),
    ],
)
def test_typo_in_the_catalogue_is_an_error(slip: str, message: str) -> None:
    entry = {
        "name": "'x'", "hf_id": "'x/x'", "aliases": "[]", "hidden_size": "8", "heads": "4", "kv_heads": "2",
        "vocab": "10", "parameters": "1000", "context_tokens": "1", "licence": "'MIT'",
        "checkpoints": "[{ repo = 'x/x', precision = 'bf16' }]",
    }  # fmt: skip
    named = {line.split(" = ")[0] for line in slip.splitlines()}
    lines = [f"{key} = {value}" for key, value in entry.items() if key not in named]
    with pytest.raises(ValueError, match=message):
        parse_catalogue("\n".join(["[[variant]]", *lines, slip]))


def test_link_of_cards_decides_speed_and_their_use_does_not_count() -> None:
    """Without NVLink the same cards are slower; memory in use now does not change a plan."""
    card = GpuCard("NVIDIA A100-SXM4-80GB", int(79.6 * 1024**3), (8, 0), 79 << 30, link="nvlink", uuid="GPU-a")
    linked, alone, busy = (
        fit_variant(resolve_model("70B"), replace(machine(), cards=(one,) * 4), PlanRequirements(precision="bf16")).plan
        for one in (card, replace(card, link="pcie"), replace(card, free_bytes=50 << 30))
    )
    assert linked is not None
    assert alone is not None
    assert busy is not None
    assert linked.speed is not None
    assert alone.speed is not None
    assert linked.speed.answer_s < alone.speed.answer_s
    assert busy == linked
    assert build_environment(linked, "x", {})["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert (
        build_environment(linked, "x", {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"})["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
    )


def test_cards_of_other_vendors_get_a_command_and_a_note() -> None:
    made = _plan("70B", "8xMI300X")
    assert (made.device, "KVASIR_ENGINE_URL" in join_notes(made.notes)) == ("cuda", True)
    assert _plan("14B", "2xMAX-1550").device == "xpu"


def test_missing_disk_space_is_noted_on_a_probed_machine() -> None:
    full = replace(machine(79.6), disk_free_bytes=10 * 1024**3)
    found = fit_variant(resolve_model("32B"), full, PlanRequirements())
    assert found.plan is not None
    assert "10 GiB are free" in join_notes(found.plan.notes)


def test_dp_attention_keeps_its_weights_on_each_card() -> None:
    """Their size follows from the shape."""
    r1 = resolve_model("R1")
    q_lora, kv_lora, rope, nope, value = 1536, 512, 64, 128, 128
    attention = r1.hidden_size * q_lora + q_lora * r1.heads * (nope + rope) + r1.hidden_size * (kv_lora + rope)
    attention += kv_lora * r1.heads * (nope + value) + r1.heads * value * r1.hidden_size
    spread = estimate_weights_gib_per_card(r1, r1.checkpoints[0], Layout(tp=8, attn_dp=8))
    plain = estimate_weights_gib_per_card(r1, r1.checkpoints[0], Layout(tp=8))
    a_byte = estimate_weights_bytes(r1, r1.checkpoints[0]) / r1.parameters
    assert (spread - plain) * 1024**3 == pytest.approx(attention * r1.layers * a_byte * 7 / 8, rel=0.001)
