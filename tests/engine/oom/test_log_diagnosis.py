"""The diagnosis of SGLang's last log lines: how memory ran out, which other problem a person can fix, or neither."""

from __future__ import annotations

import signal
from functools import reduce
from pathlib import Path

import pytest

from engine.oom.log_diagnosis import (
    SIGKILL_STATUS,
    LogObservations,
    OomCause,
    RunEnd,
    describe_exit,
    find_known_problem,
    find_oom,
    is_stuck_line,
)

TAILS = Path(__file__).with_name("tails")
READY = LogObservations(has_loaded=True, is_ready=True)


def _death(name: str, status: int = 1, oom_kills: int | None = 0) -> RunEnd:
    lines = (TAILS / f"{name}.log").read_text().splitlines()
    observations = reduce(lambda observed, line: observed.add_line(line), lines, LogObservations())
    return RunEnd(lines, status, observations, oom_kills)


@pytest.mark.parametrize(
    ("name", "cause", "fraction"),
    [
        ("pool-cpu", OomCause.POOL, None),
        ("no-room", OomCause.NO_ROOM, 0.021),
        ("not-enough", OomCause.NO_ROOM, None),
        ("weights", OomCause.WEIGHTS, None),
        ("weights-cpu", OomCause.WEIGHTS, None),
        ("capture", OomCause.CAPTURE, None),
        ("prefill-pool", OomCause.PREFILL, None),
        ("prefill-card", OomCause.PREFILL, None),
        ("prefill-cpu", OomCause.PREFILL, None),
        ("decode-pool", OomCause.DECODE, None),
        ("decode-card", OomCause.DECODE, None),
        ("slots", OomCause.DECODE, None),
        ("prefill-slots", OomCause.PREFILL, None),
        ("decode-slots", OomCause.DECODE, None),
    ],
)
def test_finds_the_cause_of_oom(name: str, cause: OomCause, fraction: float | None) -> None:
    found = find_oom(_death(name, SIGKILL_STATUS))
    assert found is not None
    assert (found.cause, found.fraction) == (cause, fraction)
    assert "memory" in found.line.lower()


@pytest.mark.parametrize(("oom_kills", "expected"), [(1, OomCause.HOST), (None, OomCause.HOST), (0, None)])
def test_kernel_oom_differs_from_a_manual_kill(oom_kills: int | None, expected: OomCause | None) -> None:
    """A child received signal 9 while loading: the kernel's count decides; without a count it counts as OOM."""
    found = find_oom(_death("host-loading", oom_kills=oom_kills))
    assert (found.cause if found is not None else None) == expected


@pytest.mark.parametrize(("oom_kills", "expected"), [(1, OomCause.HOST), (None, None), (0, None)])
def test_kill_of_a_ready_engine(oom_kills: int | None, expected: OomCause | None) -> None:
    for death in (
        _death("scheduler-killed", SIGKILL_STATUS, oom_kills),
        RunEnd(["x"], SIGKILL_STATUS, READY, oom_kills),
    ):
        found = find_oom(death)
        assert (found.cause if found is not None else None) == expected


def test_server_that_kills_itself_is_no_kernel_oom() -> None:
    """Its status is signal 9 whatever ended its child; meanwhile the kernel killed a process of another program."""
    death = _death("corrupt-weights", SIGKILL_STATUS, oom_kills=1)
    assert find_oom(death) is None
    assert str(describe_exit(death)) == "it ended with status 137"
    assert str(describe_exit(RunEnd([], 128 + signal.SIGKILL))) == "it was killed"


def test_one_too_large_request_is_no_oom() -> None:
    death = _death("one-request")
    assert find_oom(death) is None
    assert find_known_problem(death.lines) is None
    assert death.observations.retractions == 1


@pytest.mark.parametrize(
    ("name", "sentence", "hopeless", "damaged"),
    [
        ("corrupt-weights", "damaged or incomplete", True, True),
        ("truncated-weights", "damaged or incomplete", True, True),
        ("no-hub", "the hub cannot be reached", False, False),
        ("port-taken", "took its port", False, False),
        ("unknown-model", "does not know this kind of model", True, False),
        ("no-tokenizer", "lacks its tokenizer", True, True),
        ("bad-config", "config.json contradicts itself", True, True),
    ],
)
def test_known_problems(name: str, sentence: str, hopeless: bool, damaged: bool) -> None:  # noqa: FBT001
    death = _death(name)
    assert find_oom(death) is None
    found = find_known_problem(death.lines)
    assert found is not None
    assert sentence in found.problem.value
    assert (found.outcome != "again", found.outcome == "damaged") == (hopeless, damaged)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("OSError: no-such/model is not a local folder and is not a valid model identifier listed on", "KVASIR_MODEL"),
        ("OSError: [Errno 28] No space left on device: '/tmp/x'", "free some space"),
        ("RuntimeError: The NVIDIA driver on your system is too old (found version 12040).", "kvasir doctor"),
        ("RuntimeError: Found no NVIDIA driver on your system.", "kvasir doctor"),
        ("torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device", "this card"),
        ("huggingface_hub.errors.GatedRepoError: 403 Client Error.", "HF_TOKEN"),
    ],
)
def test_known_problems_by_line(line: str, sentence: str) -> None:
    found = find_known_problem(["x", line, "y"])
    assert found is not None
    assert sentence in found.problem.value


def test_warning_about_the_driver_is_no_problem() -> None:
    """On a CPU, torch warns about an old driver and continues."""
    line = (
        "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version 12040). "
        "Please update your GPU driver"
    )
    assert find_known_problem(["x", line, "y"]) is None


def test_only_a_used_port_leaves_a_stuck_server() -> None:
    lingering = {path.stem for path in TAILS.glob("*.log") if any(map(is_stuck_line, path.read_text().splitlines()))}
    assert lingering == {"port-taken"}


def test_observations_have_sglangs_own_values() -> None:
    seen = _death("port-taken").observations
    assert (seen.kv_tokens, seen.chunk_tokens, seen.running_requests) == (8192, 4096, 8)
    observations = LogObservations().add_line(
        "[2026-11-25 00:52:03] server_args={'model_path': 'm', 'mem_fraction_static': 0.871, 'x': 1}"
    )
    assert observations.memory_fraction == 0.871
