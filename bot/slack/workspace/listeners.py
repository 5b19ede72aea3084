"""Connects what Slack sends with the code that handles it.

Slack gets its acknowledgement for a question once the ledger has stored it. If the ledger fails, the answer is 503
(over Socket Mode: none), and Slack sends the event again. Everything that Kvasir does not handle is acknowledged too:
otherwise Slack retries it and finally disables the subscription.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from bot.audit.entries import Event
from bot.errors import BotError
from bot.languages.registry import choose_language
from bot.messages import replies
from bot.messages.errors import explain_error
from bot.messages.forms import buttons
from bot.messages.message import render_message
from bot.slack.conversations.history.channel_events import read_channel_event
from bot.slack.features.kit.feature import CommandHandler, EventHandler, Feature, ShortcutHandler
from bot.slack.features.kit.modal import Modal
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.turns.turns import TurnManager
from bot.slack.wire.events import (
    AppRemoved,
    ChannelIdChanged,
    HomeOpened,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    MuteReaction,
    SharingEnded,
    StopPressed,
    parse_event,
)
from bot.slack.wire.interactions import (
    ActionHandler,
    ButtonPress,
    Interaction,
    InteractionRefused,
    ModalSubmission,
    ShortcutUse,
    SlashCommand,
)
from bot.slack.wire.text import render
from bot.slack.workspace.home_tab import HomeTab
from bot.storage.turns.questions import QuestionMessage
from bot.storage.workspace_rows import WorkspaceRows
from knowledge.errors import DatabaseError, KnowledgeError
from knowledge.latest_entries import LatestEntries

_log = structlog.get_logger(__name__)

_ANY = re.compile(".*", re.DOTALL)
_MAX_NOTIFIED = 1_000
_SUBMISSION_TIMEOUT_S = 1.5
_RECORDED = ("channel", "text", "value", "conversation", "choices", "metadata")
"""What the audit keeps of a command, a press or a form; texts in forms stay out."""
"""How long a form stays open, so that nothing typed is lost if it fails. Slack waits three seconds."""

Acknowledge = Callable[..., Awaitable[BoltResponse]]
NextMiddleware = Callable[[], Awaitable[BoltResponse]]
Act = TypeVar("Act", bound=Interaction)


class SlackListeners:
    """Handles events, slash commands, buttons, shortcuts and modals, most of them by the features."""

    def __init__(
        self,
        shared: SharedParts,
        turns: TurnManager,
        home: HomeTab,
        features: Sequence[Feature],
        on_removed: Callable[[AppRemoved], None],
    ) -> None:
        self._shared = shared
        self.turns = turns
        self.home = home
        self.on_removed = on_removed
        self.channel_moves = WorkspaceRows(shared.database, shared.me.team)
        self.event_log = shared.dependencies.event_log
        """Stores events of public channels if they are a source."""
        self.commands: dict[str, CommandHandler] = {}
        self.shortcuts: dict[str, ShortcutHandler] = {}
        self.event_handlers: dict[type, EventHandler] = {}
        self.actions: dict[str, ActionHandler] = {}
        """The handlers by action id, without the number that distinguishes buttons of one message."""
        self.modals: dict[str, Modal] = {}
        for feature in features:
            self.commands |= feature.commands
            self.shortcuts |= feature.shortcuts
            self.event_handlers |= feature.event_handlers
            self.actions |= feature.actions
            self.actions |= {button.action_id: button.run for button in feature.answer_buttons}
            self.actions |= {name: home.publish_after(action) for name, action in feature.home_actions.items()}
            self.modals |= {modal.callback_id: modal for modal in feature.modals}
        self._notification_keys: LatestEntries[tuple[str, str], None] = LatestEntries(_MAX_NOTIFIED)

    def register_listeners(self, app: AsyncApp) -> None:
        """Register on a Bolt app."""
        app.event(_ANY, middleware=[self._handle_event])(_ignore_event)
        app.command(_ANY)(self._handle_command)
        app.action(_ANY)(self._handle_action)
        app.shortcut(_ANY)(self._handle_shortcut)
        app.view(_ANY)(self._handle_submission)
        for listener in (app.view_closed, app.options):
            listener(_ANY)(_acknowledge_event)

    # ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _handle_event(self, body: Mapping[str, Any], next_: NextMiddleware) -> BoltResponse | None:
        """Store an event before Bolt acknowledges it."""
        self._shared.directory.apply_event(body)
        try:
            await self.handle_event(body)
            await self._log_channel_event(body)
        except DatabaseError as error:
            _log.error("event not stored", error=str(error), event_id=str(body.get("event_id", "")))
            self._apologize(body, error)
            return BoltResponse(status=503, body="")
        return await next_()

    async def _log_channel_event(self, body: Mapping[str, Any]) -> None:
        """Store what an event changes in channels that are a source; questions go first, because a person waits."""
        if self.event_log is not None and (event := read_channel_event(body, self._shared.me)) is not None:
            await self.event_log.add_event(self._shared.me.team, event)

    async def handle_event(self, body: Mapping[str, Any]) -> None:
        """Do what an event asks for.

        Raises:
            DatabaseError: the ledger cannot store it, so Slack has to send it again.

        """
        event = parse_event(body, self._shared.me)
        if (handler := self.event_handlers.get(type(event))) is not None:
            await handler(event)
            return
        match event:
            case MessageReceived() as received:
                await self._handle_message(received)
            case MessageEdited() as edited:
                await self._handle_edit(edited)
            case MessageDeleted(key, received):
                may_be_asked = received is not None and await self._shared.attention.may_be_meant(received)
                await self.turns.handle_deletion(key, received.message if received and may_be_asked else None)
            case StopPressed(channel, thread_ts):
                await self.turns.handle_stop(channel, thread_ts)
            case MuteReaction() as reaction:
                await self._shared.attention.handle_reaction(reaction)
            case HomeOpened(user):
                self._shared.tasks.start(self._open_home(user), "tab of the app")
            case SharingEnded() | ChannelIdChanged() as change:
                await self._change_channel(change)
            case AppRemoved() as removed:
                self.on_removed(removed)

    async def _change_channel(self, change: SharingEnded | ChannelIdChanged) -> None:
        if isinstance(change, SharingEnded):
            await self._shared.viewers.withdraw_approval(change.channel)
            return
        _log.warning("channel has a new id", old=change.old, new=change.new, next_step="replace it in kvasir.toml")
        await self.channel_moves.move_channel(change.old, change.new)

    async def _handle_edit(self, edited: MessageEdited) -> None:
        """Revise the answer to an edited question, or answer a message that the ledger does not know."""
        received = edited.message
        message = replace(received.message, is_unasked=not received.is_addressed)
        if await self.turns.handle_edit(message, edited.edited_ts):
            return
        if edited.is_newly_addressed or (received.is_addressed and edited.is_early):
            await self._handle_message(received)
            await self.turns.handle_edit(received.message, edited.edited_ts)  # so that late, earlier edits are ignored

    async def _handle_message(self, received: MessageReceived) -> None:
        message = await self._shared.attention.find_question(received)
        if message is None:
            return
        if received.is_channel_shared and not await self._shared.viewers.is_approved(message.key.channel):
            await self._shared.record_event(Event.REFUSAL, message.user, {"channel": message.key.channel})
            text = render_message(replies.SHARED_CHANNEL, choose_language(message.text))
            self._notify_once(message, text)
            return
        await self.turns.submit(message)

    def _apologize(self, body: Mapping[str, Any], error: DatabaseError) -> None:
        event = parse_event(body, self._shared.me)
        if isinstance(event, MessageReceived) and event.is_addressed:
            self._notify_once(event.message, render_message(explain_error(error), choose_language(event.message.text)))

    def _notify_once(self, message: QuestionMessage, text: str) -> None:
        """Tell the asker why a question gets no answer, where it was asked, once although Slack may repeat the event.

        Slack shows an ephemeral message in a thread only if the thread has replies.
        """
        key = message.key
        if (key.channel, key.ts) in self._notification_keys:
            return
        self._notification_keys[key.channel, key.ts] = None
        thread_ts = None if message.opens_thread else message.thread_ts
        reaching = self._shared.messenger.reach_person(
            key.channel, message.user, render.escape_mrkdwn(text), thread_ts=thread_ts
        )
        self._shared.tasks.start(reaching, "ephemeral message")

    async def _open_home(self, user: str) -> None:
        try:
            await self.home.open_home(user)
        except Exception as error:  # noqa: BLE001 (a broken Home tab must not stop the process)
            _log.warning("home not published", error=type(error).__name__, exc_info=error)

    # ── Commands and buttons ─────────────────────────────────────────────────────────────────────────────────────────

    async def _handle_command(self, ack: Acknowledge, command: Mapping[str, Any]) -> None:
        await ack()
        name = str(command.get("command"))
        if (handler := self.commands.get(name)) is not None:
            self._start_handler(handler, SlashCommand.from_payload(command), name)

    async def _handle_action(self, ack: Acknowledge, body: Mapping[str, Any], action: Mapping[str, Any]) -> None:
        await ack()
        name = re.sub(r":\d+\Z", "", str(action.get("action_id")))
        handler = self.actions.get(name, self._explain_button)
        self._start_handler(handler, ButtonPress.from_payload(body, action), name)

    async def _explain_button(self, press: ButtonPress) -> None:
        """Tell a person that a button is of another version or configuration of Kvasir."""
        await self._shared.messenger.answer_interaction(press, render_message(buttons.BUTTON_GONE, press.language))

    async def _handle_shortcut(self, ack: Acknowledge, shortcut: Mapping[str, Any]) -> None:
        await ack()
        name = str(shortcut.get("callback_id"))
        if (handler := self.shortcuts.get(name)) is not None:
            self._start_handler(handler, ShortcutUse.from_payload(shortcut), name)

    async def _handle_submission(self, ack: Acknowledge, body: Mapping[str, Any]) -> None:
        name = str((body.get("view") or {}).get("callback_id"))
        if (modal := self.modals.get(name)) is None:
            await ack()
            return
        submission = await self._shared.languages.apply_language(ModalSubmission.from_payload(body))
        if errors := modal.find_errors(submission):
            texts = {block: render_message(message, submission.language) for block, message in errors.items()}
            await ack(response_action="errors", errors=texts)
            return
        running = asyncio.create_task(self._run_handler(modal.run, submission, name), name=name)
        await asyncio.wait({running}, timeout=_SUBMISSION_TIMEOUT_S)
        first = next(iter(submission.values), "")
        if running.done() and running.result() and first:
            await ack(response_action="errors", errors={first: running.result()})
            return
        await ack()
        self._shared.tasks.start(self._report(running, submission), name)

    def _start_handler(self, handler: Callable[[Act], Awaitable[None]], act: Act, name: str) -> None:
        """Run a handler in the background; if it fails, tell the person why."""

        async def run() -> None:
            chosen = await self._shared.languages.apply_language(act)
            await self._report(self._run_handler(handler, chosen, name), chosen)

        self._shared.tasks.start(run(), name)

    async def _run_handler(self, handler: Callable[[Act], Awaitable[None]], act: Act, name: str) -> str:
        """Run a handler; return why it failed, "" if it did not. A refusal is no failure."""
        # What is typed in a channel with a profile may not be kept.
        is_confidential = self._shared.rules.find_fixed(act.channel).profile is not None
        kept = [part for part in _RECORDED if part != "text" or not is_confidential]
        what = {part: value for part in kept if (value := getattr(act, part, ""))}
        await self._shared.record_event(Event.ACTION, act.user, {"action": name}, what)
        try:
            await self._answer_refusal(handler, act, name)
        except Exception as error:  # noqa: BLE001 (the person learns of every failure)
            trace = None if isinstance(error, BotError | KnowledgeError) else error
            _log.warning("command failed", command=name, error=type(error).__name__, exc_info=trace)
            return render_message(explain_error(error), act.language)
        return ""

    async def _answer_refusal(self, handler: Callable[[Act], Awaitable[None]], act: Act, name: str) -> None:
        """Run a handler; if it refuses, tell the person why."""
        try:
            await handler(act)
        except InteractionRefused as refusal:
            await self._shared.record_event(Event.REFUSAL, act.user, {"command": name}, {"reason": str(refusal)})
            await self._shared.messenger.answer_interaction(act, render_message(explain_error(refusal), act.language))

    async def _report(self, running: Awaitable[str], act: Interaction) -> None:
        """Wait for a handler; if it fails, tell the person why."""
        if problem := await running:
            await self._shared.messenger.answer_interaction(act, render.escape_mrkdwn(problem))


async def _ignore_event() -> None:
    """Do nothing: the middleware has handled the event."""


async def _acknowledge_event(ack: Acknowledge) -> None:
    await ack()
