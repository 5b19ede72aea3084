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

from bot.slack import words
from bot.slack.actions.add_page import PageDesk
from bot.slack.actions.search_web import Looking
from bot.slack.actions.show_passage import PassageDesk
from bot.slack.commands.home import home_view
from bot.slack.commands.kb import APPROVE, Kb, Typed
from bot.slack.commands.parsing import COMMAND, THINK
from bot.slack.commands.think import Think
from bot.slack.errors import SlackError, SlackMissingScope
from bot.slack.events import Deleted, Edited, HomeOpened, Me, Removed, Said, Stopped, parse
from bot.slack.history.channel_events import read_news
from bot.slack.posting import render
from bot.slack.posting.buttons import ADD, LOOK, SHOW, Pressed
from bot.slack.tasks import Tasks
from bot.slack.transport.calls import Calls
from bot.slack.turns.turns import Turns
from bot.storage.channel_event_log import Journal
from bot.storage.database import LedgerError
from bot.storage.questions import Key
from knowledge.errors import KnowledgeError

_log = structlog.get_logger(__name__)

_ALL = re.compile(".*", re.DOTALL)
_TOLD = 1_000

Ack = Callable[..., Awaitable[BoltResponse]]
Next = Callable[[], Awaitable[BoltResponse]]


@dataclass(slots=True)
class Desk:
    """Takes in what happens in Slack."""

    me: Me
    turns: Turns
    kb: Kb
    think: Think
    looking: Looking
    calls: Calls
    tasks: Tasks
    apology: Callable[[BaseException], str]
    on_removed: Callable[[], None]
    answer_in_shared: bool = False
    """Whether questions from this workspace are answered in channels that another company reads too."""
    pages: PageDesk | None = None
    """What adds pages of the web, where owners may."""
    passages: PassageDesk | None = None
    """What shows whole passages."""
    journal: Journal | None = None
    """Where what is said in public channels is noted, if they are a source."""
    _told: dict[tuple[str, str], None] = field(default_factory=dict)

    def register(self, app: AsyncApp) -> None:
        """Register on a Bolt app."""
        app.event(_ALL, middleware=[self._event])(_nothing)
        app.command(_ALL)(self._command)
        app.action(_ALL)(self._action)
        for listener in (app.shortcut, app.view, app.view_closed, app.options):
            listener(_ALL)(_acknowledge)

    async def _event(self, body: Mapping[str, Any], next_: Next) -> BoltResponse | None:
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
        if self.journal is not None and (news := read_news(body, self.me)) is not None:
            await self.journal.note(self.me.team, news)

    async def take(self, body: Mapping[str, Any]) -> None:
        """Do what an event asks for.

        Raises:
            LedgerError: it could not be written down; it has to come again.

        """
        match parse(body, self.me):
            case Said() as said:
                await self._said(said)
            case Edited(said, newly_addressed):
                if not await self.turns.edited(said.asked.key, said.asked.text) and newly_addressed:
                    await self._said(said)
            case Deleted(key):
                await self.turns.deleted(key)
            case Stopped(channel, thread_ts):
                self.turns.stopped(channel, thread_ts)
            case HomeOpened(user):
                self.tasks.start(self._home(user), "home")
            case Removed():
                self.on_removed()
            case None:
                pass

    async def _said(self, said: Said) -> None:
        if not said.addressed and not await self.turns.takes_part(said.asked):
            return
        if said.stranger:
            return  # another company's people are not answered from ours
        if said.shared and not self.answer_in_shared:
            self._whisper(said.asked.key, said.asked.user, _shared(said.asked.text))
            return
        await self.turns.ask(said.asked)

    def _excuse(self, body: Mapping[str, Any], error: LedgerError) -> None:
        said = parse(body, self.me)
        if isinstance(said, Said) and said.addressed and not said.stranger:
            self._whisper(said.asked.key, said.asked.user, self.apology(error))

    def _whisper(self, key: Key, user: str, text: str) -> None:
        """Tell one person something about one message, once."""
        if (key.channel, key.ts) in self._told:
            return
        self._told[key.channel, key.ts] = None
        if len(self._told) > _TOLD:
            del self._told[next(iter(self._told))]
        self.tasks.start(self._ephemeral(key.channel, user, render.escape(text)), "whisper")

    async def _ephemeral(self, channel: str, user: str, text: str, thread_ts: str | None = None) -> None:
        try:
            await self.calls.call("chat.postEphemeral", channel=channel, user=user, text=text, thread_ts=thread_ts)
        except SlackError as error:
            _log.warning("whisper not shown", channel=channel, error=str(error))

    async def _home(self, user: str) -> None:
        try:
            await self.calls.call("views.publish", user_id=user, view=home_view(await self.kb.status(user)))
        except Exception as error:  # noqa: BLE001 (a Home that cannot be shown is logged and nothing else)
            _log.warning("home not shown", error=type(error).__name__, exc_info=error)

    async def _command(self, ack: Ack, command: Mapping[str, Any]) -> None:
        await ack()
        if command.get("command") == COMMAND:
            self.tasks.start(self.kb.run(Typed.of(command)), "kb")
        elif command.get("command") == THINK:
            self.tasks.start(self.think.run(Typed.of(command)), "think")

    async def _action(self, ack: Ack, body: Mapping[str, Any], action: Mapping[str, Any]) -> None:
        await ack()
        if action.get("action_id") == APPROVE:
            self.tasks.start(self.kb.approve(Typed.pressed(body, action)), "approve")
        elif action.get("action_id") == LOOK:
            self.tasks.start(self._look(Pressed.of(body, action)), "look")
        elif str(action.get("action_id")).startswith(SHOW) and self.passages is not None:
            self.tasks.start(self._show(Pressed.of(body, action), self.passages), "show passage")
        elif str(action.get("action_id")).startswith(ADD) and self.pages is not None:
            self.tasks.start(self.pages.add(Pressed.of(body, action)), "add page")

    async def _look(self, pressed: Pressed) -> None:
        """Have a question answered anew, with the web; who may not, or is late, is told so."""
        try:
            if not await self._may_answer(pressed):
                return
            begun = await self.looking.again(pressed)
        except (LedgerError, SlackError) as error:
            await self._ephemeral(pressed.channel, pressed.user, render.escape(self.apology(error)), pressed.thread_ts)
            return
        if not begun:
            told = words.LOOKED_ALREADY if begun is False else words.QUESTION_GONE
            text = f"{told.english}\n{told.chinese}"
            await self._ephemeral(pressed.channel, pressed.user, text, pressed.thread_ts)

    async def _show(self, pressed: Pressed, passages: PassageDesk) -> None:
        """Show a whole passage to the person who pressed its button, where answers are given."""
        try:
            if await self._may_answer(pressed):
                await passages.show(pressed)
        except (KnowledgeError, SlackError) as error:
            await self._ephemeral(pressed.channel, pressed.user, render.escape(self.apology(error)), pressed.thread_ts)

    async def _may_answer(self, pressed: Pressed) -> bool:
        """Tell whether the person who pressed a button is answered there; say so where the channel is the reason.

        Raises:
            SlackError: Slack cannot be asked.

        """
        if pressed.user_team not in {"", self.me.team}:
            return False  # another company's people are not answered from ours
        if self.answer_in_shared or not await self._is_shared(pressed.channel):
            return True
        both = f"{_SHARED.english}\n{_SHARED.chinese}"
        await self._ephemeral(pressed.channel, pressed.user, both, pressed.thread_ts)
        return False

    async def _is_shared(self, channel: str) -> bool:
        """Tell whether another company reads a channel by now: unlike a message, a press does not say so.

        Raises:
            SlackError: Slack cannot be asked.

        """
        if channel.startswith("D"):
            return False
        try:
            found = await self.calls.call("conversations.info", channel=channel)
        except SlackMissingScope:
            return False  # of group messages Slack tells with a right that is not asked for
        return bool((found.get("channel") or {}).get("is_ext_shared"))


_SHARED = words.Words(
    "This channel is shared with another company, so I do not answer here. Ask me in a direct message.",
    "此频道与其他公司共享，我不在这里作答。请在内部频道或私信中问我。",
)


def _shared(text: str) -> str:
    return _SHARED.chinese if render.is_chinese(text) else _SHARED.english


async def _nothing() -> None:
    """Stand behind the middleware, which has done the work."""


async def _acknowledge(ack: Ack) -> None:
    await ack()
