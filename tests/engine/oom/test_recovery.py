"""The state of the memory ladder: saved over restarts, reset on request, and a larger profile tried once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.notes import join_notes
from engine.oom.ladder import MemoryProfile
from engine.oom.log_diagnosis import LogObservations, OomCause, OomFinding, RunEnd
from engine.oom.recovery import OomRecovery
from engine.oom.state import LadderFile, LadderState, PeakLoad, lower_profile, raise_profile
from engine.planning.cards import parse_machine
from engine.planning.catalogue import resolve_model
from engine.planning.fit import plan_variant

TOP = MemoryProfile("32B in bf16", "cuda", 32768, 0.88, 8192, 256, 64)
PREFILL = OomFinding(OomCause.PREFILL, "Prefill out of memory.")
QUIET = PeakLoad(checks=100, cache_use=0.3)


def _fallen(*found: OomFinding) -> LadderState:
    climb, rung = LadderState(), TOP
    for one in found:
        climb, step = lower_profile(climb, rung, one, ())
        assert step.profile is not None
        rung = step.profile
    return climb


def test_profile_is_saved_for_its_key(tmp_path: Path) -> None:
    climb = _fallen(PREFILL, PREFILL)
    LadderFile(tmp_path / "ladder.json").write_state("a", climb)
    again = LadderFile(tmp_path / "ladder.json")
    assert again.read_state("a") == climb
    assert again.read_state("b") == LadderState()
    again.write_state("b", LadderState(TOP))
    again.write_state("a", LadderState())
    assert again.read_state("a") == LadderState()
    assert again.read_state("b") == LadderState(TOP)
    assert [path.name for path in tmp_path.iterdir()] == ["ladder.json"]
    assert (tmp_path / "ladder.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"a": 1}', '{"a": {"rung": {"x": 1}, "falls": [], "proven": null}}', "[" * 100_000]
)
def test_unreadable_file_counts_as_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "ladder.json").write_text(content)
    file = LadderFile(tmp_path / "ladder.json")
    assert file.read_state("a") == LadderState()
    file.write_state("a", LadderState(TOP))
    assert file.read_state("a") == LadderState(TOP)


def test_number_of_keys_is_limited(tmp_path: Path) -> None:
    file = LadderFile(tmp_path / "ladder.json")
    for n in range(50):
        file.write_state(str(n), LadderState(TOP))
    assert list(json.loads((tmp_path / "ladder.json").read_text()))[-1] == "49"
    assert len(json.loads((tmp_path / "ladder.json").read_text())) == 20


@pytest.mark.parametrize(
    "load",
    [PeakLoad(3, 0.1), PeakLoad(100, 0.51), PeakLoad(100, 0.3, waiting=1), PeakLoad(100, 0.3, retractions=1)],
)
def test_larger_profile_needs_measured_room(load: PeakLoad) -> None:
    assert raise_profile(_fallen(PREFILL), load) is None


def test_no_larger_profile_above_the_plan_or_after_too_large_weights() -> None:
    assert raise_profile(LadderState(), QUIET) is None
    lighter = replace(TOP, weights="32B in fp8")
    climb, step = lower_profile(LadderState(), TOP, OomFinding(OomCause.WEIGHTS, ""), (lighter,))
    assert step.profile is not None
    assert raise_profile(climb, QUIET) is None


def test_failed_larger_profile_is_reverted_and_not_retried() -> None:
    below = _fallen(PREFILL, PREFILL)
    found = raise_profile(below, QUIET)
    assert found is not None
    trying, step = found
    assert step.profile == below.failures[-1].profile == replace(TOP, chunk_tokens=4096)
    assert "30%" in str(step.why)
    back, again = lower_profile(trying, step.profile, OomFinding(OomCause.DECODE, ""), ())
    assert again.profile is not None
    assert again.profile == back.profile == below.profile
    assert raise_profile(back, QUIET) is None


def test_successful_larger_profiles_lead_to_the_plan() -> None:
    climb = _fallen(PREFILL, PREFILL)
    for expected in (replace(TOP, chunk_tokens=4096), TOP):
        found = raise_profile(climb, QUIET)
        assert found is not None
        climb = found[0]
        assert climb.profile == expected
    assert raise_profile(climb, QUIET) is None


def test_successful_trial_ends(tmp_path: Path) -> None:
    """Once it works, the description says nothing, and the next quiet hour confirms the plan's own profile."""
    on = parse_machine("1x80GB")
    made, file = plan_variant(resolve_model("14B"), on), LadderFile(tmp_path / "ladder.json")
    climber = OomRecovery(made, on, file, "x")
    assert climber.decide_restart(RunEnd(["Prefill out of memory."], 1, LogObservations(is_ready=True))) is not None
    assert climber.raise_profile(QUIET) is not None
    assert climber.failure_count == 1
    again = OomRecovery(made, on, file, "x")
    assert "being tried" in join_notes(again.list_notes())
    assert "being tried" in join_notes(again.list_notes(PeakLoad(3, 0.1)))
    assert "being tried" not in join_notes(again.list_notes(QUIET))
    assert again.raise_profile(QUIET) is None
    again.confirm_profile(PeakLoad(3, 0.1))
    assert again.failure_count == 1
    again.confirm_profile(QUIET)
    last = OomRecovery(made, on, file, "x")
    assert (last.failure_count, join_notes(last.list_notes()), last.plan.chunk_tokens) == (
        0,
        join_notes(made.notes),
        made.chunk_tokens,
    )


def test_exhausted_ladder_keeps_its_state() -> None:
    climb = _fallen(PREFILL)
    assert climb.profile is not None
    after, end = lower_profile(climb, climb.profile, OomFinding(OomCause.WEIGHTS, ""), ())
    assert end.profile is None
    assert after == climb
