"""What a source remembers from one listing to the next, as versioned JSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from knowledge.interfaces import Memory

T = TypeVar("T")


async def load_state(memory: Memory, version: int) -> dict[str, Any] | None:
    """Return the state that ``save_state`` saved; None if there is none or its version differs."""
    data = await memory.load()
    try:
        saved = json.loads(data) if data else None
    except ValueError:
        return None
    state = saved.get("held") if isinstance(saved, dict) and saved.get("version") == version else None
    return state if isinstance(state, dict) else None


async def save_state(memory: Memory, version: int, state: dict[str, Any]) -> None:
    """Save the state that the next listing starts from."""
    await memory.save(json.dumps({"version": version, "held": state}, ensure_ascii=False).encode())


async def load_sealed_state(memory: Memory, form: int, decode: Callable[[Any], T]) -> T | None:
    """Return what ``decode`` makes, in a thread, of the object that ``save_sealed_state`` saved.

    None if it is missing, of another version, altered, or has a form that ``decode`` does not know.
    """
    state = await load_state(memory, form) or {}
    data = state.get("data")
    if not isinstance(data, str) or state.get("digest") != _compute_digest(data):
        return None
    try:
        return await asyncio.to_thread(lambda: decode(json.loads(data)))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


async def save_sealed_state(memory: Memory, form: int, value: Mapping[str, object]) -> None:
    """Save an object of JSON with its digest, so that half of a listing never causes deletions."""
    data = await asyncio.to_thread(json.dumps, value, ensure_ascii=False)
    await save_state(memory, form, {"data": data, "digest": _compute_digest(data)})


def _compute_digest(data: str) -> str:
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()
