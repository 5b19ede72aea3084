"""Decides when each question is answered, and answers it once.

``submit`` stores the question in the ledger and queues it in its thread; then Slack gets its acknowledgement. When the
turn starts, ``TurnRunner`` cleans up after an earlier attempt, shows the answer and finishes the turn. A turn that
Slack, the ledger or a crash interrupts stays open in the ledger. ``LeaseKeeper`` queues it again, in this process or in
another.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable

import structlog

from bot.slack.conversations.thread_queue import ThreadQueue
from bot.slack.turns.generated_answers import GeneratedAnswer
from bot.slack.turns.recovery.withdrawals import Withdrawals
from bot.slack.turns.running_turn import CancelReason, RetryDelays, RunningTurn, TurnRecord
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.turn_runner import TurnRunner
from bot.slack.turns.waiting_turns import WaitingTurns
from bot.slack.wire.errors import SlackError, SlackUnauthorized
from bot.slack.wire.tasks import PeriodicTask
from bot.storage.processes import LAST_CALLS_S
from bot.storage.retention import PURGE_EVERY_S
from bot.storage.shared_changes import ChangeKind, SharedChanges
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import UNFINISHED, LedgerTurn, QuestionKey, QuestionMessage, TurnState
from engine.tasks import is_hurried
from knowledge.database.failures import wait_for_database
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.turns")

_FILES_WAIT_S = 30.0
"""How old a question may be when its files arrive in a second event. An older question keeps its answer."""
_SCRUB_S = 0.5  # How long to wait for readers of the database's log. The log is emptied next time if they take longer.

ThreadId = tuple[str, str, str]


class TurnManager:
    """Owns each question from its submission to the end of its answer."""

    def __init__(
        self,
        ledger: Ledger,
        runner: TurnRunner,
        withdrawals: Withdrawals,
        settings: TurnSettings,
        shared_changes: SharedChanges,
        waiting: WaitingTurns,
        *,
        admit: Callable[[QuestionMessage], Awaitable[bool]],
        on_unauthorized: Callable[[SlackError], None] | None = None,
    ) -> None:
        shared_changes.subscribe(ChangeKind.STOP, self._apply_stop)
        shared_changes.subscribe(ChangeKind.QUESTION, self._apply_shared_change)
        self._changes = shared_changes
        self._ledger = ledger
        self._runner = runner
        self._settings = settings
        self._waiting = waiting
        self._admit = admit
        self._on_unauthorized = on_unauthorized
        self._withdrawals = withdrawals
        self._leases = LeaseKeeper(ledger, self, settings)
        self._queue: ThreadQueue[ThreadId, QuestionKey] = ThreadQueue(settings.concurrent, lambda key: key.ts)
        self.running: dict[QuestionKey, RunningTurn] = {}
        self._retry_delays = RetryDelays(settings.heartbeat_s)
        self._submitted_at: dict[QuestionKey, float] = {}
        self._begun: dict[QuestionKey, LedgerTurn] = {}
        """Turns that the ledger has begun and whose task has not run yet."""
        self._announced: set[str] = set()
        """Changes that this process has applied, and will read again as one of all processes."""
        self.is_closing = False
        """Whether no more turns are started here."""

    # ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, message: QuestionMessage, answer: GeneratedAnswer | None = None) -> bool:
        """Store a question, and queue it unless it is refused; return False if any process has it already.

        With an ``answer``, that one is shown, if its viewers may still read it.

        Raises:
            DatabaseError: the ledger cannot store it, so Slack has to send it again.

        """
        submitted_at = time.perf_counter()
        if answer is not None:
            self._runner.keep_answer(message.key, answer)
        # A turn that can start now is stored as begun, which saves one call of the ledger before its answer.
        can_start = message.opens_thread and self._can_start(message)
        state = await self._ledger.claim_question(message, begun=can_start)
        if state is None:
            await self._add_files(message)
            return False
        if not await self._admit(message):
            await self._ledger.refuse_question(message.key)
            return True
        self._submitted_at[message.key] = submitted_at
        if state is TurnState.ANSWERING and self._can_start(message):
            self._begun[message.key] = LedgerTurn(message, TurnState.ANSWERING, 0, (), 1, self._ledger.now())
        self.enqueue(message)
        return True

    async def _add_files(self, message: QuestionMessage) -> None:
        """Answer a question with its files: a mention may arrive without them, before the message that has them."""
        if not message.files:
            return
        await self._answer_again(await self._ledger.add_files(message, within_s=_FILES_WAIT_S))

    def _can_start(self, message: QuestionMessage) -> bool:
        return not self.is_closing and self._queue.is_free(message.thread)

    async def handle_edit(self, message: QuestionMessage, edited_ts: str) -> bool:
        """Answer the asker's new text of a question; return False if this edit changes no question of the ledger.

        An answer that is being written starts over, and a complete one is revised.

        Raises:
            DatabaseError: the ledger cannot store the edit.

        """
        return await self._answer_again(await self._ledger.edit_question(message, edited_ts))

    async def regenerate(self, key: QuestionKey) -> bool:
        """Answer a question again, in place of its answer; return False if it has none yet, or was deleted.

        Raises:
            DatabaseError: the ledger cannot store it.

        """
        return await self._answer_again(await self._ledger.reopen_question(key))

    async def _answer_again(self, turn: LedgerTurn | None) -> bool:
        """Answer a question that has changed, instead of the answer that is being written or is complete.

        Return False if the ledger has changed none.
        """
        if turn is None:
            return False
        if turn.attempts == 0 and await self._admit(turn.message):  # its turn had ended
            self.enqueue(turn.message)
        elif turn.attempts == 0:
            await self._ledger.refuse_question(turn.message.key)
        await self._announce_change(turn, CancelReason.EDITED)
        return True

    async def handle_deletion(self, key: QuestionKey, unknown: QuestionMessage | None = None) -> bool:
        """Erase a deleted question and withdraw its answer; return False if there is none, or it was deleted before.

        ``unknown`` is the deleted message if it may be a question: should it arrive later, it gets no answer.

        Raises:
            DatabaseError: the ledger cannot store the deletion.

        """
        turn = await self._ledger.withdraw_question(key, unknown)
        if turn is None:
            return False
        await self._announce_change(turn, CancelReason.DELETED)
        self.withdraw(key)
        return True

    async def _announce_change(self, turn: LedgerTurn, reason: CancelReason) -> None:
        """Cancel a turn whose question has changed, and let all processes forget its conversation."""
        parts = (*turn.message.thread, turn.message.key.ts, str(turn.revision), reason)
        subject = " ".join(parts)
        self._apply_question_change(subject)
        self._announced.add(subject)
        try:
            await self._changes.publish_change(ChangeKind.QUESTION, *parts)
        except DatabaseError:  # the renewal of the leases notices it, too
            self._announced.discard(subject)

    def _apply_shared_change(self, subject: str) -> None:
        """Apply a change, unless it is from here: a new answer may be there since."""
        if not subject:
            self._announced.clear()
            self._runner.forget_answer(None, "")
        elif subject in self._announced:
            self._announced.discard(subject)
        else:
            self._apply_question_change(subject)

    def _apply_question_change(self, subject: str) -> None:
        team, channel, thread_ts, ts, revision, reason = subject.split(" ")
        if not self._ledger.has_team(team):
            return
        key = QuestionKey(team, channel, ts)
        self._runner.forget_answer(key, f"{team}-{channel}-{thread_ts}")
        running = self.running.get(key)
        # A turn that has begun after the edit answers the new text already.
        if running is not None and (reason == CancelReason.DELETED or -1 < running.revision < int(revision)):
            running.cancel(CancelReason(reason))

    def withdraw(self, key: QuestionKey) -> None:
        """Delete the answer of a deleted question, unless its turn still runs, whose end comes first."""
        if key not in self.running:
            self._withdrawals.start_withdrawal(key, self.handle_deletion)

    async def handle_stop(self, channel: str, thread_ts: str) -> None:
        """Stop the answer in a thread, in whichever process it runs.

        Raises:
            DatabaseError: no answer runs here, and other processes cannot be informed.

        """
        if not self._stop_answer(channel, thread_ts):
            await self._changes.publish_change(ChangeKind.STOP, channel, thread_ts)

    def _stop_answer(self, channel: str, thread_ts: str) -> bool:
        """Stop the answer in a thread; return False if none runs here."""
        for key, running in self.running.items():
            if key.channel == channel and running.reply is not None and running.reply.thread_ts == thread_ts:
                running.cancel(CancelReason.STOPPED)
                return True
        return False

    def _apply_stop(self, subject: str) -> None:
        channel, _, thread_ts = subject.partition(" ")
        self._stop_answer(channel, thread_ts)

    # ── Start and end of the process ─────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Take over the turns of dead processes and start to renew the leases.

        Raises:
            DatabaseError: the ledger cannot be read, for longer than a start waits.

        """
        await wait_for_database(self._leases.adopt_turns)
        self._leases.start(min(self._settings.heartbeat_s, LAST_CALLS_S))

    async def close(self) -> None:
        """Start no more turns, give running ones ``drain_s``, and then cancel them.

        Questions that wait, here or for the engine, are given up at once, and so are cancelled ones at the end. They
        stay open in the ledger, and another process answers them.
        """
        self.is_closing = True
        tasks = [running.task for running in self.running.values()]
        try:
            for running in list(self.running.values()):
                if running.revision < 0 or (running.reply is not None and running.reply.is_in_line):
                    running.cancel(CancelReason.ENDING)
            for key in self._queue.list_waiting():
                await self._release_turn(key)
            if tasks and not is_hurried():
                await asyncio.wait(tasks, timeout=self._settings.drain_s)
        finally:
            for running in list(self.running.values()):
                running.cancel(CancelReason.ENDING)
            await asyncio.gather(self._leases.close(), self._waiting.close(), *tasks, return_exceptions=True)
            await self._withdrawals.close()

    # ── The queue ────────────────────────────────────────────────────────────────────────────────────────────────────

    def may_enqueue(self, key: QuestionKey) -> bool:
        """Return whether a turn neither waits nor runs, and its next attempt is due."""
        return key not in self._queue and self._retry_delays.is_due(key)

    def enqueue(self, message: QuestionMessage) -> None:
        """Put a question into its thread's queue; one whose turn runs follows after that."""
        if message.key in self.running:
            self.running[message.key].next_message = message
        self._queue.add_item(message.thread, message.key)
        self._start_next()
        if not self.is_closing and message.key in self._queue.list_ready():
            self._waiting.add_question(message, self._queue.list_ready)

    def _start_next(self) -> None:
        while not self.is_closing and (next_ := self._queue.take_item()) is not None:
            thread, key = next_
            self._waiting.remove_question(key)
            self._waiting.times.note_start(key)
            task = asyncio.create_task(self._run_turn(key, thread), name=f"turn {key.channel} {key.ts}")
            self.running[key] = RunningTurn(task, functools.partial(self._queue.has_earlier, thread, key))

    async def _run_turn(self, key: QuestionKey, thread: ThreadId) -> None:
        record = TurnRecord()
        record.wait_s = record.started_at - self._submitted_at.pop(key, record.started_at)
        next_message: QuestionMessage | None = None
        self.running[key].start()
        try:
            with self._changes.watch_closely():
                next_message = await self._runner.run(key, self._begun.pop(key, None), self.running[key], record)
            self._retry_delays.forget_delays(key)
            if next_message is not None:
                await self._ledger.leave_thread(key)
        except (SlackError, DatabaseError) as error:
            record.outcome, record.error = "open", str(error)
            await self._handle_interruption(key, error)
        except Exception as error:  # noqa: BLE001 (the task's owner: a bug is logged, and the turn stays open)
            record.outcome, record.error = "open", type(error).__name__
            _log.exception("turn broke", channel=key.channel, ts=key.ts)
        finally:
            running = self.running.pop(key)
            next_message, unused = running.next_message or next_message, running.unused_generations
            self._queue.finish_item(thread)
            self._waiting.times.note_end(key)
            record.write_line(key)
            if record.outcome == CancelReason.ENDING:
                await self._release_turn(key, unused)
            if next_message is not None:
                self.enqueue(next_message)
            elif record.outcome == CancelReason.DELETED:
                self.withdraw(key)
            self._start_next()

    async def _release_turn(self, key: QuestionKey, unused: int = 0) -> None:
        """Leave a question to another process at once. If that fails, the end of its lease does it."""
        with contextlib.suppress(DatabaseError):
            await self._ledger.release_turn(key, unused=unused)

    async def _handle_interruption(self, key: QuestionKey, error: SlackError | DatabaseError) -> None:
        """Leave a turn open for another attempt, and do not count the interrupted one."""
        self._retry_delays.delay_retry(key)
        if isinstance(error, SlackUnauthorized) and self._on_unauthorized is not None:
            self._on_unauthorized(error)
        with contextlib.suppress(DatabaseError):
            await self._ledger.refund_attempt(key)


