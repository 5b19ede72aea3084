"""A listing that is remembered whole or not at all: half of one would pass for deletions."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping

from knowledge.interfaces import Memory
from knowledge.sources.common import recall, remember
from knowledge.sources.hosted.json_form import JsonObject


async def recall_sealed(memory: Memory, form: int) -> JsonObject | None:
    """Return what ``remember_sealed`` saved; None for nothing, another form, and what has changed."""
    held: object = await recall(memory, form)
    if not isinstance(held, Mapping):
        return None
    data, digest = held.get("data"), held.get("digest")
    if not isinstance(data, str) or digest != _digest(data):
        return None
    value = await asyncio.to_thread(json.loads, data)
    return value if isinstance(value, dict) else None


async def remember_sealed(memory: Memory, form: int, value: JsonObject) -> None:
    """Save an object of JSON with its digest."""
    data = await asyncio.to_thread(json.dumps, value, ensure_ascii=False)
    await remember(memory, form, {"data": data, "digest": _digest(data)})


def _digest(data: str) -> str:
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()
