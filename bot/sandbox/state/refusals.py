"""Slack's ``{"ok": false, "error": …}`` as an exception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RefusedCall(Exception):
    """A call is refused with one of Slack's error names.

    ``extra`` has further keys of the answer (``needed``, ``response_metadata``). With ``retry_after_s`` it is HTTP 429.
    """

    def __init__(self, error: str, *, retry_after_s: int | None = None, **extra: Any) -> None:  # noqa: ANN401
        super().__init__(error)
        self.error = error
        self.retry_after_s = retry_after_s
        self.extra = extra


def build_refusal(error: str, complaints: Sequence[str]) -> RefusedCall:
    """Return a refusal that names the place of the error, as Slack does for arguments and blocks."""
    return RefusedCall(
        error, errors=list(complaints), response_metadata={"messages": [f"[ERROR] {text}" for text in complaints]}
    )
