"""Pure: add chunks to a streamed message, and refuse invalid chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.sandbox import limits
from bot.sandbox.block_kit.blocks import check_blocks
from bot.sandbox.state.model import Json
from bot.sandbox.state.refusals import RefusedCall, build_refusal

_STATUSES = {"pending", "in_progress", "complete", "error"}


def read_chunks(markdown_text: str | None, chunks: Any) -> list[Json]:  # noqa: ANN401
    """Return a call's chunks; its ``markdown_text`` is the first.

    Raises:
        RefusedCall: ``invalid_chunks``, ``msg_too_long``.

    """
    if chunks is not None and not (isinstance(chunks, list) and all(isinstance(chunk, dict) for chunk in chunks)):
        raise RefusedCall("invalid_chunks")
    result: list[Json] = [{"type": "markdown_text", "text": markdown_text}] if markdown_text else []
    result += [_check_chunk(chunk) for chunk in chunks or ()]
    if sum(len(chunk["text"]) for chunk in result if chunk["type"] == "markdown_text") > limits.MARKDOWN_TEXT:
        raise RefusedCall("msg_too_long")
    return result


def _check_chunk(chunk: Json) -> Json:
    match chunk.get("type"):
        case "markdown_text" if isinstance(chunk.get("text"), str):
            return chunk
        case "plan_update" if _is_short(chunk, "title"):
            return chunk
        case "task_update" if _task_fits(chunk):
            return chunk
        case "blocks":
            return {**chunk, "blocks": check_blocks(chunk.get("blocks"))}
        case kind:
            raise build_refusal("invalid_chunks", [f"invalid chunk of type {kind}"])


def _is_short(chunk: Json, name: str, *, required: bool = True) -> bool:
    text = chunk.get(name)
    return (not required and text is None) or (isinstance(text, str) and len(text) <= limits.TASK_TEXT)


def _task_fits(chunk: Json) -> bool:
    texts = _is_short(chunk, "title") and all(_is_short(chunk, name, required=False) for name in ("details", "output"))
    sources = chunk.get("sources") or []
    has_sources = isinstance(sources, list) and all(map(_is_source, sources))
    return texts and has_sources and isinstance(chunk.get("id"), str) and chunk.get("status") in _STATUSES


def _is_source(source: Any) -> bool:  # noqa: ANN401
    """Return whether a source of a task is a link with a text."""
    is_link = isinstance(source, dict) and source.get("type") == "url"
    return is_link and all(isinstance(source.get(name), str) and source[name] for name in ("url", "text"))


def add_chunks(blocks: Sequence[Json], chunks: Sequence[Json], *, plan: bool) -> list[Json]:
    """Return the blocks of a streamed message after more chunks.

    Text continues in the last block if that is text. A task keeps its place and gets its new values. With ``plan``, all
    tasks are in one plan block at the top.
    """
    after = list(blocks)
    for chunk in chunks:
        match chunk["type"]:
            case "markdown_text":
                _add_text(after, chunk["text"])
            case "blocks":
                after += chunk["blocks"]
            case "plan_update":
                _open_plan(after)["title"] = chunk["title"]
            case _:
                _put_task(_open_plan(after)["tasks"] if plan else after, chunk)
    return after


def _add_text(blocks: list[Json], text: str) -> None:
    if blocks and blocks[-1]["type"] == "markdown":
        blocks[-1] = {**blocks[-1], "text": blocks[-1]["text"] + text}
    elif text:
        blocks.append({"type": "markdown", "text": text})


def _open_plan(blocks: list[Json]) -> Json:
    """Return a copy of the plan block, in its place; create it if there is none."""
    for n, block in enumerate(blocks):
        if block["type"] == "plan":
            blocks[n] = {**block, "tasks": list(block["tasks"])}
            return blocks[n]
    blocks.insert(0, {"type": "plan", "title": "", "tasks": []})
    return blocks[0]


def _put_task(tasks: list[Json], chunk: Json) -> None:
    for n, block in enumerate(tasks):
        if block.get("type") == "task_card" and block["task_id"] == chunk["id"]:
            tasks[n] = {**block, **_task_card(chunk)}
            return
    tasks.append(_task_card(chunk))


def _task_card(chunk: Json) -> Json:
    card: Json = {"type": "task_card", "task_id": chunk["id"], "title": chunk["title"], "status": chunk["status"]}
    return card | {name: chunk[name] for name in ("details", "output", "sources") if chunk.get(name)}


def join_text(blocks: Sequence[Json]) -> str:
    """Return the text of a streamed message, for ``text`` in a history."""
    return "\n".join(block["text"] for block in blocks if block["type"] == "markdown")
