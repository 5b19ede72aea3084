"""Who asks by a key, what is counted, and what a question knows of its person: without Slack and a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from bot.api import access as api_access
from bot.api import passages
from bot.api.access import ApiAccess, Caller
from bot.api.answers import ApiParts, AskedQuestion, build_question
from bot.api.errors import ApiError
from bot.config.configuration import Configuration
from bot.slack.people.known_person import KnownPerson
from bot.storage.api_keys import ApiKey, ApiKeys
from bot.storage.preferences import PersonalPreferences
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.question_counts import QuestionCounts
from knowledge.database.database import Database
from knowledge.interfaces import Viewers
from knowledge.masking import NameIndex
from tests.waiting import WAIT_S

ADA, BO = "U0ADA00001", "U0BO000002"
APPLICATION = ApiKey("Open WebUI", "application", id="a1")
NAMES = NameIndex(["Ada Lovelace"])


@dataclass
class Bench:
    """An access over a real database."""

    database: Database
    asked_for: list[str] = field(default_factory=list)

    async def find_person(self, user: str) -> KnownPerson:
        self.asked_for.append(user)
        return KnownPerson(user, "T1", Viewers.of({"*", user}), NAMES)

    @property
    def access(self) -> ApiAccess:
        return ApiAccess(ApiKeys(self.database), self.find_person, QuestionCounts(self.database), 0)

    async def admit(self, key: ApiKey, *headers: tuple[str, str], named: str = "") -> str:
        proxy = CIMultiDictProxy(CIMultiDict(headers))
        return (await self.access.admit_request(key, proxy, named, is_question=True)).person.id


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_ledger(f"sqlite:///{tmp_path / 'kvasir.db'}") as ledger:
        yield Bench(ledger.database)


async def test_an_application_names_its_person_in_one_way_alone(bench: Bench) -> None:
    by_body = ApiKey("n8n", "application", id="a2", named_by="body")
    assert await bench.admit(APPLICATION, ("x-kvasir-user", ADA), named=BO) == ADA
    assert await bench.admit(by_body, ("X-Kvasir-User", ADA), named=BO) == BO
    for key, headers, named, code in (
        (APPLICATION, [], ADA, "person_required"),
        (APPLICATION, [("X-Kvasir-User", " ")], ADA, "person_required"),
        (APPLICATION, [("X-Kvasir-User", ""), ("X-OpenWebUI-User-Email", ADA)], "", "person_ambiguous"),
        (by_body, [("X-Kvasir-User", ADA)], " ", "person_required"),
    ):
        with pytest.raises(ApiError) as refused:
            await bench.admit(key, *headers, named=named)
        assert refused.value.code == code
    assert bench.asked_for == [ADA, BO]


async def test_a_key_above_its_limit_looks_nobody_up(bench: Bench) -> None:
    key = ApiKey("scripts", "person", "T1", ADA, per_minute=1, id="a3")
    codes = set()
    for _ in range(3):  # a new minute may begin meanwhile
        try:
            await bench.admit(key)
        except ApiError as error:
            codes.add(error.code)
    assert codes == {"rate_limit_exceeded"}
    assert len(bench.asked_for) < 3


async def test_a_question_knows_the_names_that_leave_for_no_search_engine(bench: Bench) -> None:
    async def find_salt(_: Viewers) -> str:
        return ""

    preferences = PersonalPreferences(bench.database)
    unused: Any = None
    parts = ApiParts(bench.access, unused, unused, unused, unused, find_salt, preferences, Configuration((), ""))
    caller = Caller(APPLICATION, await bench.find_person(ADA))
    question = await build_question(parts, caller, AskedQuestion("Why was Ada Lovelace dismissed?", wants_web=True))
    assert question.asker.names is NAMES


async def test_neither_slack_nor_a_search_is_awaited_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never_answer(*_: object, **__: object) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(api_access, "_FIND_S", 0.01)
    monkeypatch.setattr(passages, "_SEARCH_S", 0.01)
    access = ApiAccess(ApiKeys(bench.database), never_answer, QuestionCounts(bench.database), 0)
    unused: Any = None
    parts = ApiParts(access, unused, unused, never_answer, unused, unused, unused, unused)
    caller = Caller(APPLICATION, await bench.find_person(ADA))
    headers = CIMultiDictProxy(CIMultiDict({"X-Kvasir-User": ADA}))
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(TimeoutError):
            await access.admit_request(APPLICATION, headers, is_question=True)
        with pytest.raises(TimeoutError):
            await passages.search_passages(parts, caller, "leave", 1)
