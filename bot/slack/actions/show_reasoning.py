"""The button "Show reasoning": shows the asker what the model thought before its answer, in a modal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any

from bot.messages import progress
from bot.messages.message import Message, render_message
from bot.slack.actions.channel_access import ChannelAccess
from bot.slack.incoming.interactions import ButtonPress
from bot.slack.modals.reasoning import build_reasoning_view, build_refusal_view
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.reasoning_memory import Reasoning, ReasoningMemory
from bot.slack.transport.web_api import SlackWebApi
from bot.storage.turns.questions import QuestionKey, is_app
from knowledge.interfaces import Viewers

FilterReadable = Callable[[Collection[str], Viewers], Awaitable[frozenset[str]]]
"""Returns which of some chunks are current and may be read by all viewers."""


class ShowReasoningAction:
    """Shows reasoning to its asker, as long as the asker may read all that the model had read."""

    action_id = "kvasir:show-reasoning"

    def __init__(
        self,
        memory: ReasoningMemory,
        filter_readable: FilterReadable,
        channel_access: ChannelAccess,
        messenger: EphemeralMessenger,
        api: SlackWebApi,
        team: str,
    ) -> None:
        self._memory = memory
        self._filter_readable = filter_readable
        self._channel_access = channel_access
        self._messenger = messenger
        self._api = api
        self._team = team

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
        channel, ts, page = press.value.split(" ")
        reasoning = self._memory.find_reasoning(QuestionKey(self._team, channel, ts))
        if reasoning is None:
            await self._show_refusal(press, progress.REASONING_GONE)
        elif reasoning.asker != press.user:
            await self._show_refusal(press, progress.REASONING_PRIVATE)
        elif (viewers := await self._channel_access.check_press(replace(press, channel=channel))) is not None:
            await self._show_reasoning(press, reasoning, viewers, f"{channel} {ts}", int(page))

    async def _show_reasoning(
        self, press: ButtonPress, reasoning: Reasoning, viewers: Viewers, place: str, page: int
    ) -> None:
        if not reasoning.chunks <= await self._filter_readable(reasoning.chunks, viewers):
            await self._show_refusal(press, progress.REASONING_CLOSED)
            return
        view = build_reasoning_view(
            reasoning.text,
            press.language,
            is_cut=reasoning.is_cut,
            page=page,
            action_id=self.action_id,
            place=place,
        )
        if press.view_id:
            await self._api.call("views.update", view_id=press.view_id, view=view)
        else:
            await self._api.call("views.open", trigger_id=press.trigger_id, view=view)

    async def _show_refusal(self, press: ButtonPress, message: Message) -> None:
        """Tell the person in the open modal, or else in the thread."""
        if press.view_id:
            view = build_refusal_view(message, press.language)
            await self._api.call("views.update", view_id=press.view_id, view=view)
        else:
            await self._messenger.reply(press, message)
