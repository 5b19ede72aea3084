"""The button "Show passage": shows one person the whole passage that an answer quotes in part, in its current state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.answering.outgoing import release_text
from bot.audit.entries import Event, describe_passage
from bot.languages.registry import Language
from bot.messages.forms import buttons
from bot.messages.message import render_message
from bot.slack.posting.buttons import MAX_VALUE_CHARACTERS, CompleteAnswer, build_button
from bot.slack.turns.dependencies import FindPassage
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from bot.slack.wire.text import cutting, render
from knowledge.interfaces import Hit


class ShowPassageAction:
    """Shows passages. It stores nothing: the button names the chunks, and the library has their current text."""

    action_id = "kvasir:show-passage"

    def __init__(self, shared: SharedParts, find_passage: FindPassage) -> None:
        self._shared = shared
        self._find_passage = find_passage

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return a button for each passage of a document that an answer quotes in part."""
        return [
            build_button(
                f"{self.action_id}:{one.n}",
                render_message(buttons.SHOW_PASSAGE, answer.language, n=one.n),
                _format_value(one.chunks),
            )
            for one in answer.finished.extracted_passages
            if one.chunks
        ]

    async def run(self, press: ButtonPress) -> None:
        """Show the passage of a button to the person who pressed it.

        Raises:
            InteractionRefused: there must be no answer for the person, or the passage is gone.
            KnowledgeError: the passage cannot be read.

        """
        viewers = await self._shared.check_press(press)
        hit = await self._find_passage(press.value.split(","), viewers)
        if hit is None:
            raise InteractionRefused(buttons.PASSAGE_GONE)
        passage = describe_passage(hit.source, hit.document, press.value.split(","), hit.synced_at)
        await self._shared.record_event(Event.READ, press.user, {"passages": [passage]})
        text, blocks = _format_passage(hit, press.language)
        await self._shared.messenger.answer_interaction(press, text, blocks)


def _format_value(chunks: Sequence[str]) -> str:
    """Return the ids of a passage's chunks, as many as the value of a button can hold."""
    value = ",".join(chunks)
    return value if len(value) <= MAX_VALUE_CHARACTERS else value[:MAX_VALUE_CHARACTERS].rpartition(",")[0]


def _format_passage(hit: Hit, language: Language) -> tuple[str, list[dict[str, object]]]:
    """Return a notification's text and the blocks of a passage."""
    rendered = render.MarkdownRenderer({}).feed(f"{release_text(hit.text).strip()}\n")
    head, *rest = cutting.split_message(rendered, cutting.MAX_MARKDOWN_CHARACTERS)
    fence = cutting.find_open_fence(head)
    head += cutting.make_closing_fence(fence, head) if fence else ""
    path = render.format_linked_path(release_text(hit.title or hit.document), release_text(hit.heading), hit.url)
    blocks: list[dict[str, object]] = [render.build_context_block(path), {"type": "markdown", "text": head}]
    if rest:
        blocks.append(render.build_context_block(_describe_rest(head, rest, language)))
    return render.make_fallback_text(head), blocks


def _describe_rest(head: str, rest: Sequence[str], language: Language) -> str:
    """Return that a passage continues, and how many rows of the table at its cut are left out."""
    table = cutting.find_table_head(head)
    counts = [cutting.count_rows(piece) - table.count("\n") for piece in rest] if table else []
    rows = 0
    for piece, count in zip(rest, counts, strict=False):
        if not piece.startswith(table):
            break
        rows += count
    if not rows:
        return render_message(buttons.PASSAGE_CUT, language)
    return render_message(buttons.ROWS_CUT, language, count=rows)
