"""The modal with the reasoning behind an answer, in pages. Pure."""

from __future__ import annotations

import re
from typing import Any

from bot.languages.registry import Language
from bot.messages import progress
from bot.messages.message import render_message
from bot.slack.features.kit.modal import build_modal, build_plain_text
from bot.slack.posting.buttons import build_button
from bot.slack.wire.text import cutting, render

_SECTION_CHARACTERS = 2_800
_PAGE_SECTIONS = 4
_SCHEME = re.compile(r"\b(https?|ftp|mailto|slack|tel)(?=:)|\bwww(?=\.)", re.IGNORECASE)


def build_reasoning_view(
    text: str, language: Language, *, is_cut: bool, page: int, action_id: str, place: str
) -> dict[str, Any]:
    """Return one page of the reasoning; ``page`` counts from 1, and ``place`` begins the values of its buttons."""
    sections = _split_sections(defuse_links(text))
    pages = -(-len(sections) // _PAGE_SECTIONS)
    page = min(max(page, 1), pages)
    page_sections = sections[(page - 1) * _PAGE_SECTIONS : page * _PAGE_SECTIONS]
    notes = [render_message(progress.REASONING_CUT, language)] if is_cut and page == pages else []
    if pages > 1:
        notes.append(render_message(progress.REASONING_PAGE, language, page=page, pages=pages))
    turns = ((progress.PREVIOUS_PAGE, page - 1), (progress.NEXT_PAGE, page + 1))
    buttons = [
        build_button(f"{action_id}:{number}", render_message(label, language), f"{place} {number}")
        for label, number in turns
        if 1 <= number <= pages
    ]
    blocks: list[dict[str, Any]] = [
        render.build_context_block(render_message(progress.REASONING_HEAD, language)),
        *({"type": "section", "text": {**build_plain_text(one), "emoji": False}} for one in page_sections),
        *map(render.build_context_block, notes),
        *([{"type": "actions", "elements": buttons}] if buttons else []),
    ]
    title, close = (render_message(one, language) for one in (progress.REASONING_TITLE, progress.CLOSE))
    return build_modal("kvasir:reasoning", title, blocks, close=close)


def defuse_links(text: str) -> str:
    """Return a text in which Slack finds no links and no pings."""
    return _SCHEME.sub(lambda found: found[0] + render.JOINER, render.break_pings(text))


def _split_sections(text: str) -> list[str]:
    sections = []
    while text.strip():
        head, text = cutting.split_head(text, _SECTION_CHARACTERS)
        sections.append(head.strip("\n") or "…")
    return sections or ["…"]
