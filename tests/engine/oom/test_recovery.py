"""Where the ladder stands: remembered over restarts, taken back on request, and a rung up tried once, in peace."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.oom.ladder import NoRungLeft, Rung, Step
from engine.oom.log_diagnosis import Cause, Death, Finding, Observed
from engine.oom.recovery import Climber
from engine.oom.state import Climb, ClimbFile, Load, down, up
from engine.planning.cards import parse_machine
from engine.planning.catalogue import resolve
from engine.planning.fit import plan

TOP = Rung("32B in bf16", "cuda", 32768, 0.88, 8192, 256, 64)
PREFILL = Finding(Cause.PREFILL, "Prefill out of memory.")
QUIET = Load(looks=100, peak_use=0.3)


def _fallen(*found: Finding) -> Climb:
    climb, rung = Climb(), TOP
    for one in found:
        climb, step = down(climb, rung, one, ())
        assert isinstance(step, Step)
        rung = step.rung
    return climb


def test_a_rung_down_is_remembered_for_its_key_alone(tmp_path: Path) -> None:
    climb = _fallen(PREFILL, PREFILL)
    ClimbFile(tmp_path / "ladder.json").write("a", climb)
    again = ClimbFile(tmp_path / "ladder.json")
    assert again.read("a") == climb
    assert again.read("b") == Climb()
    again.write("b", Climb(TOP))
    again.forget("a")
    assert again.read("a") == Climb()
    assert again.read("b") == Climb(TOP)
    assert [path.name for path in tmp_path.iterdir()] == ["ladder.json"]
    assert (tmp_path / "ladder.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"a": 1}', '{"a": {"rung": {"x": 1}, "falls": [], "proven": null}}', "[" * 100_000]
)
def test_a_file_that_cannot_be_read_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "ladder.json").write_text(content)
    file = ClimbFile(tmp_path / "ladder.json")
    assert file.read("a") == Climb()
    file.write("a", Climb(TOP))
    assert file.read("a") == Climb(TOP)


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    file = ClimbFile(tmp_path / "ladder.json")
    for n in range(50):
        file.write(str(n), Climb(TOP))
    assert list(json.loads((tmp_path / "ladder.json").read_text()))[-1] == "49"
    assert len(json.loads((tmp_path / "ladder.json").read_text())) == 20


@pytest.mark.parametrize(
    "load",
    [Load(3, 0.1), Load(100, 0.51), Load(100, 0.3, peak_waiting=1), Load(100, 0.3, retractions=1)],
)
def test_no_rung_up_without_room_that_was_measured(load: Load) -> None:
    assert up(_fallen(PREFILL), load) is None


def test_no_rung_up_from_the_top_or_to_weights_that_do_not_fit() -> None:
    assert up(Climb(), QUIET) is None
    lighter = replace(TOP, weights="32B in fp8")
    climb, step = down(Climb(), TOP, Finding(Cause.WEIGHTS, ""), (lighter,))
    assert isinstance(step, Step)
    assert up(climb, QUIET) is None


def test_a_rung_up_that_fails_goes_straight_back_and_is_not_tried_again() -> None:
    below = _fallen(PREFILL, PREFILL)
    found = up(below, QUIET)
    assert found is not None
    trying, step = found
    assert step.rung == below.falls[-1].rung == replace(TOP, chunk_tokens=4096)
    assert "30%" in step.why
    back, again = down(trying, step.rung, Finding(Cause.DECODE, ""), ())
    assert isinstance(again, Step)
    assert again.rung == back.rung == below.rung
    assert up(back, QUIET) is None


def test_rungs_up_that_hold_lead_to_the_top() -> None:
    climb = _fallen(PREFILL, PREFILL)
    for wanted in (replace(TOP, chunk_tokens=4096), TOP):
        found = up(climb, QUIET)
        assert found is not None
        climb = found[0]
        assert climb.rung == wanted
    assert up(climb, QUIET) is None


def test_the_last_rung_up_is_not_being_tried_for_ever(tmp_path: Path) -> None:
    """Once it has held, nothing is said of it, and the next quiet hour takes it for the plan's own."""
    on = parse_machine("1x80GB")
    made, file = plan(resolve("14B"), on), ClimbFile(tmp_path / "ladder.json")
    climber = Climber(made, on, file, "x")
    assert climber.judge(Death(["Prefill out of memory."], 1, Observed(ready=True))) is not None
    assert climber.step_up(QUIET) is not None
    assert climber.rungs_down == 1
    again = Climber(made, on, file, "x")
    assert "being tried" in again.note()
    assert "being tried" in again.note(Load(3, 0.1))
    assert "being tried" not in again.note(QUIET)
    assert again.step_up(QUIET) is None
    again.settle(Load(3, 0.1))
    assert again.rungs_down == 1
    again.settle(QUIET)
    last = Climber(made, on, file, "x")
    assert (last.rungs_down, last.note(), last.plan.chunk_tokens) == (0, made.note, made.chunk_tokens)


def test_no_rung_left_keeps_what_is_known() -> None:
    climb = _fallen(PREFILL)
    assert climb.rung is not None
    after, end = down(climb, climb.rung, Finding(Cause.WEIGHTS, ""), ())
    assert isinstance(end, NoRungLeft)
    assert after == climb
