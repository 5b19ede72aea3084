"""The keys of the audit: a file outside the database, with one key a line, the newest last."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bot.errors import BotError

_KEY_BYTES = 32
_ID_BYTES = 4


class AuditKeyError(BotError):
    """The file with the keys of the audit is missing or cannot be read."""


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """All keys by their ids. The newest one signs, all verify."""

    newest: str
    by_id: Mapping[str, bytes] = field(repr=False)


def load_keys(path: Path) -> AuditKeys:
    """Return the keys of a file.

    Raises:
        AuditKeyError: the file is missing, or a line of it is no key.
        OSError: the file cannot be read.

    """
    if not path.exists():
        raise AuditKeyError(f"{path} does not exist. Restore this key, or name its file in KVASIR_AUDIT_KEY_FILE.")
    try:
        pairs = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
        keys = {id_: bytes.fromhex(key) for id_, key in pairs}
    except ValueError:
        keys = {}
    if not keys or any(len(key) != _KEY_BYTES for key in keys.values()):
        raise AuditKeyError(f"{path} does not hold keys of the audit. Restore it from a backup.")
    return AuditKeys(list(keys)[-1], keys)


def ensure_keys(path: Path) -> AuditKeys:
    """Return the keys of a file, which gets its first key if it does not exist; raises as ``load_keys``."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = _write_aside(path, _make_line())
        try:
            os.link(new, path)
        except FileExistsError:  # another process was first
            pass
        finally:
            new.unlink()
    return load_keys(path)


def rotate_keys(path: Path) -> AuditKeys:
    """Add a key that signs from now on, and return all keys; raises as ``load_keys``."""
    load_keys(path)
    _write_aside(path, path.read_text(encoding="ascii").rstrip("\n") + f"\n{_make_line()}").replace(path)
    return load_keys(path)


def _make_line() -> str:
    return f"{secrets.token_hex(_ID_BYTES)} {secrets.token_hex(_KEY_BYTES)}\n"


def _write_aside(path: Path, text: str) -> Path:
    """Write a durable file next to a path, which only this account can read."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(_ID_BYTES)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return aside
