"""Makes audits for tests, and writes one as a process of its own: ``python -m tests.audit.writing FOLDER COUNT``."""

from __future__ import annotations

import sys
from pathlib import Path

from bot.audit.recorder import AuditRecorder
from bot.audit.settings import AuditSettings


def make_settings(folder: Path, **more: object) -> AuditSettings:
    """Return the settings of an audit in a folder."""
    return AuditSettings(folder / "audit", folder / "audit.key", **more)  # type: ignore[arg-type]


def write_entries(settings: AuditSettings, count: int, *, mark: str = "a") -> None:
    """Write entries as one process does from its start to its end."""
    recorder = AuditRecorder(settings)
    for number in range(count):
        assert recorder.write([{"event": "action", "at": "2026-11-30T10:00:00.000+00:00", "mark": mark, "n": number}])
    recorder.close()


def list_chains(settings: AuditSettings) -> list[Path]:
    """Return the files with chains."""
    return sorted(path for path in settings.folder.glob("*.jsonl") if not path.name.startswith("heads"))


if __name__ == "__main__":
    write_entries(make_settings(Path(sys.argv[1])), int(sys.argv[2]), mark=sys.argv[3])
