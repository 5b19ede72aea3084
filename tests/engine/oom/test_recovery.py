"""Where the ladder stands: remembered over restarts, taken back on request, and a rung up tried once, in peace."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

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


def test_a_rung_down_is_remembered_for_its_key_alone(tmp_path: Path) -> None:
    climb = _fallen(PREFILL, PREFILL)
    LadderFile(tmp_path / "ladder.json").write("a", climb)
    again = LadderFile(tmp_path / "ladder.json")
    assert again.read("a") == climb
    assert again.read("b") == LadderState()
    again.write("b", LadderState(TOP))
    again.remove("a")
    assert again.read("a") == LadderState()
    assert again.read("b") == LadderState(TOP)
    assert [path.name for path in tmp_path.iterdir()] == ["ladder.json"]
    assert (tmp_path / "ladder.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"a": 1}', '{"a": {"rung": {"x": 1}, "falls": [], "proven": null}}', "[" * 100_000]
)
def test_a_file_that_cannot_be_read_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "ladder.json").write_text(content)
    file = LadderFile(tmp_path / "ladder.json")
    assert file.read("a") == LadderState()
    file.write("a", LadderState(TOP))
    assert file.read("a") == LadderState(TOP)


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    file = LadderFile(tmp_path / "ladder.json")
    for n in range(50):
        file.write(str(n), LadderState(TOP))
    assert list(json.loads((tmp_path / "ladder.json").read_text()))[-1] == "49"
    assert len(json.loads((tmp_path / "ladder.json").read_text())) == 20


@pytest.mark.parametrize(
    "load",
    [PeakLoad(3, 0.1), PeakLoad(100, 0.51), PeakLoad(100, 0.3, waiting=1), PeakLoad(100, 0.3, retractions=1)],
)
def test_no_rung_up_without_room_that_was_measured(load: PeakLoad) -> None:
    assert raise_profile(_fallen(PREFILL), load) is None


def test_no_rung_up_from_the_top_or_to_weights_that_do_not_fit() -> None:
    assert raise_profile(LadderState(), QUIET) is None
    lighter = replace(TOP, weights="32B in fp8")
    climb, step = lower_profile(LadderState(), TOP, OomFinding(OomCause.WEIGHTS, ""), (lighter,))
    assert step.profile is not None
    assert raise_profile(climb, QUIET) is None


def test_a_rung_up_that_fails_goes_straight_back_and_is_not_tried_again() -> None:
    below = _fallen(PREFILL, PREFILL)
    found = raise_profile(below, QUIET)
    assert found is not None
    trying, step = found
    assert step.profile == below.failures[-1].profile == replace(TOP, chunk_tokens=4096)
    assert "30%" in step.why
    back, again = lower_profile(trying, step.profile, OomFinding(OomCause.DECODE, ""), ())
    assert again.profile is not None
    assert again.profile == back.profile == below.profile
    assert raise_profile(back, QUIET) is None


def test_rungs_up_that_hold_lead_to_the_top() -> None:
    climb = _fallen(PREFILL, PREFILL)
    for wanted in (replace(TOP, chunk_tokens=4096), TOP):
        found = raise_profile(climb, QUIET)
        assert found is not None
        climb = found[0]
        assert climb.profile == wanted
    assert raise_profile(climb, QUIET) is None


def test_the_last_rung_up_is_not_being_tried_for_ever(tmp_path: Path) -> None:
    """Once it has held, nothing is said of it, and the next quiet hour takes it for the plan's own."""
    on = parse_machine("1x80GB")
    made, file = plan_variant(resolve_model("14B"), on), LadderFile(tmp_path / "ladder.json")
    climber = OomRecovery(made, on, file, "x")
    assert climber.decide_restart(RunEnd(["Prefill out of memory."], 1, LogObservations(is_ready=True))) is not None
    assert climber.raise_profile(QUIET) is not None
    assert climber.failure_count == 1
    again = OomRecovery(made, on, file, "x")
    assert "being tried" in again.describe()
    assert "being tried" in again.describe(PeakLoad(3, 0.1))
    assert "being tried" not in again.describe(QUIET)
    assert again.raise_profile(QUIET) is None
    again.confirm_profile(PeakLoad(3, 0.1))
    assert again.failure_count == 1
    again.confirm_profile(QUIET)
    last = OomRecovery(made, on, file, "x")
    assert (last.failure_count, last.describe(), last.plan.chunk_tokens) == (0, made.note, made.chunk_tokens)


def test_no_rung_left_keeps_what_is_known() -> None:
    climb = _fallen(PREFILL)
    assert climb.profile is not None
    after, end = lower_profile(climb, climb.profile, OomFinding(OomCause.WEIGHTS, ""), ())
    assert end.profile is None
    assert after == climb
