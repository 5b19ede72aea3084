"""The button "Show reasoning": shows the asker what the model thought before its answer, in a modal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bot.messages import progress
from bot.messages.message import render_message
from bot.slack.features.answers.reasoning_modal import build_reasoning_view
from bot.slack.features.kit.opening import build_sentence_view, open_modal, open_view
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.turns.reasoning_memory import Reasoning
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackRefused
from bot.slack.wire.interactions import ButtonPress
from bot.storage.shared_changes import ChangeKind
from bot.storage.turns.questions import QuestionKey, is_app

_OTHERS_WAIT_S: Final = 2.0
"""How long other processes have to show the reasoning before the modal says that it is gone."""


class ShowReasoningAction:
    """Shows reasoning to its asker, as long as the asker may read all that the model had read.

    Only the process that wrote the answer has its reasoning. Another process opens the modal, and that one fills it.
    """

    action_id = "kvasir:show-reasoning"

    def __init__(self, shared: SharedParts) -> None:
        self._memory = shared.reasonings
        self._filter_readable = shared.dependencies.library.filter_current
        self._channel_access = shared.channel_access
        self._messenger = shared.messenger
        self._api = shared.api
        self._team = shared.me.team
        self._changes = shared.changes
        self._tasks = shared.tasks
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
        return self._memory.find_reasoning(QuestionKey(self._team, channel, ts))

    async def _ask_others(self, press: ButtonPress) -> None:
        """Open a modal that another process fills; say that the reasoning is gone if none does."""
        sought = build_sentence_view(progress.REASONING_SOUGHT, press.language)
        if press.view_id:
            view = (await self._update_view(press.view_id, sought))["view"]
        else:
            view = await open_view(self._api, press, sought)
        fields = (self._team, press.user, view["id"], press.language, press.thread_ts, *press.value.split(" "))
        await self._changes.publish_change(ChangeKind.REASONING, *fields)
        await asyncio.sleep(_OTHERS_WAIT_S)
        gone = build_sentence_view(progress.REASONING_GONE, press.language)
        with contextlib.suppress(SlackRefused):  # another process has changed the modal, or the person has closed it
            await self._api.call("views.update", view_id=view["id"], hash=view["hash"], view=gone)

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
        if team == self._team and (reasoning := self._find_reasoning(press)) is not None:
            self._tasks.start(self._show_to_asker(press, reasoning), "reasoning for another process")

    async def _show_to_asker(self, press: ButtonPress, reasoning: Reasoning) -> None:
        if reasoning.asker != press.user:
            await self._refuse_press(press)
        elif not press.view_id:
            await open_modal(self._api, press, self._build_page(press, reasoning))
        elif (view := await self._build_page(press, reasoning)) is not None:
            await self._update_view(press.view_id, view)

    async def _build_page(self, press: ButtonPress, reasoning: Reasoning) -> dict[str, Any] | None:
        """Return a page of the reasoning, None if the person learns in a message why there must be no answer."""
        channel = press.value.split(" ")[0]
        viewers = await self._channel_access.check_press(replace(press, channel=channel))
        if viewers is None:
            return None
        if not reasoning.chunks <= await self._filter_readable(reasoning.chunks, viewers):
            return build_sentence_view(progress.REASONING_CLOSED, press.language)
        place, _, page = press.value.rpartition(" ")
        return build_reasoning_view(
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
            await self._messenger.reply_to_press(press, progress.REASONING_PRIVATE)

    async def _update_view(self, view_id: str, view: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self._api.call("views.update", view_id=view_id, view=view)
