"""The memory ladder: one change at a time, in the advised order, without repetition, and always ending."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.oom.ladder import (
    MAX_FAILURES,
    MemoryProfile,
    ProfileChange,
    ProfileFailure,
    choose_lower_profile,
    complete_profile,
    would_fail,
)
from engine.oom.lighter_plans import apply_profile, build_ladder_key, extract_profile, find_lighter_plans
from engine.oom.log_diagnosis import LogObservations, OomCause, OomFinding
from engine.planning.cards import parse_machine
from engine.planning.catalogue import resolve_model
from engine.planning.fit import plan_variant

GPU = MemoryProfile("32B in bf16", "cuda", 32768, 0.88, 8192, 256, 64)
CPU = MemoryProfile("small", "cpu", 8192, 0.3, running_requests=8, total_tokens=200_000)
LOWER = (replace(GPU, weights="32B in fp8"), replace(GPU, weights="14B in bf16"))


def _step(
    failed: MemoryProfile, cause: OomCause, *falls: ProfileFailure, fraction: float | None = None
) -> ProfileChange:
    step = choose_lower_profile(failed, OomFinding(cause, "RuntimeError: it said so", fraction), falls, LOWER)
    assert step.profile is not None, step
    return step


@pytest.mark.parametrize(
    ("cause", "failed", "expected"),
    [
        (OomCause.NO_ROOM, GPU, replace(GPU, memory_fraction=0.89)),
        (OomCause.POOL, GPU, replace(GPU, memory_fraction=0.84)),
        (OomCause.CAPTURE, GPU, replace(GPU, memory_fraction=0.84)),
        (OomCause.PREFILL, GPU, replace(GPU, chunk_tokens=4096)),
        (OomCause.DECODE, GPU, replace(GPU, running_requests=32)),
        (OomCause.WEIGHTS, GPU, LOWER[0]),
        (OomCause.HOST, CPU, replace(CPU, total_tokens=100_000)),
        (OomCause.POOL, CPU, replace(CPU, total_tokens=100_000)),
    ],
)
def test_first_change_by_cause(cause: OomCause, failed: MemoryProfile, expected: MemoryProfile) -> None:
    assert _step(failed, cause).profile == expected


def test_suggested_fraction_is_used() -> None:
    step = _step(GPU, OomCause.NO_ROOM, fraction=0.912)
    assert step.profile.memory_fraction == 0.922
    assert "memory fraction 0.88 → 0.922" in str(step.why)


def test_fraction_between_two_failures_is_not_retried() -> None:
    """0.86 is too low and 0.88 too high, so the graphs are reduced."""
    low = ProfileFailure(replace(GPU, memory_fraction=0.86), OomCause.NO_ROOM, "")
    step = _step(GPU, OomCause.CAPTURE, low)
    assert step.profile == replace(GPU, decode_batch=128)


def test_change_starts_from_sglangs_own_values() -> None:
    left = replace(GPU, memory_fraction=None, chunk_tokens=None, running_requests=None)
    ran = complete_profile(
        left, LogObservations(memory_fraction=0.871, chunk_tokens=8192, running_requests=2048, kv_tokens=99_000)
    )
    assert (ran.memory_fraction, ran.chunk_tokens, ran.running_requests, ran.total_tokens) == (0.871, 8192, 2048, 99000)
    assert _step(ran, OomCause.CAPTURE).profile.memory_fraction == 0.831


def test_lighter_weights_come_last() -> None:
    small = MemoryProfile("x", "cuda", 4096, 0.32, 512, 4, 1, 2048, "fp8_e4m3")
    assert _step(small, OomCause.PREFILL).profile == LOWER[0]
    end = choose_lower_profile(small, OomFinding(OomCause.PREFILL, "Prefill out of memory."), (), ())
    assert end.profile is None
    assert "prefill chunk 512" in str(end.why)
    assert "Prefill out of memory." in str(end.why)
    assert "KVASIR_MODEL" in str(end.why)


_COUNTS = st.one_of(st.none(), st.integers(1, 20_000))
_RUNGS = st.builds(
    MemoryProfile,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["cpu", "cuda"]),
    st.integers(512, 200_000),
    st.one_of(st.none(), st.integers(10, 99).map(lambda n: n / 100)),
    _COUNTS,
    _COUNTS,
    _COUNTS,
    _COUNTS,
    st.sampled_from(["auto", "fp8_e4m3"]),
)
_FINDINGS = st.builds(
    OomFinding,
    st.sampled_from(OomCause),
    st.just("x"),
    st.one_of(st.none(), st.floats(0, 1).map(lambda x: round(x, 3))),
)


@given(_RUNGS, st.lists(_FINDINGS, min_size=MAX_FAILURES + 5, max_size=MAX_FAILURES + 5), st.lists(_RUNGS, max_size=3))
def test_any_failures_end_without_repeating_a_failed_profile(
    rung: MemoryProfile, failures: list[OomFinding], lower: list[MemoryProfile]
) -> None:
    falls: list[ProfileFailure] = []
    for found in failures:
        step = choose_lower_profile(rung, found, falls, lower)
        falls.append(ProfileFailure(rung, found.cause, str(step.why)))
        if step.profile is None:
            break
        assert str(step.why)
        assert not any(would_fail(step.profile, fall) for fall in falls)
        assert step.profile not in [fall.profile for fall in falls]
        rung = step.profile
    else:
        pytest.fail("it does not end")
    assert len(falls) <= MAX_FAILURES + 1


@given(_RUNGS, st.sampled_from(OomCause))
def test_failed_profile_would_fail_again(rung: MemoryProfile, cause: OomCause) -> None:
    assert would_fail(rung, ProfileFailure(rung, cause, ""))


@pytest.mark.parametrize(("variant", "machine"), [("32B", "1x80GB"), ("R1", "8xH200"), ("1.5B", "1x24GB")])
def test_plans_and_profiles_convert_both_ways(variant: str, machine: str) -> None:
    """A changed profile changes the plan; lighter plans are lighter and fit."""
    on = parse_machine(machine)
    made = plan_variant(resolve_model(variant), on)
    rung = extract_profile(made)
    plans = (made, *find_lighter_plans(made, on))
    assert apply_profile(rung, plans) == made
    changed = apply_profile(replace(rung, chunk_tokens=1024, kv_dtype="fp8_e4m3", running_requests=3), plans)
    assert changed is not None
    assert (changed.chunk_tokens, changed.kv_dtype, changed.running_requests) == (1024, "fp8_e4m3", 3)
    for less in plans[1:]:
        assert less.weights_gib_per_card < made.weights_gib_per_card
        assert apply_profile(extract_profile(less), plans) == less
    assert apply_profile(replace(rung, weights="gone"), plans) is None


def test_folders_of_the_same_name_have_separate_ladders() -> None:
    on = parse_machine("1x80GB")
    made = plan_variant(resolve_model("7B"), on)
    first, second = (replace(made, variant=replace(made.variant, name="r1", hf_id=f"/{at}/r1")) for at in "ab")
    assert build_ladder_key(first, on, "x") != build_ladder_key(second, on, "x")
    assert build_ladder_key(made, on, "x") != build_ladder_key(made, parse_machine("2x80GB"), "x")
