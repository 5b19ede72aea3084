"""Questions → answers: who is answered when, what a restart finds, and that nobody is answered twice.

The life of a turn: ``ask`` writes it into the ledger (that is what Slack's acknowledgement waits for) and puts it in
its thread's lane; when its time comes, ``begin`` takes it, what an earlier attempt left in the thread is tidied up,
the answer is shown as it comes, and ``finish`` closes the row. A turn that Slack, the ledger or a killed process
interrupted stays open in the ledger and is begun again, here or by whichever process lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import structlog

from bot.answering.events import AnswerEvent, Finished, Question
from bot.answering.policy import Policies
from bot.slack import texts
from bot.slack.errors import SlackError, SlackGone, SlackStopped, SlackUnauthorized
from bot.slack.events import BotUser, make_readable
from bot.slack.file_intake import FileIntake
from bot.slack.posting import render
from bot.slack.posting.message_sink import ReplyTarget, SlackCapabilities
from bot.slack.posting.reply import AnswerReply
from bot.slack.transport.web_api import SlackWebApi
from bot.slack.turns.crash_recovery import AnswerRecovery
from bot.slack.turns.question_builder import QuestionBuilder
from bot.slack.turns.thread_queue import ThreadQueue
from bot.slack.turns.thread_reader import ThreadReader
from bot.slack.turns.turn_log import TurnRecord
from bot.storage.database import LedgerError
from bot.storage.ledger import Ledger
from bot.storage.questions import UNFINISHED, QuestionKey, QuestionMessage, Turn, TurnState

_log = structlog.get_logger("kvasir.turns")

_MAX_PAUSE_S = 60.0
"""Between two attempts at a turn that Slack or the ledger interrupts."""

_PURGE_EVERY_S = 86_400.0

ThreadId = tuple[str, str, str]


class QuestionAnswerer(Protocol):
    """What makes the answers; ``bot.answering`` holds the real one."""

    def answer(self, question: Question) -> AsyncIterator[AnswerEvent]:
        """Answer a question; closing the iterator cancels the answer."""


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """How turns are run."""

    concurrent: int = 300
    """At once, those included that wait in the engine's own queue, which is fair to people and tells where they stand;
    the others wait in the order in which they were asked."""
    deadline_s: float = 900.0
    """For one answer, from its turn to its last word; a reasoning model may think for minutes."""
    drain_s: float = 20.0
    """How long answers may go on once the process is told to end."""
    heartbeat_s: float = 5.0
    """Between two renewals of the lease; what was left open is looked for just as often."""
    attempts: int = 3
    """How often a question may break the process before it is given up with a sentence."""
    give_up_s: float = 3_600.0
    """How long a question waits for a Slack or a ledger that is down."""
    keep_turns_s: float = 30 * 86_400
    keep_threads_s: float = 365 * 86_400
    """How long a silent thread is remembered as one that the bot takes part in."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """What narrows every search of a channel, by the channel's id."""
    web: Policies = field(default_factory=Policies)
    """What of the live web may be asked where."""


class _CancelReason(StrEnum):
    EDITED = "edited"
    DELETED = "deleted"
    STOPPED = "stopped"
    ENDING = "ending"


