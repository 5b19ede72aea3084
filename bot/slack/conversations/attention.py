"""Knows what ``addressing`` needs to decide whether a message is meant for Kvasir, and mutes threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

import structlog

from bot.languages.registry import Language, choose_language
from bot.messages import threads as texts
from bot.messages.message import render_both, render_message
from bot.slack.conversations.addressing import (
    AddressingReason,
    Decision,
    Handling,
    ThreadFacts,
    add_talker,
    asks_everybody,
    decide_handling,
    find_vocative,
)
from bot.slack.conversations.channel_rules import ChannelRules
from bot.slack.conversations.thread_loader import ThreadLoader
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.errors import SlackError
from bot.slack.wire.events import BotUser, MessageReceived, MuteReaction
from bot.storage.turns.questions import QuestionMessage
from bot.storage.turns.threads import Thread, ThreadRecord, ThreadRecords

_log = structlog.get_logger(__name__)

_NAMES_TIMEOUT_S = 1.5
"""Slack waits three seconds for the acknowledgement of a message."""


class ThreadAttention:
    """Decides which messages Kvasir answers, and which threads it leaves alone."""

    def __init__(
        self,
        records: ThreadRecords,
        follow_up_days: float,
        threads: ThreadLoader,
        messenger: EphemeralMessenger,
        me: BotUser,
        *,
        find_language: Callable[[str], Awaitable[Language | None]],
        channel_rules: ChannelRules,
    ) -> None:
        """``find_language`` returns the language of a person, None if it is unknown."""
        self._records = records
        self._follow_up_s = follow_up_days * 86_400
        self._threads = threads
        self._messenger = messenger
        self._me = me
        self._find_language = find_language
        self._channel_rules = channel_rules

    async def find_question(self, received: MessageReceived) -> QuestionMessage | None:
        """Return the question to Kvasir that a message is, or that Kvasir may answer unasked; None if it is neither.

        Mute or unmute its thread if it says so.

        Raises:
            DatabaseError: the thread or the channel's settings cannot be read or changed.

        """
        message = received.message
        record = None if received.is_addressed else await self._find_record(message)
        facts = None if record is None else await self._collect_facts(message, record)
        decision = decide_handling(received, self._me.user, facts)
        if decision.handling in {Handling.MUTE, Handling.UNMUTE}:
            await self._follow_command(message, muted=decision.handling is Handling.MUTE)
        elif decision.handling is Handling.LEAVE and record is not None:
            await self._leave_alone(message, record, decision)
        if decision.handling is Handling.ANSWER:
            return message
        is_open = (
            decision.reason is AddressingReason.NO_THREAD
            and asks_everybody(message)
            and await self._answers_unasked(received)
        )
        return replace(message, is_unasked=True) if is_open else None

    async def _answers_unasked(self, received: MessageReceived) -> bool:
        """Return whether Kvasir answers questions to everybody where a message was written."""
        rule = await self._channel_rules.find_rule(received.message.key.channel)
        return rule.unasked_per_hour > 0 and not received.is_channel_shared

    async def may_be_meant(self, received: MessageReceived) -> bool:
        """Return whether a message may be a question to Kvasir, without reading its text.

        Raises:
            DatabaseError: the thread or the channel's settings cannot be read.

        """
        if received.is_addressed or await self._find_record(received.message) is not None:
            return True
        return received.message.opens_thread and await self._answers_unasked(received)

    async def _find_record(self, message: QuestionMessage) -> ThreadRecord | None:
        return None if message.opens_thread else await self._records.find_thread(message.thread, message.user)

    async def _collect_facts(self, message: QuestionMessage, record: ThreadRecord) -> ThreadFacts:
        return ThreadFacts(
            is_muted=record.is_muted,
            is_silent=self._records.now() - record.last_at > self._follow_up_s,
            is_mention_only=(await self._channel_rules.find_rule(message.key.channel)).is_mention_only,
            has_asked=record.has_asked,
            talkers=record.talkers,
            names=await self._find_names(message) if find_vocative(message.text) else (),
        )

    async def _find_names(self, message: QuestionMessage) -> Collection[str]:
        """Return the names of the other people in a thread; none if Slack does not return them in time."""
        try:
            async with asyncio.timeout(_NAMES_TIMEOUT_S):
                written = await self._threads.fetch_messages(message)
                people = {one.user for one in written if not one.is_ours} - {"", message.user}
                return (await self._threads.find_names(people)).values()
        except (SlackError, TimeoutError) as error:
            _log.warning("names not read", channel=message.key.channel, error=str(error))
            return ()

    async def _leave_alone(self, message: QuestionMessage, record: ThreadRecord, decision: Decision) -> None:
        key = message.key
        _log.info("message left alone", channel=key.channel, ts=key.ts, reason=decision.reason.value)
        talkers = add_talker(record.talkers, message.user, decision.reason)
        if talkers != record.talkers:
            await self._records.set_talkers(message.thread, talkers)

    # ── Muting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow_command(self, message: QuestionMessage, *, muted: bool) -> None:
        if message.opens_thread:
            text = render_message(texts.MUTE_NEEDS_THREAD, choose_language(message.text))
            await self._messenger.reach_person(message.key.channel, message.user, text, only_there=True)
        else:
            await self._set_muted(message.thread, message.user, message.text, muted=muted, at=float(message.key.ts))

    async def handle_reaction(self, reaction: MuteReaction) -> None:
        """Mute the thread of an answer that got 🔇; end that if the reaction was removed.

        Raises:
            DatabaseError: the thread cannot be read or changed.

        """
        key = reaction.key
        thread = await self._records.find_thread_of_answer(key.team, key.channel, key.ts)
        if thread is not None and not key.channel.startswith("D"):
            await self._set_muted(thread, reaction.user, "", muted=reaction.is_added, at=reaction.at)

    async def mute_thread(self, channel: str, thread_ts: str, user: str, text: str) -> None:
        """Mute a thread now; ``text`` is what the person wrote or pressed, in their language.

        Raises:
            DatabaseError: the thread cannot be changed.

        """
        thread = (self._me.team, channel, thread_ts)
        await self._set_muted(thread, user, text, muted=True, at=self._records.now())

    async def _set_muted(self, thread: Thread, user: str, text: str, *, muted: bool, at: float) -> None:
        if await self._records.set_muted(thread, muted=muted, at=at):
            message = texts.MUTED if muted else texts.UNMUTED
            language = choose_language(text) if text else await self._find_language(user)
            answer = render_message(message, language) if language else render_both(message)
            await self._messenger.reach_person(thread[1], user, answer, thread_ts=thread[2])
