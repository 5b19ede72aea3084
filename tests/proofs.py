"""Records what each test showed, and checks what all runs leave unproven: ``python -m tests.proofs FOLDER``.

With ``TEST_RESULTS=FOLDER``, each run of pytest writes a file of JSON lines into the folder. The check fails if
a test was skipped that no rule below allows, or if a promise of docs/threat-model.md has no test that passed. It also
lists the tests that ran twice, and those that took longest.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_FOLDER = os.environ.pop("TEST_RESULTS", "")
"""Taken out of the environment, so that a pytest which a test starts writes nothing there."""
ALLOWED_SKIPS = {
    "tests/deploy/test_deploy_nodes.py": "the environment of the engine is made at another time",
    "tests/sources/folder/test_folder.py": "root may read everything",
    "tests/stores/lancedb/test_lancedb.py": "root may write everywhere; a read-only disk is tested instead",
    "tests/stores/test_contract.py": "a store in memory has no second process",
    "tests/sync/test_lease.py": "SQLite has one writer at a time",
    "tests/sync/test_watch.py": "root may read everything",
    "tests/web/searching/test_contract.py": "some search providers have no key",
}
"""The files in which a run as root, with namespaces, may skip a test."""
Promises = Mapping[str, str]


@dataclass(frozen=True)
class Phase:
    """What one phase of a test showed: its setup, the test itself, or the teardown."""

    test: str
    phase: str
    outcome: str
    duration_s: float
    reason: str = ""


@dataclass
class Check:
    """What the results of all runs leave unproven, and what a reader of them wants to know."""

    faults: list[str] = field(default_factory=list)
    reruns: list[str] = field(default_factory=list)
    slowest: list[tuple[float, str]] = field(default_factory=list)


def record_report(report: pytest.TestReport) -> None:
    """Write a phase of a test into the folder of the results, if there is one."""
    if _FOLDER:
        reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
        phase = Phase(report.nodeid, report.when, report.outcome, round(report.duration, 3), reason)
        Path(_FOLDER).mkdir(parents=True, exist_ok=True)
        with (Path(_FOLDER) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(phase)) + "\n")


def read_results(folder: Path) -> list[Phase]:
    """Return what all runs wrote into a folder."""
    lines = (line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines())
    return [Phase(**json.loads(line)) for line in lines]


def read_promises() -> Promises:
    """Return the promises of docs/threat-model.md with the file or the function that tests each of them."""
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    table = text.partition("## Which promises does Kvasir make?")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.split("|")] for row in table.splitlines() if row.startswith("| ")]
    return {row[1]: row[3].strip("`") for row in rows if row[3] != "test" and set(row[1]) != {"-"}}


def check_results(phases: Iterable[Phase], promises: Promises) -> Check:
    """Compare what tests showed with the promises and the allowed skips."""
    check = Check()
    durations_s: dict[str, float] = defaultdict(float)
    passed, skipped = set(), {}
    for phase in phases:
        durations_s[phase.test] += phase.duration_s
        if phase.outcome == "rerun":
            check.reruns.append(phase.test)
        elif phase.outcome == "skipped":
            skipped[phase.test] = phase.reason
        elif phase.phase == "call" and phase.outcome == "passed":
            passed.add(phase.test)
    for test, reason in sorted(skipped.items()):
        if test.partition("::")[0] not in ALLOWED_SKIPS:
            check.faults.append(f"{test} was skipped ({reason}), which tests/proofs.py does not allow")
    for promise, place in promises.items():
        own = {test for test in {*passed, *skipped} if is_at(test, place)}
        if not own & passed or any(test.partition("::")[0] not in ALLOWED_SKIPS for test in own & skipped.keys()):
            check.faults.append(f"no run proved {promise!r} ({place})")
    check.slowest = sorted(((duration_s, test) for test, duration_s in durations_s.items()), reverse=True)
    return check


def is_at(test: str, place: str) -> bool:
    """Return whether a test stands in a file, or is a function or one of its cases."""
    return re.fullmatch(rf"{re.escape(place)}(::.*|\[.*)?", test) is not None


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slowest", type=int, default=20)
    arguments = parser.parse_args()
    check = check_results(read_results(arguments.folder), read_promises())
    lines = [f"{duration_s:6.1f} s  {test}" for duration_s, test in check.slowest[: arguments.slowest]]
    lines += [f"ran twice: {test}" for test in check.reruns] + [f"unproven: {fault}" for fault in check.faults]
    print("\n".join(lines))  # noqa: T201
    return 1 if check.faults else 0


if __name__ == "__main__":
    sys.exit(_main())
