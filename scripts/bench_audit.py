"""Measure the audit: how long it takes to verify 100,000 entries of three processes, and whether changes are found.

Each change is made to a copy of its own: a flipped byte, a cut tail, two swapped lines, a deleted line, a deleted file.

    scripts/bench_audit.py
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.audit.verification import verify_audit
from tests.audit.writing import list_chains, make_settings

ROOT = Path(__file__).parent.parent
ENTRIES = 100_000
RNG = random.Random(7)


def flip_byte(chain: Path) -> None:
    """Change one byte somewhere."""
    data = bytearray(chain.read_bytes())
    data[RNG.randrange(len(data))] ^= RNG.randrange(1, 256)
    chain.write_bytes(data)


def change_lines(change: Callable[[list[bytes], int], None]) -> Callable[[Path], None]:
    """Return what changes the lines of a file around a random one."""

    def run(chain: Path) -> None:
        lines = chain.read_bytes().splitlines(keepends=True)
        change(lines, RNG.randrange(1, len(lines) - 1))
        chain.write_bytes(b"".join(lines))

    return run


def swap(lines: list[bytes], at: int) -> None:
    """Swap a line with the next one."""
    lines[at], lines[at + 1] = lines[at + 1], lines[at]


CHANGES: dict[str, Callable[[Path], None]] = {
    "a flipped byte": flip_byte,
    "a cut tail": change_lines(lambda lines, at: lines.__delitem__(slice(at, None))),
    "two swapped lines": change_lines(swap),
    "a deleted line": change_lines(lambda lines, at: lines.__delitem__(at)),
    "a deleted file": Path.unlink,
}


def main() -> None:
    """Write, verify, change and verify again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "audit of three")
        folder.mkdir()
        began = time.perf_counter()
        command = [sys.executable, "-m", "tests.audit.writing", str(folder), str(ENTRIES // 3)]
        writers = [subprocess.Popen([*command, mark], cwd=ROOT) for mark in "abc"]
        assert not any(writer.wait() for writer in writers)
        print(f"written in {time.perf_counter() - began:.1f} s by three processes")
        began = time.perf_counter()
        report = verify_audit(make_settings(folder))
        print(f"{report.entries:,} entries verified in {time.perf_counter() - began:.2f} s, problems {report.problems}")
        for label, change in CHANGES.items():
            copy = Path(name, "copy")
            shutil.copytree(folder, copy)
            change(RNG.choice(list_chains(make_settings(copy))))
            problems = verify_audit(make_settings(copy)).problems
            print(f"{label}: {'found' if problems else 'NOT FOUND'}: {problems[:1]}")
            shutil.rmtree(copy)


if __name__ == "__main__":
    main()
