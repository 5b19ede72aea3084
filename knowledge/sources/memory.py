"""What a source remembers from one listing to the next, as JSON with a version."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from knowledge.interfaces import Memory


async def load_state(memory: Memory, version: int) -> dict[str, Any] | None:
    """Return what ``save_state`` saved, None for nothing or for what another version of the source saved."""
    data = await memory.load()
    try:
        saved = json.loads(data) if data else None
    except ValueError:
        return None
    held = saved.get("held") if isinstance(saved, dict) and saved.get("version") == version else None
    return held if isinstance(held, dict) else None


async def save_state(memory: Memory, version: int, held: dict[str, Any]) -> None:
    """Save what a source wants to know at its next listing."""
    await memory.save(json.dumps({"version": version, "held": held}, ensure_ascii=False).encode())


async def load_sealed_state(memory: Memory, form: int) -> Mapping[str, object] | None:
    """Return what ``save_sealed_state`` saved; None for nothing, another form, and what has changed."""
    held: object = await load_state(memory, form)
    if not isinstance(held, Mapping):
        return None
    data, digest = held.get("data"), held.get("digest")
    if not isinstance(data, str) or digest != _digest(data):
        return None
    value = await asyncio.to_thread(json.loads, data)
    return value if isinstance(value, dict) else None


async def save_sealed_state(memory: Memory, form: int, value: Mapping[str, object]) -> None:
    """Save an object of JSON with its digest."""
    data = await asyncio.to_thread(json.dumps, value, ensure_ascii=False)
    await save_state(memory, form, {"data": data, "digest": _digest(data)})


def _digest(data: str) -> str:
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()