class LeaseKeeper(PeriodicTask):
    """Renews the leases at intervals. Turns that were changed elsewhere are cancelled, abandoned ones are queued."""

    def __init__(self, ledger: Ledger, turns: TurnManager, settings: TurnSettings) -> None:
        super().__init__("lease keeper", settings.heartbeat_s)
        self._ledger = ledger
        self._turns = turns
        self._settings = settings
        self._purged_at = float("-inf")

    async def run_once(self) -> None:
        """Renew the leases, and take over abandoned turns. After a stop, the leases expire."""
        await self._renew_leases()
        if self._turns.is_closing:
            return
        await self.adopt_turns()
        if time.monotonic() - self._purged_at > PURGE_EVERY_S:
            await self._purge_ledger()

    async def _renew_leases(self) -> None:
        """Renew the leases, apply edits and deletions of other processes, and queue interrupted turns again."""
        ours = await self._ledger.renew_leases()
        for key, running in list(self._turns.running.items()):
            if key not in ours:
                await self._cancel_if_lost(key, running)
            elif running.revision not in {-1, ours[key]}:
                running.cancel(CancelReason.EDITED)
        for key in ours:
            if self._turns.may_enqueue(key) and (turn := await self._ledger.find_turn(key)) is not None:
                self._turns.enqueue(turn.message)

    async def _cancel_if_lost(self, key: QuestionKey, running: RunningTurn) -> None:
        """Cancel a running turn whose lease is gone: the question was deleted, or another process has it."""
        turn = await self._ledger.find_turn(key)
        if turn is not None and turn.state is TurnState.SUPERSEDED:
            running.cancel(CancelReason.DELETED)
        elif (
            turn is not None and turn.state in UNFINISHED and running.revision >= 0 and not self._ledger.owns_turn(turn)
        ):
            running.cancel(CancelReason.LOST)

    async def adopt_turns(self) -> None:
        """Queue the turns and withdrawals that other processes have abandoned.

        Raises:
            DatabaseError: the ledger cannot be read.

        """
        for turn in await self._ledger.list_unfinished():
            self._turns.enqueue(turn.message)
        for turn in await self._ledger.list_withdrawn():
            self._turns.withdraw(turn.message.key)

    async def _purge_ledger(self) -> None:
        if await self._ledger.purge_rows(self._settings.retention):
            await self._ledger.database.scrub_files(_SCRUB_S)
        self._purged_at = time.monotonic()
