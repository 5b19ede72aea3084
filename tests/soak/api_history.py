"""Runs the questions of a history by the API, as people of a world, and compares each answer with the oracle."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from bot.storage.api_keys import ApiKey, ApiKeys
from bot.storage.turns.ledger import open_ledger
from tests.services import free_ports
from tests.soak.generate import Generator
from tests.soak.history import History, Outcome
from tests.soak.model import Ask, Change, Feature, Room, Step, World
from tests.soak.posted import find_forbidden
from tests.soak.stage import Stage, open_stage


class ApiHistory(History):
    """Asks with an application's key that names the person, in whichever room the history would ask."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession, url: str, key: str) -> None:
        super().__init__(stage)
        self._session = session
        self._url = url
        self._key = key
        self._last: dict[str, str] = {}
        """The last question of each person."""

    async def _ask(self, ask: Ask, room: Room) -> None:  # noqa: ARG002 - as in Slack
        document = self._world.documents[ask.document]
        self._stage.model.works = ask.engine
        question = f"What does the report on {document.keyword} say?"
        history = [self._last[ask.person]] if ask.follow_up and ask.person in self._last else []
        self._last[ask.person] = question
        if ask.document % 2:
            messages = [{"role": "user", "content": text} for text in (*history, question)]
            text = await self._post("/v1/chat/completions", {"messages": messages, "stream": True}, ask.person)
            parts = [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: {")]
            text = "".join(part["choices"][0]["delta"].get("content", "") for part in parts if "choices" in part) + text
        else:
            text = await self._post("/v1/answers", {"question": question, "history": history}, ask.person)
        self._compare_answer(ask, text)

    async def _search(self, ask: Ask, room: Room) -> None:  # noqa: ARG002 - as in Slack
        keyword = self._world.documents[ask.document].keyword
        self._compare_answer(ask, await self._post("/v1/search", {"query": keyword}, ask.person))

    def _compare_answer(self, ask: Ask, text: str) -> None:
        document = self._world.documents[ask.document]
        said = f"{ask} by the API, {document}"
        self._outcome.questions += 1
        for forbidden in find_forbidden(self._world, self._oracle, text, None, ask.person):
            self._outcome.leaks.append(f"{forbidden} for {ask.person} after {said}: {text[:500]}")
        direct = self._world.rooms[f"D0{ask.person[2:]}"]
        self._judge(document, text, said, may_show=self._must_show(document, direct))

    async def _post(self, path: str, body: Mapping[str, Any], person: str) -> str:
        """Return a response as text; a person who has asked too often waits."""
        headers = {"Authorization": f"Bearer {self._key}", "X-Kvasir-User": person}
        while True:
            async with self._session.post(f"{self._url}{path}", json=body, headers=headers) as answer:
                if answer.status != 429:
                    return await answer.text()
                await asyncio.sleep(float(answer.headers["Retry-After"]))


@contextlib.asynccontextmanager
async def open_api_history(
    opened: World, folder: Path, environ: Mapping[str, str], judged: World | None = None
) -> AsyncIterator[ApiHistory]:
    """Run Kvasir in a world, and yield the history of it; ``judged`` is the world by which the oracle judges."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)[0]
    variables = {**environ, "KVASIR_API_PORT": str(port)}
    async with open_stage(opened, folder, variables) as stage, aiohttp.ClientSession() as session:
        async with open_ledger(f"sqlite:///{folder / 'home' / 'kvasir.db'}") as ledger:
            _, secret = await ApiKeys(ledger.database).create_key(ApiKey("soak", "application"))
        stage.world = judged or opened
        yield ApiHistory(stage, session, f"http://127.0.0.1:{port}", secret)


async def run_api_history(
    seed: int,
    steps: Sequence[Step],
    folder: Path,
    environ: Mapping[str, str],
    *,
    until_leak: bool = False,
    features: Collection[Feature] | None = None,
) -> Outcome:
    """Run the questions and changes of a history in a new world; ``environ`` names the store."""
    async with open_api_history(Generator(seed, features).make_world(), folder, environ) as history:
        return await history.run([one for one in steps if isinstance(one, Ask | Change)], until_leak=until_leak)
