"""The log tail: limited lines, no secrets, and a summary of the failure."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.oom.log_tail import LogFile, LogTail, find_milestone, summarize_failure

SGLANG = """\
/env/sglang/srt/layers/quantization/awq/awq.py:53: UserWarning: Only CUDA, HIP and XPU support AWQ currently.
  warnings.warn(f"Only CUDA, HIP and XPU support AWQ currently.")
[2026-11-24 17:57:02] server_args={'model_path': 'smol', 'api_key': 'sekret'}
[2026-11-24 17:57:28] Load weight begin. avail mem=19.96 GB
Multi-thread loading shards: 100% Completed | 1/1 [00:00<00:00,  4.05it/s]
[2026-11-24 17:57:31] Scheduler hit an exception: Traceback (most recent call last):
  File "/env/sglang/srt/managers/scheduler.py", line 3000, in run_scheduler_process
    scheduler = Scheduler(
                ^^^^^^^^^^
RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. Current value: 0.3
[2026-11-24 17:57:31] INFO:     127.0.0.1:59142 - "POST /generate HTTP/1.1" 200 OK
Killed
"""


@given(st.text(max_size=300), st.lists(st.integers(0, 2000), max_size=20))
def test_any_chunks_give_the_same_lines(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    whole, pieces = LogTail(), LogTail()
    lines = whole.decode(data) + whole.flush()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    assert [line for a, b in pairwise(places) for line in pieces.decode(data[a:b])] + pieces.flush() == lines


def test_summary_is_the_exception() -> None:
    tail = LogTail(["sekret"])
    tail.decode(SGLANG.encode())
    assert summarize_failure(tail.lines).startswith("RuntimeError: Not enough memory.")
    assert "sekret" not in "".join(tail.lines)


def test_summary_without_an_exception_has_the_last_meaningful_lines() -> None:
    assert summarize_failure(["[2026-11-24 17:57:31] loading", "", "  warnings.warn(", "INFO:     x"]) == "loading"
    assert summarize_failure(["/bin/python: No module named sglang"]) == "/bin/python: No module named sglang"
    assert summarize_failure([]) == "it logged nothing"


def test_lines_and_summary_are_limited() -> None:
    """Long lines and many lines are cut, and the summary stays short."""
    tail = LogTail()
    for _ in range(300):
        tail.decode(b"x" * 1000 + b" " + b"RuntimeError: " * 10)
    tail.decode(b"y\n" * 5000)
    assert len(tail.lines) <= 200
    assert max(map(len, tail.lines)) <= 2000
    assert len(summarize_failure(["RuntimeError: " + "z" * 5000])) <= 500


def test_milestones_only_rise() -> None:
    shares = [found[0] for line in SGLANG.splitlines() if (found := find_milestone(line))]
    assert shares == sorted(shares)
    assert len(shares) == 2


def test_log_file_is_limited_and_ignores_a_bad_path(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "engine.log", max_bytes=1000)
    for n in range(200):
        log.write_line(f"line {n} " + "x" * 20)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"engine.log", "engine.log.1"}
    assert max(sizes.values()) < 1100
    assert (tmp_path / "engine.log").read_text().rstrip().splitlines()[-1].startswith("line 199")
    LogFile(tmp_path / "nowhere" / "engine.log").write_line("lost")
