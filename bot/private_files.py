"""Keeps the state of Kvasir to the account that runs it: folders have the mode 0700, and files 0600."""

from __future__ import annotations

import os
import stat
from itertools import chain
from pathlib import Path

import structlog

from engine.files import replace_private_file

_log = structlog.get_logger("kvasir.private_files")

_OTHERS = 0o077


def protect_tree(folder: Path) -> None:
    """Take the rights of other accounts to a folder and everything in it away; links are not followed."""
    protect_path(folder)
    for parent, folders, files in os.walk(folder):
        for name in chain(folders, files):
            protect_path(Path(parent, name))


def protect_path(path: Path) -> None:
    """Take the rights of other accounts to a file or a folder away; log it if that is not possible."""
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & _OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
    except FileNotFoundError:  # deleted meanwhile, or not created yet
        return
    except OSError as error:
        next_step = f"chown and chmod go= {path}"
        _log.warning("other accounts may read this", path=str(path), error=error.strerror, next_step=next_step)


def write_named_file(path: Path, content: str | bytes) -> None:
    """Write a file that a person has named, for this account alone, whatever was there before.

    Raises:
        OSError: it cannot be written, or it is a link or a device; what was there stays.

    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError("it is a link, a folder or a device")
    replace_private_file(path, content)
