"""Runs a plan: a workspace in a process of its own, three replicas with one database, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import psycopg
import sqlalchemy as sa

from bot.storage.tables import turns
from bot.storage.turns.ledger import Ledger, open_ledger
from bot.storage.turns.questions import UNFINISHED
from tests.pgbouncer import add_parameter, pgbouncer_server
from tests.postgres import postgres_server
from tests.slack_sandbox import SandboxClient, start_sandbox_process
from tests.soak.turns.plan import PEOPLE, REPLICAS, ROOMS, Ask, Chat, End, Fail, Pause, Roll, Step
from tests.soak.turns.replica import COUNTS, Replica
from tests.soak.turns.verdict import Asked, Message, Seen, TurnsOutcome, Verdict, find_sentence

_CONNECT_S = 120.0
_END_S = 300.0
"""How long the last questions may take."""
_QUIET_S = 1.0
"""Without open questions and events, so that a second answer would appear."""
_POLL_S = 0.25
_SANDBOX = ("--pace", "off", "--ack-deadline", "3", "--retry-delays", "0,0.3,1,2,4,8,16")


@contextlib.contextmanager
def open_database_server(kind: str) -> Iterator[str]:
    """Run the database server that worlds share; yield its URL, "" for SQLite."""
    if kind == "sqlite":
        yield ""
        return
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(postgres_server())
        if kind == "pgbouncer":
            url = add_parameter(stack.enter_context(pgbouncer_server(url, connections=10)))
        yield url


async def make_database(server: str, folder: Path, name: str) -> str:
    """Return the URL of a new database."""
    if not server:
        return f"sqlite:///{folder / 'ledger.sqlite3'}"
    address, mark, parameters = server.partition("?")
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{address.rpartition('/')[0]}/{name}{mark}{parameters}"


class Stage:
    """A workspace, its bot, and the questions that were asked."""

    def __init__(self, sandbox: SandboxClient, ledger: Ledger, state: Path, replicas: Sequence[Replica]) -> None:
        self._sandbox = sandbox
        self._ledger = ledger
        self._state = state
        self._replicas = replicas
        self._asked: dict[int, Asked] = {}
        self._broken: list[str] = []
        self._ended_at: list[float] = []

    async def run(self, steps: Sequence[Step]) -> TurnsOutcome:
        """Run the steps, wait until nothing is open, and judge what is seen."""
        rolling: list[asyncio.Task[None]] = []
        for step in steps:
            match step:
                case Ask():
                    await self._ask(step)
                case Chat(person, room):
                    await self._sandbox.say(person, room, "Lunch at twelve?")
                case Fail(body):
                    await self._sandbox.control("POST", "faults", dict(body))
                case End(replica, how):
                    await self._end(replica, signal.SIGKILL if how == "kill" else signal.SIGTERM)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Roll():
                    rolling.append(asyncio.create_task(self._roll()))
        await asyncio.gather(*rolling)
        await self._sandbox.control("POST", "faults", {"clear": True})
        leftovers = await self._wait_until_idle()
        outcome = Verdict(list(self._asked.values()), await self._look()).judge()
        outcome.leftovers += [*leftovers, *self._broken]
        return outcome

    async def _ask(self, ask: Ask) -> None:
        root = self._asked.get(ask.thread_of) if ask.thread_of is not None else None
        if root is not None and not ask.is_mention and ask.room != "@kvasir":
            await self._wait_for_answer(root)
        mention = "@Kvasir " if ask.is_mention and ask.room != "@kvasir" else ""
        body = {"person": ask.person, "channel": ask.room, "text": f"{mention}what is q{ask.number}?"}
        said = await self._sandbox.control("POST", "say", body | {"thread_ts": root.root if root else None})
        ts = said["ts"]
        self._asked[ask.number] = Asked(ask, said["channel"], ts, root.root if root else ts)

    async def _wait_for_answer(self, question: Asked) -> None:
        """Wait until Kvasir has answered in a thread, which it follows from then on."""

        async def is_closed() -> bool:
            rows = await self._ledger.database.fetch_rows(sa.select(turns.c.state).where(turns.c.ts == question.ts), {})
            return bool(rows) and rows[0].state not in UNFINISHED

        await self._sandbox.wait_until(is_closed, _END_S, "end of the first answer in a thread")

    async def _end(self, number: int, how: signal.Signals) -> None:
        self._ended_at.append(time.time())
        status = await self._replicas[number].end(how)
        if status is not None:
            self._broken.append(f"replica {number} ended by itself: {status}")
        await self._replicas[number].start()

    async def _roll(self) -> None:
        for number in range(REPLICAS):
            await self._end(number, signal.SIGTERM)
            await self._sandbox.wait_until(lambda: _has_all_replicas(self._sandbox), _CONNECT_S, "the new replica")

    async def _wait_until_idle(self) -> list[str]:
        """Wait until no event and no question is open; return what stays open."""
        loop = asyncio.get_running_loop()
        ends, quiet_since = loop.time() + _END_S, None
        while loop.time() < ends:
            state = await self._sandbox.state()
            rows = await self._ledger.database.fetch_rows(
                sa.select(turns.c.text, turns.c.state).where(turns.c.state.in_(UNFINISHED)), {}
            )
            sessions = [one for one in state["sessions"] if one["status"] == "processing"]
            if rows or state["pending"] or sessions:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = loop.time()
            elif loop.time() - quiet_since > _QUIET_S:
                return []  # events that Slack gave up do not count: their questions are judged
            await asyncio.sleep(_POLL_S)
        left = [f"open: {row.text} {row.state}" for row in rows] + [f"processing: {one}" for one in sessions]
        return left + [f"pending: {one['payload']['event'].get('text')}" for one in state["pending"]]

    async def _look(self) -> Seen:
        messages: dict[str, list[Message]] = {}
        private: Counter[tuple[str, str]] = Counter()
        for person in PEOPLE:
            for room in ROOMS:
                for message in await self._sandbox.messages(room, person):
                    channel = message["channel"]
                    if message["ephemeral"]:
                        private[person, channel] += 1
                    elif room != "@kvasir" and person != PEOPLE[0]:
                        continue
                    elif message.get("bot_id") and room == "@kvasir" and message["root"] == message["ts"]:
                        private[person, "@kvasir"] += bool(find_sentence(message))
                    else:
                        messages.setdefault(channel, []).append(message)
        counted = (self._state / COUNTS).read_text().split() if (self._state / COUNTS).exists() else []
        return Seen(messages, private, await self._sandbox.requests(), Counter(map(int, counted)), self._ended_at)


@contextlib.asynccontextmanager
async def open_stage(server: str, folder: Path, name: str, answer_s: float) -> AsyncIterator[Stage]:
    """Run a workspace and three replicas, whose answers take ``answer_s``."""
    folder.mkdir(parents=True, exist_ok=True)
    database = await make_database(server, folder, name)
    async with open_ledger(database) as ledger, start_sandbox_process(folder, *_SANDBOX) as sandbox:
        replicas = [Replica(sandbox, folder, database, number, answer_s) for number in range(REPLICAS)]
        try:
            for replica in replicas:
                await replica.start()
            await sandbox.wait_until(lambda: _has_all_replicas(sandbox), _CONNECT_S, "connected replicas")
            yield Stage(sandbox, ledger, folder, replicas)
        finally:
            for replica in replicas:
                await replica.end()


async def _has_all_replicas(sandbox: SandboxClient) -> bool:
    return bool((await sandbox.state())["connections"] == REPLICAS)


async def run_plan(
    server: str, folder: Path, steps: Sequence[Step], name: str, *, answer_s: float = 0.0
) -> TurnsOutcome:
    """Run a plan in a new workspace with a new database; ``answer_s`` is as in ``replica.py``."""
    async with open_stage(server, folder, name, answer_s) as stage:
        return await stage.run(steps)
