"""Payload → call: what Slack sends is read, written down, acknowledged, and handed on.

A question is acknowledged once it is in the ledger, not before: what could not be written down is answered with 503
(over Socket Mode: not at all), so that Slack sends it again. Every event, command, action and view that is not ours is
acknowledged too, or Slack would retry it and in the end switch the subscription off.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from bot.slack import texts
from bot.slack.actions.add_page import AddPageAction
from bot.slack.actions.search_web import SearchWebAction
from bot.slack.actions.show_passage import ShowPassageAction
from bot.slack.commands.home import build_home_view
from bot.slack.commands.kb import APPROVE_DELETION, KbCommand, SlashCommand
from bot.slack.commands.parsing import KB, THINK
from bot.slack.commands.think import ThinkCommand
from bot.slack.errors import SlackError, SlackMissingScope
from bot.slack.events import (
    AppRemoved,
    BotUser,
    HomeOpened,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    StopPressed,
    parse_event,
)
from bot.slack.history.channel_events import read_channel_event
from bot.slack.posting import render
from bot.slack.posting.buttons import ADD_PAGE, SEARCH_WEB, SHOW_PASSAGE, ButtonPress
from bot.slack.tasks import BackgroundTasks
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.turns.turns import TurnManager
from bot.storage.channel_event_log import ChannelEventLog
from bot.storage.database import LedgerError
from bot.storage.questions import QuestionKey
from knowledge.errors import KnowledgeError

_log = structlog.get_logger(__name__)

_ANY = re.compile(".*", re.DOTALL)
_MAX_NOTIFIED = 1_000

Acknowledge = Callable[..., Awaitable[BoltResponse]]
NextMiddleware = Callable[[], Awaitable[BoltResponse]]


@dataclass(slots=True)
class SlackListeners:
    """Takes in what happens in Slack."""

    me: BotUser
    turns: TurnManager
    kb: KbCommand
    think: ThinkCommand
    looking: SearchWebAction
    api: SlackWebApi
    tasks: BackgroundTasks
    apology: Callable[[BaseException], str]
    on_removed: Callable[[], None]
    answer_in_shared: bool = False
    """Whether questions from this workspace are answered in channels that another company reads too."""
    pages: AddPageAction | None = None
    """What adds pages of the web, where owners may."""
    passages: ShowPassageAction | None = None
    """What shows whole passages."""
    event_log: ChannelEventLog | None = None
    """Where what is said in public channels is noted, if they are a source."""
    _told: dict[tuple[str, str], None] = field(default_factory=dict)

    def register(self, app: AsyncApp) -> None:
        """Register on a Bolt app."""
        app.event(_ANY, middleware=[self._event])(_ignore)
        app.command(_ANY)(self._command)
        app.action(_ANY)(self._action)
        for addressee in (app.shortcut, app.view, app.view_closed, app.options):
            addressee(_ANY)(_acknowledge)

    async def _event(self, body: Mapping[str, Any], next_: NextMiddleware) -> BoltResponse | None:
        """Write an event down before Bolt acknowledges it."""
        try:
            await self.take(body)
            await self._note(body)
        except LedgerError as error:
            _log.error("event not taken", error=str(error), event_id=str(body.get("event_id", "")))
            self._excuse(body, error)
            return BoltResponse(status=503, body="")
        return await next_()

    async def _note(self, body: Mapping[str, Any]) -> None:
        """Write down what an event changes in the channels that are a source; after the question, which waits."""
        if self.event_log is not None and (news := read_channel_event(body, self.me)) is not None:
            await self.event_log.add_event(self.me.team, news)

    async def take(self, body: Mapping[str, Any]) -> None:
        """Do what an event asks for.

        Raises:
            LedgerError: it could not be written down; it has to come again.

        """
        match parse_event(body, self.me):
            case MessageReceived() as said:
                await self._said(said)
            case MessageEdited(said, newly_addressed):
                if not await self.turns.edited(said.message.key, said.message.text) and newly_addressed:
                    await self._said(said)
            case MessageDeleted(key):
                await self.turns.deleted(key)
            case StopPressed(channel, thread_ts):
                self.turns.stopped(channel, thread_ts)
            case HomeOpened(user):
                self.tasks.start(self._home(user), "home")
            case AppRemoved():
                self.on_removed()
            case None:
                pass

    async def _said(self, said: MessageReceived) -> None:
        if not said.is_addressed and not await self.turns.is_participant(said.message):
            return
        if said.is_from_other_company:
            return  # another company's people are not answered from ours
        if said.shared and not self.answer_in_shared:
            self._whisper(said.message.key, said.message.user, _shared(said.message.text))
            return
        await self.turns.ask(said.message)

    def _excuse(self, body: Mapping[str, Any], error: LedgerError) -> None:
        said = parse_event(body, self.me)
        if isinstance(said, MessageReceived) and said.is_addressed and not said.is_from_other_company:
            self._whisper(said.message.key, said.message.user, self.apology(error))

    def _whisper(self, key: QuestionKey, user: str, text: str) -> None:
        """Tell one person something about one message, once."""
        if (key.channel, key.ts) in self._told:
            return
        self._told[key.channel, key.ts] = None
        if len(self._told) > _MAX_NOTIFIED:
            del self._told[next(iter(self._told))]
        self.tasks.start(self._ephemeral(key.channel, user, render.escape_mrkdwn(text)), "whisper")

    async def _ephemeral(self, channel: str, user: str, text: str, thread_ts: str | None = None) -> None:
        try:
            await self.api.call("chat.postEphemeral", channel=channel, user=user, text=text, thread_ts=thread_ts)
        except SlackError as error:
            _log.warning("whisper not shown", channel=channel, error=str(error))

    async def _home(self, user: str) -> None:
        try:
            await self.api.call("views.publish", user_id=user, view=build_home_view(await self.kb.status(user)))
        except Exception as error:  # noqa: BLE001 (a Home that cannot be shown is logged and nothing else)
            _log.warning("home not shown", error=type(error).__name__, exc_info=error)

    async def _command(self, ack: Acknowledge, command: Mapping[str, Any]) -> None:
        await ack()
        if command.get("command") == KB:
            self.tasks.start(self.kb.run(SlashCommand.from_payload(command)), "kb")
        elif command.get("command") == THINK:
            self.tasks.start(self.think.run(SlashCommand.from_payload(command)), "think")

    async def _action(self, ack: Acknowledge, body: Mapping[str, Any], action: Mapping[str, Any]) -> None:
        await ack()
        if action.get("action_id") == APPROVE_DELETION:
            self.tasks.start(self.kb.approve(SlashCommand.from_button(body, action)), "approve")
        elif action.get("action_id") == SEARCH_WEB:
            self.tasks.start(self._look(ButtonPress.from_payload(body, action)), "look")
        elif str(action.get("action_id")).startswith(SHOW_PASSAGE) and self.passages is not None:
            self.tasks.start(self._show(ButtonPress.from_payload(body, action), self.passages), "show passage")
        elif str(action.get("action_id")).startswith(ADD_PAGE) and self.pages is not None:
            self.tasks.start(self.pages.add(ButtonPress.from_payload(body, action)), "add page")

    async def _look(self, press: ButtonPress) -> None:
        """Have a question answered anew, with the web; who may not, or is late, is told so."""
        try:
            if not await self._may_answer(press):
                return
            begun = await self.looking.again(press)
        except (LedgerError, SlackError) as error:
            await self._ephemeral(press.channel, press.user, render.escape_mrkdwn(self.apology(error)), press.thread_ts)
            return
        if not begun:
            told = texts.WEB_ALREADY_SEARCHED if begun is False else texts.QUESTION_GONE
            text = f"{told.english}\n{told.chinese}"
            await self._ephemeral(press.channel, press.user, text, press.thread_ts)

    async def _show(self, press: ButtonPress, passages: ShowPassageAction) -> None:
        """Show a whole passage to the person who pressed its button, where answers are given."""
        try:
            if await self._may_answer(press):
                await passages.show(press)
        except (KnowledgeError, SlackError) as error:
            await self._ephemeral(press.channel, press.user, render.escape_mrkdwn(self.apology(error)), press.thread_ts)

    async def _may_answer(self, press: ButtonPress) -> bool:
        """Tell whether the person who pressed a button is answered there; say so where the channel is the reason.

        Raises:
            SlackError: Slack cannot be asked.

        """
        if press.user_team not in {"", self.me.team}:
            return False  # another company's people are not answered from ours
        if self.answer_in_shared or not await self._is_shared(press.channel):
            return True
        both = f"{_SHARED_CHANNEL.english}\n{_SHARED_CHANNEL.chinese}"
        await self._ephemeral(press.channel, press.user, both, press.thread_ts)
        return False

    async def _is_shared(self, channel: str) -> bool:
        """Tell whether another company reads a channel by now: unlike a message, a press does not say so.

        Raises:
            SlackError: Slack cannot be asked.

        """
        if channel.startswith("D"):
            return False
        try:
            found = await self.api.call("conversations.info", channel=channel)
        except SlackMissingScope:
            return False  # of group messages Slack tells with a right that is not asked for
        return bool((found.get("channel") or {}).get("is_ext_shared"))


_SHARED_CHANNEL = texts.BilingualText(
    "This channel is shared with another company, so I do not answer here. Ask me in a direct message.",
    "此频道与其他公司共享，我不在这里作答。请在内部频道或私信中问我。",
)


def _shared(text: str) -> str:
    return _SHARED_CHANNEL.chinese if render.is_chinese(text) else _SHARED_CHANNEL.english


async def _ignore() -> None:
    """Stand behind the middleware, which has done the work."""


async def _acknowledge(ack: Acknowledge) -> None:
    await ack()
