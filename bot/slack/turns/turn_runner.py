"""Runs one turn: builds the question, shows its answer in the thread, and stores the outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import replace

from bot.answering.events import AnswerEvent, Finished, Notice, Offer, Passage, Sources, Text
from bot.audit.audited_answerer import AuditedAnswerer
from bot.audit.entries import AuditFailed
from bot.messages import replies
from bot.messages.errors import explain_error
from bot.messages.message import render_message
from bot.slack.conversations.addressing import asks_everybody
from bot.slack.people.viewers import AudienceRefused
from bot.slack.posting.reply import AnswerReply
from bot.slack.posting.writer import CLEANUP_TIMEOUT_S
from bot.slack.turns.answer_follow_up import AnswerFollowUp
from bot.slack.turns.generated_answers import GeneratedAnswer, GeneratedAnswers
from bot.slack.turns.message_files import MessageFiles
from bot.slack.turns.question_builder import QuestionBuilder
from bot.slack.turns.recovery.crash_recovery import AnswerRecovery
from bot.slack.turns.reply_factory import ReplyFactory
from bot.slack.turns.running_turn import CancelReason, RunningTurn, TurnRecord
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.errors import SlackError, SlackGone, SlackMissingScope, SlackRefused, SlackStopped
from bot.slack.wire.tasks import run_despite_cancellation
from bot.storage.turns.ledger import Ledger, ThreadBusy
from bot.storage.turns.questions import UNFINISHED, LedgerTurn, QuestionKey, QuestionMessage, TurnLost, TurnState
from engine.errors import EngineError

_POLL_S = 0.2
_EARLIER_S = 10.0
"""How long an earlier question goes first while nothing is answered in the thread. Its process may be overloaded; if it
has died, another takes the question over at its next heartbeat."""
_WITHHELD = "withheld"
"""The outcome of a question that nobody asked Kvasir, and that gets no answer."""


class TurnRunner:
    """Runs turns, each in the caller's task."""

    def __init__(
        self,
        ledger: Ledger,
        answerer: AuditedAnswerer,
        questions: QuestionBuilder,
        replies: ReplyFactory,
        recovery: AnswerRecovery,
        files: MessageFiles,
        *,
        settings: TurnSettings,
        follow_up: AnswerFollowUp,
    ) -> None:
        self._ledger = ledger
        self._answerer = answerer
        self._questions = questions
        self._replies = replies
        self._recovery = recovery
        self._files = files
        self._settings = settings
        self._follow_up = follow_up
        self._unasked = follow_up.unasked
        self._generated = GeneratedAnswers()

    def keep_answer(self, key: QuestionKey, answer: GeneratedAnswer) -> None:
        """Show an answer to a question instead of generating one."""
        self._generated.keep_answer(key, answer)

    def forget_answer(self, key: QuestionKey | None, conversation: str) -> None:
        """Forget the answer to a question that was edited or deleted, or all answers if it is unknown which."""
        self._follow_up.forget_answer(key, conversation)
        if key is not None:
            self._generated.forget_answer(key)

    async def run(
        self, key: QuestionKey, begun: LedgerTurn | None, running: RunningTurn, record: TurnRecord
    ) -> QuestionMessage | None:
        """Answer one question; ``begun`` is its turn if the ledger has begun it already.

        Returns the question if it needs another turn: it was edited during this one, or an earlier question of its
        thread has arrived.

        Raises:
            SlackError: Slack fails; the turn stays open.
            DatabaseError: the ledger fails; the turn stays open.

        """
        try:
            return await self._run_turn(key, begun, running, record)
        except TurnLost:
            return await self._retract_answer(key, running.reply, record)

    async def _run_turn(
        self, key: QuestionKey, begun: LedgerTurn | None, running: RunningTurn, record: TurnRecord
    ) -> QuestionMessage | None:
        try:
            turn = begun or await self._begin_in_order(key, running.has_earlier)
            if turn is not None and turn.state is TurnState.RECEIVED:
                record.outcome = "overtaken"
                return turn.message
            if turn is None:
                record.outcome = "superseded"
                return None
            running.revision, record.attempts = turn.revision, turn.attempts
            running.reply = await self._replies.create_reply(turn)
            earlier = await self._follow_up.documents.list_documents(key) if turn.revises or turn.attempts > 1 else []
            state = await self._answer_turn(turn, running.reply, record)
        except asyncio.CancelledError:
            if running.cancel_reason is None:
                raise
            return await self._end_cancelled(key, running, record)
        finally:
            if running.reply is not None:
                running.reply.status.leave()
        try:
            if record.outcome != "found":  # the documents belong to an earlier answer
                await self._follow_up.documents.delete_documents(key, earlier)
            return await self._finish_turn(turn, state, running.reply, record)
        except asyncio.CancelledError:
            if running.cancel_reason not in {CancelReason.EDITED, CancelReason.DELETED, CancelReason.LOST}:
                raise
            return await self._end_cancelled(key, running, record)

    async def _begin_in_order(self, key: QuestionKey, has_earlier: Callable[[], bool]) -> LedgerTurn | None:
        """Wait until no other process answers in a question's thread, at most one deadline; then begin its turn.

        Returns None if the question is no longer open. If this process has an earlier question of the thread now, the
        turn is not begun: its state is ``received``.
        """
        started_at = free_at = time.monotonic()
        while (now := time.monotonic()) < started_at + self._settings.deadline_s:
            earlier_first = now <= free_at + _EARLIER_S
            wait_for = [TurnState.ANSWERING, TurnState.RECEIVED] if earlier_first else [TurnState.ANSWERING]
            try:
                return await self._ledger.begin_turn(key, wait_for=wait_for)
            except ThreadBusy as busy:
                if busy.state is TurnState.ANSWERING:
                    free_at = now
                if has_earlier():
                    turn = await self._ledger.find_turn(key)
                    return replace(turn, state=TurnState.RECEIVED) if turn and turn.state in UNFINISHED else None
                await asyncio.sleep(_POLL_S)
        return await self._ledger.begin_turn(key, wait_for=())

    async def _finish_turn(
        self, turn: LedgerTurn, state: TurnState, reply: AnswerReply, record: TurnRecord
    ) -> QuestionMessage | None:
        """Close a turn; return the question if it was edited meanwhile.

        A question that gets no answer because nobody asked Kvasir is deleted in the same transaction.
        """
        key, clear_in_s = turn.message.key, reply.status.clear_in_s
        if record.outcome == _WITHHELD and await self._ledger.forget_unasked(key, turn.revision):
            self.forget_answer(key, turn.message.conversation)
            return None
        if clear_in_s is None and turn.attempts > 1:
            clear_in_s = 0.0  # an earlier attempt may have left a status
        if await self._ledger.finish_turn(key, turn.revision, state, record.error, clear_status_in_s=clear_in_s):
            return None
        return await self._retract_answer(key, reply, record)

    async def _end_cancelled(
        self, key: QuestionKey, running: RunningTurn, record: TurnRecord
    ) -> QuestionMessage | None:
        asyncio.current_task().uncancel()  # type: ignore[union-attr]
        record.outcome = running.cancel_reason or ""
        reply = running.reply
        match running.cancel_reason:
            case CancelReason.EDITED | CancelReason.LOST:
                return await self._retract_answer(key, reply, record)
            case CancelReason.STOPPED if reply is not None:
                await reply.conclude(render_message(replies.STOPPED, reply.language), at_once=True)
                clear_in_s = reply.status.clear_in_s
                if not await self._ledger.finish_turn(
                    key, running.revision, TurnState.DONE, "stopped", clear_status_in_s=clear_in_s
                ):
                    return await self._retract_answer(key, reply, record)
            case CancelReason.DELETED if reply is not None:
                await self._leave_to_withdrawal(key, reply)
            case CancelReason.ENDING if reply is not None and running.unused_generations:
                await reply.leave_line()
            case _ if reply is not None:
                await reply.abort()
        return None

    async def _retract_answer(
        self, key: QuestionKey, reply: AnswerReply | None, record: TurnRecord
    ) -> QuestionMessage | None:
        """Return the new text of an edited question, None if it was deleted, or another process has taken it over.

        Its partial answer is deleted; messages of an answer that was complete stay, and the next answer replaces them.
        So do those of the other process.
        """
        record.outcome = CancelReason.EDITED
        turn = await self._ledger.find_turn(key)
        if turn is not None:
            self.forget_answer(key, turn.message.conversation)
        if turn is not None and turn.state is TurnState.SUPERSEDED and reply is not None:
            record.outcome = CancelReason.DELETED
            await self._leave_to_withdrawal(key, reply)
        elif reply is not None and (turn is None or not self._ledger.owns_turn(turn)):
            record.outcome = CancelReason.LOST
            reply.status.leave()
            # A cancelled call may still reach Slack, so the deletion and its record end together.
            deletion = self._delete_lost_messages(key, reply, but=turn.replies if turn is not None else ())
            again = await run_despite_cancellation(deletion, CLEANUP_TIMEOUT_S)
            return again.message if again is not None and self._ledger.owns_turn(again) else None
        if turn is None or turn.state not in UNFINISHED:
            return None
        if reply is not None and turn.revises:
            await reply.abort()
            await self._ledger.note_replies(key, reply.messages)
        elif reply is not None:
            await reply.delete_messages()
            await self._ledger.note_replies(key, ())
        return turn.message

    async def _delete_lost_messages(
        self, key: QuestionKey, reply: AnswerReply, *, but: Collection[str]
    ) -> LedgerTurn | None:
        """Delete the messages of a turn that another process has taken over; return the turn if it is open again."""
        deleted = await reply.delete_messages(but=but)
        # The other process may have found them in the thread meanwhile, and be content with them.
        return await self._ledger.answer_deleted(key, deleted)

    async def _leave_to_withdrawal(self, key: QuestionKey, reply: AnswerReply) -> None:
        """End the reply to a deleted question, and store its messages, which ``Withdrawals`` deletes."""
        await reply.abort()
        await self._ledger.note_replies(key, reply.messages)

    async def _answer_turn(self, turn: LedgerTurn, reply: AnswerReply, record: TurnRecord) -> TurnState:
        """Show an answer, or the reason why there is none."""
        age_s = self._ledger.now() - turn.received_at
        try:
            if turn.attempts > 1 and await self._recovery.clean_up(turn, reply):
                record.outcome = "found"
                return TurnState.DONE
            gives_up = age_s > self._settings.give_up_s or turn.attempts > self._settings.attempts
            if turn.message.is_unasked and (gives_up or not await self._prepare_unasked(turn, record)):
                record.outcome = _WITHHELD
                return TurnState.DONE
            return await (self._give_up(reply, record) if gives_up else self._show_answer(turn, reply, record))
        except SlackStopped:
            record.outcome = record.error = "stopped"
            await reply.conclude(render_message(replies.STOPPED, reply.language), at_once=True)
            return TurnState.DONE
        except (SlackGone, SlackRefused) as error:
            is_final = isinstance(error, (SlackGone, SlackMissingScope))
            if not is_final and age_s < self._settings.refused_s:
                raise
            record.outcome, record.error = "gone", str(error)
            await reply.clear_status()
            await self._replies.explain_refusal(turn.message, error, reply)
            return TurnState.FAILED
        except TimeoutError as error:
            record.outcome, record.error = "late", "deadline"
            await reply.conclude(render_message(explain_error(error), reply.language))
            return TurnState.FAILED

    async def _show_answer(self, turn: LedgerTurn, reply: AnswerReply, record: TurnRecord) -> TurnState:
        message = turn.message
        async with asyncio.timeout(self._settings.deadline_s):
            if not message.is_unasked:
                reply.start_status()
            if (offer := self._files.offer_storage(message, reply.language)) is not None:
                return self._record_outcome(await reply.show_answer(offer), reply, record)
            try:
                question = await self._questions.build_question(message, reply)
            except AudienceRefused as refused:
                await self._questions.record_refusal(message, refused)
                if not message.is_unasked:
                    await reply.show_sentence(render_message(explain_error(refused), reply.language))
                record.route = "refused"
                return TurnState.DONE
            if not question.text:
                await self._files.explain_missing_text(message, reply)
                record.route = "help"
                return TurnState.DONE
            answer = self._generated.take_answer(turn)
            if answer is None:
                if not await self._may_generate(message):
                    return await self._give_up(reply, record)
                answer = GeneratedAnswer(question, turn.revision)
            record.begun_s = time.perf_counter() - record.started_at
            is_last = turn.generations + 1 >= self._settings.generations
            try:
                finished = await reply.show_answer(self._answer_viewers(answer, message, reply), reads_on=is_last)
            except SlackError:
                self._generated.keep_answer(message.key, answer)
                raise
        record.first_call_s = reply.first_call_s
        if finished is not None and reply.failure is None:
            await self._follow_up.handle_answer(message, question, finished, reply)
        return self._record_outcome(finished, reply, record)

    async def _prepare_unasked(self, turn: LedgerTurn, record: TurnRecord) -> bool:
        """Generate the answer to a question that nobody asked Kvasir; return whether to post it.

        Nobody waits for it, so nothing is shown or recorded until the whole answer is known to be good.
        """
        message, unseen = turn.message, await self._replies.create_reply(turn)
        if turn.replies:  # an answer that was posted is revised, unless the question is for others now
            return asks_everybody(message)
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                question = await self._questions.build_question(message, unseen)
                if not await self._unasked.may_begin(message, question) or not await self._may_generate(message):
                    return False
                answer = GeneratedAnswer(question, turn.revision)
                async with aclosing(self._answer_viewers(answer, message, unseen, is_shown=False)) as events:
                    async for _ in events:
                        pass
                if not await self._unasked.may_post(message, answer.events):
                    return False
                await self._questions.record_replay(answer)
        except (AudienceRefused, AuditFailed, EngineError, TimeoutError) as error:
            record.error = type(error).__name__
            return False
        self._generated.keep_answer(message.key, answer)
        return True

    async def _may_generate(self, message: QuestionMessage) -> bool:
        """Count a generation of an answer; return False if there may be no other."""
        return await self._ledger.reserve_generation(message.key, self._settings.generations)

    async def _give_up(self, reply: AnswerReply, record: TurnRecord) -> TurnState:
        record.outcome = record.error = "given up"
        await reply.show_sentence(render_message(replies.TOO_MANY_ATTEMPTS, reply.language))
        return TurnState.FAILED

    async def _answer_viewers(
        self, answer: GeneratedAnswer, message: QuestionMessage, reply: AnswerReply, *, is_shown: bool = True
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the events of an answer; start over if its viewers or their rights change before its first word.

        A model may think for minutes, so the rights to the passages are checked again at intervals. The audit has
        nothing of an answer that is not shown; ``_prepare_unasked`` records one that is going to be.

        Raises:
            AudienceRefused: somebody may no longer see the passages of an answer that has begun, or the viewers change
                too often.
            AuditFailed: the audit is strict, and a complete answer cannot be recorded again.

        """
        while True:
            if answer.events and not message.is_unasked:
                await self._questions.record_replay(answer)
            answerer = self._answerer if is_shown else self._answerer.unaudited
            source = answer.replay_events() if answer.events else answerer.answer(answer.question)
            found_at = float("-inf") if answer.events else None
            shown_events: list[AnswerEvent] = []
            async with aclosing(source) as events:
                has_begun = False
                passages: tuple[Passage, ...] = ()
                checked_at = time.monotonic()
                async for event in events:
                    if isinstance(event, Sources):
                        passages, checked_at = event.passages, found_at or time.monotonic()
                    if isinstance(event, Offer) and not await self._questions.is_current(
                        answer.question, message, event.passages, is_due=True
                    ):
                        continue
                    if isinstance(event, (Sources, Text, Notice, Finished)):
                        is_due = time.monotonic() - checked_at > self._settings.recheck_s
                        if not await self._questions.is_current(answer.question, message, passages, is_due=is_due):
                            break
                        checked_at = time.monotonic() if is_due else checked_at
                        has_begun = has_begun or not isinstance(event, Sources)
                    shown_events.append(event)
                    yield event
                else:
                    answer.events = tuple(shown_events)
                    return
            if has_begun or not await self._may_generate(message):
                break
            yield Sources(())  # the reply names nothing that the last search found
            answer.question, answer.events = await self._questions.build_question(message, reply), ()
        refused = AudienceRefused(replies.VIEWERS_CHANGED)
        if is_shown:
            await self._questions.record_refusal(message, refused)
        raise refused

    def _record_outcome(self, finished: Finished | None, reply: AnswerReply, record: TurnRecord) -> TurnState:
        if reply.failure is not None:
            record.outcome, record.error = "failed", type(reply.failure).__name__
            return TurnState.FAILED
        record.route = finished.route if finished is not None else ""
        return TurnState.DONE
