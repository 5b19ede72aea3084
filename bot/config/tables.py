"""What every table of ``kvasir.toml`` is held to: it is a table, and it has no key that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from bot.errors import SettingsError


def require_table(value: object, where: str) -> Mapping[str, Any]:
    """Return a table.

    Raises:
        SettingsError: it is something else; ``where`` names it.

    """
    if not isinstance(value, dict):
        raise SettingsError(f"{where} should be a table.")
    return value


def refuse_unknown_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Refuse keys that are not known.

    Raises:
        SettingsError: with the nearest known one.

    """
    for key in table:
        if key not in known:
            raise SettingsError(
                f"{where} has the unknown key {key!r}.{suggest_nearest(key, known)} Known: {', '.join(known)}."
            )


def suggest_nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?" for the known name that looks most like this one, "" if none does."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""
