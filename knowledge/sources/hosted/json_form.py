"""Reading what a service answers: JSON of a known form, and one error for any other form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from knowledge.dates import parse_iso_date
from knowledge.errors import SourceError

JsonObject = Mapping[str, object]
"""An object of JSON, its members not looked at yet."""


class MalformedAnswer(SourceError):
    """A service answered in another form than its documentation says."""


def require_text(value: JsonObject, key: str) -> str:
    """Return a member that must be a text; a whole number is one too.

    Raises:
        Malformed: it is not there, or something else.

    """
    found = value.get(key)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str) or not found:
        raise _malformed_error(key)
    return found


def get_text(value: JsonObject, key: str) -> str | None:
    """Return a member if it is a text that is not empty."""
    found = value.get(key)
    return found if isinstance(found, str) and found else None


def get_int(value: JsonObject, key: str) -> int | None:
    """Return a member if it is a whole number, or a text of digits (as services write what may be large)."""
    found = value.get(key)
    if isinstance(found, str) and found.isascii() and found.isdecimal():
        return int(found[:20])
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def get_object(value: JsonObject, *keys: str) -> JsonObject:
    """Return the object at the end of a path, an empty one where the path ends before."""
    for key in keys:
        found = value.get(key)
        if not isinstance(found, Mapping):
            return {}
        value = found
    return value


def require_objects(value: JsonObject, key: str) -> Sequence[JsonObject]:
    """Return a member that must be a list of objects.

    Raises:
        Malformed: it is not there, or something else.

    """
    return check_objects(value.get(key), key)


def get_objects(value: JsonObject, key: str) -> Sequence[JsonObject]:
    """Return the objects of a list, none where there is no list."""
    found = value.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def check_objects(value: object, what: str) -> Sequence[JsonObject]:
    """Return a list of objects.

    Raises:
        Malformed: it is something else.

    """
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise _malformed_error(what)
    return value


def filter_texts(value: object) -> list[str]:
    """Return the texts of a list, none where there is no list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def get_time(value: JsonObject, key: str) -> datetime | None:
    """Return a time as ISO 8601 writes it, aware, UTC; None where there is none."""
    return parse_iso_date(get_text(value, key) or "")


def _malformed_error(key: str) -> MalformedAnswer:
    return MalformedAnswer(
        f"The service answered in an unknown form: “{key}” is missing or is something else. "
        "Look whether the configured address is the service's own; nothing was deleted."
    )
