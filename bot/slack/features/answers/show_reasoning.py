"""The button "Show reasoning": shows the asker what the model thought before its answer, in a modal."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bot.languages.registry import Language
from bot.messages import progress
from bot.messages.errors import explain_error
from bot.messages.message import render_message
from bot.slack.features.kit.modal import build_modal, build_plain_text
from bot.slack.features.kit.opening import build_sentence_view, open_modal, open_view
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.turns.reasoning_memory import Reasoning
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackRefused
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from bot.slack.wire.text import cutting, render
from bot.storage.shared_changes import ChangeKind
from bot.storage.turns.questions import QuestionKey, is_app

_OTHERS_WAIT_S: Final = 2.0
"""How long other processes have to show the reasoning before the modal says that it is gone."""
_SECTION_CHARACTERS = 2_800
_PAGE_SECTIONS = 4
_SCHEME = re.compile(r"\b(https?|ftp|mailto|slack|tel)(?=:)|\bwww(?=\.)", re.IGNORECASE)


class ShowReasoningAction:
    """Shows reasoning to its asker, as long as the asker may read all that the model had read.

    Only the process that wrote the answer has its reasoning. Another process opens the modal, and that one fills it.
    """

    action_id = "kvasir:show-reasoning"

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        shared.changes.subscribe(ChangeKind.REASONING, self._apply_change)

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the button under an answer of a model that thinks; it is for the person who asked."""
        if not answer.finished.reasoning or is_app(answer.asker):
            return []
        label = render_message(progress.SHOW_REASONING, answer.language)
        return [build_button(self.action_id, label, f"{answer.channel} {answer.question_ts} 1")]

    async def run(self, press: ButtonPress) -> None:
        """Open the modal, or show another page of it, or say why there is no reasoning to show.

        Raises:
            DatabaseError: the rights of the person cannot be read.
            KnowledgeError: the documents cannot be read.
            SlackError: Slack refuses the modal.

        """
        if (reasoning := self._find_reasoning(press)) is None:
            await self._ask_others(press)
        else:
            await self._show_to_asker(press, reasoning)

    def _find_reasoning(self, press: ButtonPress) -> Reasoning | None:
        channel, ts, _ = press.value.split(" ")
        return self._shared.reasonings.find_reasoning(QuestionKey(self._shared.me.team, channel, ts))

    async def _ask_others(self, press: ButtonPress) -> None:
        """Open a modal that another process fills; say that the reasoning is gone if none does."""
        sought = build_sentence_view(progress.REASONING_SOUGHT, press.language)
        if press.view_id:
            view = (await self._update_view(press.view_id, sought))["view"]
        else:
            view = await open_view(self._shared.api, press, sought)
        place = (press.thread_ts, *press.value.split(" "))
        await self._shared.changes.publish_change(
            ChangeKind.REASONING, self._shared.me.team, press.user, view["id"], press.language, *place
        )
        await asyncio.sleep(_OTHERS_WAIT_S)
        gone = build_sentence_view(progress.REASONING_GONE, press.language)
        with contextlib.suppress(SlackRefused):  # another process has changed the modal, or the person has closed it
            await self._shared.api.call("views.update", view_id=view["id"], hash=view["hash"], view=gone)

    def _apply_change(self, subject: str) -> None:
        """Fill the modal that another process has opened, if this one has the reasoning."""
        if not subject:
            return
        team, user, view_id, language, thread_ts, *place = subject.split(" ")
        press = ButtonPress(
            user=user,
            channel=place[0],
            language=language,
            message_ts="",
            thread_ts=thread_ts,
            value=" ".join(place),
            view_id=view_id,
        )
        if team == self._shared.me.team and (reasoning := self._find_reasoning(press)) is not None:
            self._shared.tasks.start(self._show_to_asker(press, reasoning), "reasoning for another process")

    async def _show_to_asker(self, press: ButtonPress, reasoning: Reasoning) -> None:
        if reasoning.asker != press.user:
            await self._refuse_press(press)
        elif not press.view_id:
            await open_modal(self._shared.api, press, self._build_page(press, reasoning))
        elif (view := await self._build_page(press, reasoning)) is not None:
            await self._update_view(press.view_id, view)

    async def _build_page(self, press: ButtonPress, reasoning: Reasoning) -> dict[str, Any] | None:
        """Return a page of the reasoning, None if the person learns in a message why there must be no answer."""
        in_channel = replace(press, channel=press.value.split(" ")[0])
        try:
            viewers = await self._shared.check_press(in_channel)
        except InteractionRefused as refusal:
            text = render_message(explain_error(refusal), in_channel.language)
            await self._shared.messenger.answer_interaction(in_channel, text)
            return None
        library = self._shared.dependencies.library
        if not reasoning.chunks <= await library.filter_current(reasoning.chunks, viewers):
            return build_sentence_view(progress.REASONING_CLOSED, press.language)
        place, _, page = press.value.rpartition(" ")
        return _build_reasoning_view(
            reasoning.text,
            press.language,
            is_cut=reasoning.is_cut,
            page=int(page),
            action_id=self.action_id,
            place=place,
        )

    async def _refuse_press(self, press: ButtonPress) -> None:
        """Tell a person who did not ask, in the modal that another process has opened, or else in the thread."""
        if press.view_id:
            await self._update_view(press.view_id, build_sentence_view(progress.REASONING_PRIVATE, press.language))
        else:
            await self._shared.messenger.reply_to_press(press, progress.REASONING_PRIVATE)

    async def _update_view(self, view_id: str, view: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self._shared.api.call("views.update", view_id=view_id, view=view)


def _build_reasoning_view(
    text: str, language: Language, *, is_cut: bool, page: int, action_id: str, place: str
) -> dict[str, Any]:
    """Return one page of the reasoning; ``page`` counts from 1, and ``place`` begins the values of its buttons."""
    sections = _split_sections(_defuse_links(text))
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


def _defuse_links(text: str) -> str:
    """Return a text in which Slack finds no links and no pings."""
    return _SCHEME.sub(lambda found: found[0] + render.JOINER, render.break_pings(text))


def _split_sections(text: str) -> list[str]:
    sections = []
    while text.strip():
        head, text = cutting.split_head(text, _SECTION_CHARACTERS)
        sections.append(head.strip("\n") or "…")
    return sections or ["…"]
