"""How a method says no: Slack's ``{"ok": false, "error": …}`` as an exception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RefusedCall(Exception):
    """A call is refused with one of Slack's error names.

    ``extra`` is what else the answer holds (``needed``, ``response_metadata``); ``retry_after_s`` makes it an HTTP 429.
    """

    def __init__(self, error: str, *, retry_after_s: int | None = None, **extra: Any) -> None:  # noqa: ANN401
        super().__init__(error)
        self.error = error
        self.retry_after_s = retry_after_s
        self.extra = extra


def build_refusal(error: str, complaints: Sequence[str]) -> RefusedCall:
    """Return a refusal that tells where it hurts, as Slack does for arguments and blocks."""
    return RefusedCall(
        error, errors=list(complaints), response_metadata={"messages": [f"[ERROR] {text}" for text in complaints]}
    )
