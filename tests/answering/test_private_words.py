"""Private words and the live web: what a real search engine gets with each policy, and what the asker reads.

A SearXNG at the wire stands for the search engine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.answering.answer import Answerer
from bot.answering.asker import Asker
from bot.answering.events import AnswerEvent, Exchange, Finished, Notice, Question
from bot.answering.policy import Policy, PrivateWords
from bot.messages import live_web
from knowledge.interfaces import LiveWebRequest, SearchResult
from knowledge.masking import NameIndex, Recogniser
from tests.answering.conftest import Room
from tests.masking.planted import CHECKED, CONTEXT, HELD_OUT, NAMES, Planted, list_planted
from tests.web.live.small_web import SmallWeb

PHONE = "why does +49 30 1234567 not answer?"


@dataclass
class WebSearches:
    """Searches only the web, as the library does if its documents have nothing."""

    web: Any
    requests: list[LiveWebRequest | None] = field(default_factory=list)

    async def __call__(self, query: str, *, live: LiveWebRequest | None = None, **_: Any) -> SearchResult:
        self.requests.append(live)
        report = None if live is None else (await self.web.look_up(query, live)).look
        return SearchResult(query, (), 0.0, answerable=False, web=report, related=False)


class Asked:
    """An answerer with the web, and the search engine that it asks."""

    def __init__(self, searches: WebSearches, engine: Any, answerer: Answerer, words: PrivateWords) -> None:
        self.searches, self.engine, self._answerer = searches, engine, answerer
        self._policy = Policy("on", searches=True, private_words=words)

    async def ask(self, text: str, **more: Any) -> list[AnswerEvent]:
        asker = Asker(policy=self._policy, names=more.pop("names", None))
        return [event async for event in self._answerer.answer(Question(text, asker=asker, **more))]


async def open_web(
    stack: AsyncExitStack, room: type[Room], words: PrivateWords, names: Sequence[str] = (), engine: Any = None
) -> Asked:
    small, recogniser = SmallWeb(), Recogniser(names)
    await small.start(stack)
    web = await small.opened(stack, recogniser=recogniser, withholds_private=words != "mask")
    searches = WebSearches(web)
    answerer = Answerer(searches, engine or room.engine([]), room.new_checker, recogniser=recogniser)
    return Asked(searches, small.engine, answerer, words)


def list_texts(events: list[AnswerEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def list_hundred() -> list[Planted]:
    kinds = (
        dict(CHECKED)
        | dict(NAMES)
        | {kind: CONTEXT[kind] for kind in ("e-mail", "phone, Chinese", "date of birth, English")}
    )
    planted = [one for one in list_planted(kinds, HELD_OUT, 6) if one.is_found(Recogniser([one.value]))]
    return random.Random(23).sample(planted, 100)


@pytest.mark.parametrize("words", ["mask", "block"])
@pytest.mark.timeout(300)
async def test_no_planted_value_reaches_a_search_engine(room: type[Room], words: PrivateWords) -> None:
    planted = list_hundred()
    async with AsyncExitStack() as stack:
        web = await open_web(stack, room, words, [one.value for one in planted if one.kind in NAMES])
        for one in planted:
            events = await web.ask(f"web: {one.text}")
            assert isinstance(events[-1], Finished)
            assert (live_web.WITHHELD.en in list_texts(events) or one.locale != "en_US") or words == "mask"
    seen = "\n".join(web.engine.asked)
    assert [one.value for one in planted if one.value in seen] == []
    assert [run for one in planted for run in re.findall(r"\d{7,}", one.value) if run in seen] == []
    assert bool(web.engine.asked) == (words == "mask")


async def test_block_lets_other_questions_pass(room: type[Room]) -> None:
    async with AsyncExitStack() as stack:
        web = await open_web(stack, room, "block")
        assert live_web.WITHHELD.en not in list_texts(await web.ask("web: when do the ferries run?"))
        assert web.engine.asked == ["when do the ferries run?"]


async def test_an_earlier_question_is_private_too(room: type[Room]) -> None:
    history = (Exchange(PHONE, "I do not know."),)
    async with AsyncExitStack() as stack:
        web = await open_web(stack, room, "block")
        assert live_web.WITHHELD.en in list_texts(await web.ask("web: and is that usual?", history=history))
        assert web.engine.asked == []


async def test_a_link_is_read_although_the_words_are_withheld(room: type[Room]) -> None:
    async with AsyncExitStack() as stack:
        web = await open_web(stack, room, "block")
        await web.ask(f"web: {PHONE} see http://a.example/x")
        (request,) = web.searches.requests
        assert request is not None
        assert (request.links, request.search) == (("http://a.example/x",), False)
        assert web.engine.asked == []


async def test_ask_shows_the_exact_words_and_searches_only_those(room: type[Room]) -> None:
    async with AsyncExitStack() as stack:
        web = await open_web(stack, room, "ask", ["Ann Lee"])
        events = await web.ask(f"web: Ann Lee says: {PHONE}")
        finished = events[-1]
        assert isinstance(finished, Finished)
        assert finished.web.withheld == "… says: why does … not answer?"
        assert any(text.endswith(finished.web.withheld) for text in list_texts(events))
        assert not finished.web.may_look, "the ordinary button would be withheld again"
        assert web.engine.asked == []
        again = await web.ask(f"web: Ann Lee says: {PHONE}", approved_words=finished.web.withheld)
        assert web.engine.asked == [finished.web.withheld]
        assert isinstance(again[-1], Finished)
        assert again[-1].web.withheld == ""


async def test_approved_words_are_masked_all_the_same(room: type[Room]) -> None:
    async with AsyncExitStack() as stack:
        web = await open_web(stack, room, "ask")
        await web.ask("web: ferries?", approved_words=PHONE)
        assert web.engine.asked == ["why does … not answer?"]


async def test_approved_words_count_only_where_the_policy_asks(room: type[Room]) -> None:
    async with AsyncExitStack() as stack:
        web = await open_web(stack, room, "block")
        await web.ask(f"web: {PHONE}", approved_words="why does … not answer?")
        assert web.engine.asked == []


async def test_names_of_the_directory_do_not_leave(room: type[Room]) -> None:
    async with AsyncExitStack() as stack:
        web = await open_web(stack, room, "mask")
        await web.ask("web: where did Ada Lovelace and 王伟 study?", names=NameIndex(["Ada Lovelace", "王伟"]))
        assert web.engine.asked == ["where did … and … study?"]
