"""Deletes the answers of deleted questions from Slack."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from bot.slack.posting.document_publisher import DocumentPublisher
from bot.slack.wire.errors import SlackError, SlackGone, SlackRefused, SlackStopped
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionKey, TurnState
from engine.tasks import cancel_tasks
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.turns")

Delete = Callable[[QuestionKey], Awaitable[object]]


class Withdrawals:
    """Deletes answers in tasks of its own. What fails stays in the ledger for the next attempt."""

    def __init__(self, ledger: Ledger, api: SlackWebApi, documents: DocumentPublisher) -> None:
        self._ledger = ledger
        self._api = api
        self._documents = documents
        self._tasks: dict[QuestionKey, asyncio.Task[None]] = {}

    def start_withdrawal(self, key: QuestionKey, delete: Delete) -> None:
        """Delete the messages of an answer; ``delete`` handles the questions that buttons under it asked."""
        if key not in self._tasks:
            task = asyncio.create_task(self._run_withdrawal(key, delete), name=f"withdrawal {key.channel} {key.ts}")
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key))

    async def close(self) -> None:
        """Stop; the ledger has what is left to do."""
        await cancel_tasks(*self._tasks.values())

    async def _run_withdrawal(self, key: QuestionKey, delete: Delete) -> None:
        try:
            turn = await self._ledger.find_turn(key)
            if turn is None or turn.state is not TurnState.SUPERSEDED:
                return
            for ts in turn.replies:
                await delete(QuestionKey(key.team, key.channel, ts))  # a button's question has the ``ts`` of its answer
                await self._delete_message(key.channel, ts)
            if await self._documents.delete_documents(key, await self._documents.list_documents(key)):
                await self._ledger.settle_withdrawal(key, turn.replies)
        except (SlackError, DatabaseError) as error:
            _log.warning("answer not withdrawn yet", channel=key.channel, ts=key.ts, error=str(error))

    async def _delete_message(self, channel: str, ts: str) -> None:
        """Delete a message; a stream has to be stopped before.

        Raises:
            SlackError: Slack fails or limits the call.

        """
        try:
            await self._api.call("chat.delete", channel=channel, ts=ts)
        except SlackGone:
            return
        except SlackRefused:
            with contextlib.suppress(SlackGone, SlackRefused, SlackStopped):
                await self._api.call("chat.stopStream", channel=channel, ts=ts)
            try:
                await self._api.call("chat.delete", channel=channel, ts=ts)
            except (SlackGone, SlackRefused) as error:
                _log.warning("message not deleted", channel=channel, ts=ts, error=str(error))
