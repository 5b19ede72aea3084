"""Identifies the machine on which this process runs."""

from __future__ import annotations

from pathlib import Path


def read_boot_id() -> str:
    """Return what identifies a machine from its start to its end, also in containers; "" if the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
