"""Typed access to the JSON that a service answers, with one error for an unexpected form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from knowledge.dates import parse_iso_date
from knowledge.errors import SourceError

JsonObject = Mapping[str, object]
"""A JSON object whose members are not checked yet."""


def require_text(value: JsonObject, key: str) -> str:
    """Return a member that must be a text; a whole number becomes one.

    Raises:
        SourceError: it is missing or is something else.

    """
    found = value.get(key)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str) or not found:
        raise _malformed_error(key)
    return found


def get_text(value: JsonObject, key: str) -> str | None:
    """Return a member if it is a text that is not empty, else None."""
    found = value.get(key)
    return found if isinstance(found, str) and found else None


def get_int(value: JsonObject, key: str) -> int | None:
    """Return a member if it is a whole number or a text of digits, else None."""
    found = value.get(key)
    if isinstance(found, str) and found.isascii() and found.isdecimal():
        return int(found[:20])
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def get_object(value: JsonObject, *keys: str) -> JsonObject:
    """Return the object at the end of a path of keys, or an empty one if the path ends earlier."""
    for key in keys:
        found = value.get(key)
        if not isinstance(found, Mapping):
            return {}
        value = found
    return value


def require_objects(value: JsonObject, key: str) -> Sequence[JsonObject]:
    """Return a member that must be a list of objects.

    Raises:
        SourceError: it is missing or is something else.

    """
    return check_objects(value.get(key), key)


def get_objects(value: JsonObject, key: str) -> Sequence[JsonObject]:
    """Return the objects in a list, or none if the member is not a list."""
    found = value.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def check_objects(value: object, what: str) -> Sequence[JsonObject]:
    """Return a value that must be a list of objects.

    Raises:
        SourceError: it is something else.

    """
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise _malformed_error(what)
    return value


def filter_texts(value: object) -> list[str]:
    """Return the texts in a list, or none if the value is not a list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def get_time(value: JsonObject, key: str) -> datetime | None:
    """Return an ISO 8601 time in UTC, or None."""
    return parse_iso_date(get_text(value, key) or "")


def _malformed_error(key: str) -> SourceError:
    return SourceError(
        f"The service answered in an unexpected form: “{key}” is missing or is something else. Check that the "
        "configured address is the service's own; nothing was deleted."
    )
