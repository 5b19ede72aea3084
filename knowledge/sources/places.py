"""Names the place of a folder, so that an absent mount and another host's disk are not taken for deleted documents."""

from __future__ import annotations

import contextlib
import os
import re
from functools import cache
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_HOSTS: Final = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
_OCTAL: Final = re.compile(r"\\(\d{3})")


def describe_place(folder: str) -> str:
    """Return the name of the disk with a folder, and of each disk that is mounted below it; "" without Linux's names.

    It blocks. A disk of a network has the same name on all hosts. A local one's has the host.

    Raises:
        OSError: the folder is not there.

    """
    root = os.path.realpath(folder, strict=True)
    mounts = _read_mounts()
    own = max((point for point in mounts if is_below(root, point)), key=len, default="/")
    below = sorted(point for point in mounts if point != own and is_below(point, root))
    return "\n".join([mounts.get(own, ""), *(f"{os.path.relpath(point, root)} {mounts[point]}" for point in below)])


def is_below(path: str, folder: str) -> bool:
    """Return whether an absolute path is a folder, or in it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _read_mounts() -> dict[str, str]:
    """Return the names of the mounted disks by mount point; the last of several at one point counts."""
    try:
        lines = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return {}
    mounts: dict[str, str] = {}
    for line in lines:
        _, _, device, root, point, *rest = line.split(" ")
        source = rest[rest.index("-") + 2]
        # Such as server:/export, which all hosts share.
        host = "" if ":/" in source or source.startswith("//") else f"{_find_host()} "
        # The kernel may give another number to a disk (btrfs, LVM) after a boot. A tmpfs has nothing else.
        mounts[_unescape(point)] = f"{host}{source if '/' in source else device} {root}"
    return mounts


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), text)


@cache
def _find_host() -> str:
    """Return what tells this host from others; in a container, until its next boot. "" if nothing says it."""
    for path in _HOSTS:
        with contextlib.suppress(OSError):
            if (host := path.read_text().strip()) not in {"", "uninitialized"}:
                return host
    return ""
