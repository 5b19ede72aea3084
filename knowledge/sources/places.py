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
_SHARED: Final = frozenset(
    {"ceph", "gpfs"}
    | {
        f"fuse.{program}"
        for program in (
            "ceph-fuse", "gcsfuse", "geesefs", "glusterfs", "goofys", "juicefs", "mfs", "rclone", "s3fs", "seaweedfs",
            "sshfs",
        )
    }
)  # fmt: skip
"""Types of filesystems that hosts share, and whose names need not look like an address."""
_OCTAL: Final = re.compile(r"\\(\d{3})")


def describe_place(folder: str, disk: str = "") -> str:
    """Return the name of the disk with a folder, and of each disk that is mounted below it; "" without Linux's names.

    It blocks. A disk of a network has the same name on all hosts. A local one's has the host. ``disk`` is a name for
    the folder's own, with the type of its filesystem: where it is not mounted, the one below has another type.

    Raises:
        OSError: the folder is not there.

    """
    root = os.path.realpath(folder, strict=True)
    mounts = _read_mounts()
    own = max((point for point in mounts if is_below(root, point)), key=len, default="/")
    below = sorted(point for point in mounts if point != own and is_below(point, root))
    name, kind = mounts.get(own, ("", ""))
    names = (f"{os.path.relpath(point, root)} {mounts[point][0]}" for point in below)
    return "\n".join([f"{disk} {kind}" if disk else name, *names])


def is_below(path: str, folder: str) -> bool:
    """Return whether an absolute path is a folder, or in it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _read_mounts() -> dict[str, tuple[str, str]]:
    """Return the names and types of the mounted disks by mount point; the last of several at one point counts."""
    try:
        lines = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return {}
    mounts: dict[str, tuple[str, str]] = {}
    for line in lines:
        _, _, device, root, point, *rest = line.split(" ")
        kind, source = rest[rest.index("-") + 1 :][:2]
        # Such as server:/export, which all hosts share. Some programs give their own name instead of the share's.
        names_share = kind in _SHARED and source not in {kind, kind.partition(".")[2], "none", "fuse"}
        is_shared = names_share or ":/" in source or source.startswith("//")
        # The kernel may give another number to a disk (btrfs, LVM) after a boot. A tmpfs has nothing else.
        name = source if names_share or "/" in source else device
        mounts[_unescape(point)] = f"{'' if is_shared else f'{_find_host()} '}{name} {root}", kind
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