class _RunningTurn:
    """A turn that is being answered."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.why: _CancelReason | None = None
        self.reply: AnswerReply | None = None
        self.revision = -1

    def cancel(self, why: _CancelReason) -> None:
        if self.why is None:
            self.why = why
            self.task.cancel()


class TurnManager:
    """Owns every question from its claim to its answer."""

    def __init__(
        self,
        ledger: Ledger,
        answerer: QuestionAnswerer,
        api: SlackWebApi,
        me: BotUser,
        *,
        apology: Callable[[BaseException], str],
        settings: TurnSettings | None = None,
        capabilities: SlackCapabilities | None = None,
        on_unauthorized: Callable[[SlackUnauthorized], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._answerer = answerer
        self._api = api
        self._me = me
        self._apology = apology
        self._settings = settings or TurnSettings()
        self._abilities = capabilities or SlackCapabilities()
        self._on_unauthorized = on_unauthorized
        self.intake: FileIntake | None = None
        """What takes in files that are sent to the bot, where that is possible."""
        self.threads = self._threads = ThreadReader(api, me)
        self.asking = QuestionBuilder(self._threads, self._settings.channels, self._settings.web)
        self._left = AnswerRecovery(ledger, self._threads, api)
        self._lanes: ThreadQueue[ThreadId, QuestionKey] = ThreadQueue(self._settings.concurrent)
        self._running: dict[QuestionKey, _RunningTurn] = {}
        self._claimed_at: dict[QuestionKey, float] = {}
        self._begun: dict[QuestionKey, Turn] = {}
        """Turns that the ledger has as begun although their task has not run yet."""
        self._rests_until: dict[QuestionKey, tuple[float, float]] = {}
        """When an interrupted turn may be begun again, and the pause that led there, in seconds."""
        self._keeper: asyncio.Task[None] | None = None
        self._ending = False
        self._purged_at = 0.0

    # ── What happens in Slack ────────────────────────────────────────────────────────────────────────────────────────

    async def ask(self, message: QuestionMessage) -> bool:
        """Take a question on; False if it was taken on before, whoever did.

        Raises:
            LedgerError: it could not be written down, so Slack should send it again.

        """
        at = time.perf_counter()
        # Written down as begun where it will be: one trip to the ledger less before its answer.
        begun = not self._ending and self._lanes.is_free(message.thread)
        if not await self._ledger.claim(message, begun=begun):
            return False
        self._claimed_at[message.key] = at
        if begun and not self._ending and self._lanes.is_free(message.thread):
            self._begun[message.key] = Turn(message, TurnState.ANSWERING, 0, (), 1, time.time())
        self._queue(message)
        return True

    async def is_participant(self, message: QuestionMessage) -> bool:
        """Tell whether the bot was asked anything in this question's thread before.

        Raises:
            LedgerError: the ledger cannot be asked.

        """
        return not message.opens_thread and await self._ledger.is_participant(*message.thread)

    async def edited(self, key: QuestionKey, text: str) -> bool:
        """Answer the new text if the old one is not answered yet; False if there was nothing to change.

        Raises:
            LedgerError: the edit could not be written down.

        """
        changed = await self._ledger.edit(key, text)
        if changed is TurnState.ANSWERING and key in self._running:
            self._running[key].cancel(_CancelReason.EDITED)
        return changed is not None

    async def deleted(self, key: QuestionKey) -> bool:
        """Stop answering a question that is gone; what was said already stays.

        Raises:
            LedgerError: the deletion could not be written down.

        """
        closed = await self._superseded(key)
        turn = await self._ledger.find(key)
        for ts in turn.replies if turn is not None else ():  # what a button under its answer has asked anew
            closed = await self._superseded(QuestionKey(key.team, key.channel, ts)) or closed
        return closed

    async def _superseded(self, key: QuestionKey) -> bool:
        closed = await self._ledger.supersede(key)
        if closed and key in self._running:
            self._running[key].cancel(_CancelReason.DELETED)
        return closed

    def stopped(self, channel: str, thread_ts: str) -> bool:
        """Stop the answer in a thread; False if there is none here."""
        for key, running in self._running.items():
            if key.channel == channel and running.reply is not None and running.reply.thread_ts == thread_ts:
                running.cancel(_CancelReason.STOPPED)
                return True
        return False

    # ── The process's life ───────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Take over what dead processes left open, and keep the leases from now on.

        Raises:
            LedgerError: the ledger cannot be read.

        """
        await self._adopt()
        await self._purge()
        self._keeper = asyncio.create_task(self._keep(), name="ledger keeper")

    async def close(self) -> None:
        """Begin nothing more, let running answers end for a while, then stop them; the next start finds them open."""
        self._ending = True
        tasks = [running.task for running in self._running.values()]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=self._settings.drain_s)
        finally:
            if self._keeper is not None:
                self._keeper.cancel()
            for running in list(self._running.values()):
                running.cancel(_CancelReason.ENDING)
            await asyncio.gather(*tasks, *([self._keeper] if self._keeper else []), return_exceptions=True)

    async def _purge(self) -> None:
        self._purged_at = time.monotonic()
        await self._ledger.purge(
            turns_older_than_s=self._settings.keep_turns_s, threads_older_than_s=self._settings.keep_threads_s
        )

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            try:
                await self._beat()
                await self._adopt()
                if time.monotonic() - self._purged_at > _PURGE_EVERY_S:
                    await self._purge()
            except LedgerError as error:
                _log.warning("ledger", error=str(error))

    async def _beat(self) -> None:
        """Renew the leases; see to what others edited or deleted meanwhile, and to what was left open here."""
        ours = await self._ledger.renew_leases()
        for key, running in list(self._running.items()):
            if key not in ours:
                await self._lost(key, running)
            elif running.revision not in {-1, ours[key]}:
                running.cancel(_CancelReason.EDITED)
        for key in ours:
            rests_until, _ = self._rests_until.get(key, (0.0, 0.0))
            if key in self._lanes or rests_until > time.monotonic():
                continue
            if (turn := await self._ledger.find(key)) is not None:
                self._queue(turn.message)

    async def _lost(self, key: QuestionKey, running: _RunningTurn) -> None:
        """See to a running turn that is not open in our name any more: deleted, or taken by a process that lives."""
        turn = await self._ledger.find(key)
        if turn is not None and turn.state is TurnState.SUPERSEDED:
            running.cancel(_CancelReason.DELETED)
        elif turn is not None and turn.state in UNFINISHED and running.revision >= 0:
            running.cancel(_CancelReason.ENDING)

    async def _adopt(self) -> None:
        for turn in await self._ledger.list_unfinished():
            self._queue(turn.message)

    def _queue(self, message: QuestionMessage) -> None:
        self._lanes.add(message.thread, message.key)
        self._move()

    def _move(self) -> None:
        while not self._ending and (taken := self._lanes.take()) is not None:
            thread, key = taken
            task = asyncio.create_task(self._run(key, thread), name=f"turn {key.channel} {key.ts}")
            self._running[key] = _RunningTurn(task)

    # ── One turn ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, key: QuestionKey, thread: ThreadId) -> None:
        account = TurnRecord()
        started = time.perf_counter()
        account.wait_s = started - self._claimed_at.pop(key, started)
        again: QuestionMessage | None = None
        try:
            again = await self._turn(key, account, started)
        except (SlackError, LedgerError) as error:
            account.outcome, account.error = "open", str(error)
            await self._interrupted(key, error)
        except Exception as error:  # noqa: BLE001 (the owner of the task: a bug is logged, and the turn stays open)
            account.outcome, account.error = "open", type(error).__name__
            _log.exception("turn broke", channel=key.channel, ts=key.ts)
        finally:
            del self._running[key]
            self._lanes.done(thread)
            account.tell(key, time.perf_counter() - started)
            if again is not None:
                self._queue(again)
            self._move()

    async def _interrupted(self, key: QuestionKey, error: SlackError | LedgerError) -> None:
        """Leave a turn open for the keeper; that Slack or the ledger failed does not count against it."""
        _, pause_s = self._rests_until.get(key, (0.0, self._settings.heartbeat_s / 2))
        pause_s = min(pause_s * 2, _MAX_PAUSE_S)
        self._rests_until[key] = (time.monotonic() + pause_s, pause_s)
        if isinstance(error, SlackUnauthorized) and self._on_unauthorized is not None:
            self._on_unauthorized(error)
        with contextlib.suppress(LedgerError):
            await self._ledger.refund_attempt(key)

    async def _turn(self, key: QuestionKey, account: TurnRecord, started: float) -> QuestionMessage | None:
        """Answer one question; returns it where it has to be answered anew."""
        running = self._running[key]
        try:
            turn = self._begun.pop(key, None) or await self._ledger.begin(key)
            if turn is None:
                self._rests_until.pop(key, None)
                account.outcome = "superseded"
                return None
            running.revision, account.attempts = turn.revision, turn.attempts
            running.reply = self._reply(turn)
            state = await self._answered(turn, running.reply, account, started)
        except asyncio.CancelledError:
            if running.why is None:
                raise
            return await self._cancelled(key, running, account)
        self._rests_until.pop(key, None)
        if await self._ledger.finish(key, turn.revision, state, account.error):
            return None
        account.outcome = "edited"
        return await self._anew(key, running.reply)

    async def _cancelled(self, key: QuestionKey, running: _RunningTurn, account: TurnRecord) -> QuestionMessage | None:
        asyncio.current_task().uncancel()  # type: ignore[union-attr]
        account.outcome = running.why or ""
        reply = running.reply
        match running.why:
            case _CancelReason.EDITED:
                return await self._anew(key, reply)
            case _CancelReason.STOPPED if reply is not None:
                await reply.conclude(texts.ANSWER_STOPPED.to(reply), at_once=True)
                await self._ledger.finish(key, running.revision, TurnState.DONE, "stopped")
            case _CancelReason.DELETED if reply is not None and reply.replies:
                await reply.conclude(texts.QUESTION_DELETED.to(reply), at_once=True)
            case _ if reply is not None:
                await reply.halt()
        return None

    async def _anew(self, key: QuestionKey, reply: AnswerReply | None) -> QuestionMessage | None:
        """Take back what was shown, and return the question as it reads now; None if it was deleted instead."""
        turn = await self._ledger.find(key)
        if turn is None or turn.state not in UNFINISHED:
            return None
        if reply is not None:
            await reply.retract()
            await self._ledger.note_replies(key, ())
        return turn.message

    async def _answered(self, turn: Turn, reply: AnswerReply, account: TurnRecord, started: float) -> TurnState:
        if turn.attempts > 1 and await self._left.tidy(turn, reply):
            account.outcome = "found"
            return TurnState.DONE
        if turn.attempts > self._settings.attempts or time.time() - turn.received_at > self._settings.give_up_s:
            account.outcome = account.error = "given up"
            await reply.say(texts.TOO_MANY_ATTEMPTS.to(reply))
            return TurnState.FAILED
        try:
            return await self._shown(turn, reply, account, started)
        except SlackStopped:
            account.outcome = "stopped"
            await reply.conclude(texts.ANSWER_STOPPED.to(reply), at_once=True)
            return TurnState.DONE
        except SlackGone as error:
            account.outcome, account.error = "gone", str(error)
            await reply.rest()
            return TurnState.FAILED
        except TimeoutError as error:
            account.outcome, account.error = "late", "deadline"
            await reply.conclude(self._apology(error))
            return TurnState.FAILED

    async def _shown(self, turn: Turn, reply: AnswerReply, account: TurnRecord, started: float) -> TurnState:
        async with asyncio.timeout(self._settings.deadline_s):
            reply.start_status()
            if self.intake is not None and self.intake.takes(turn.message):
                text = await self._threads.question(turn.message)
                finished = await reply.show(self.intake.answer(turn.message, text, reply))
                return self._outcome(finished, reply, account)
            question = await self.asking.question(turn.message, reply)
            if not question.text and self.intake is not None and self.intake.may_be_given(turn.message):
                await reply.say(self.intake.refusal(await self._threads.names(self.intake.owners), reply))
                account.route = "help"
                return TurnState.DONE
            if not question.text:
                await reply.say(texts.EMPTY_QUESTION.to(reply))
                account.route = "help"
                return TurnState.DONE
            account.begun_s = time.perf_counter() - started
            finished = await reply.show(self._answerer.answer(question))
        account.first_call_s = reply.first_call_s
        return self._outcome(finished, reply, account)

    def _outcome(self, finished: Finished | None, reply: AnswerReply, account: TurnRecord) -> TurnState:
        if reply.failure is not None:
            account.outcome, account.error = "failed", type(reply.failure).__name__
            return TurnState.FAILED
        account.route = finished.route if finished is not None else ""
        return TurnState.DONE

    def _reply(self, turn: Turn) -> AnswerReply:
        message = turn.message
        target = ReplyTarget(message.key.team, message.key.channel, message.thread_ts, message.key.ts, message.user)

        async def note(replies: Sequence[str]) -> None:
            try:
                await self._ledger.note_replies(message.key, replies)
            except LedgerError as error:  # the thread itself tells a restart what was said
                _log.warning("reply not noted", channel=message.key.channel, ts=message.key.ts, error=str(error))

        return AnswerReply(
            target,
            self._api,
            self._abilities,
            note=note,
            apology=self._apology,
            chinese=render.is_chinese(make_readable(message.text, {}, me=self._me.user)),
        )
