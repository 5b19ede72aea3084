"""Tests of what the audit knows about a question and its answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bot.answering.asker import Asker
from bot.answering.events import AnswerEvent, Finished, Notice, Offer, Passage, Question, Sources, Step, Text
from bot.answering.policy import WebUse
from bot.audit.audited_answerer import AuditedAnswerer
from bot.audit.entries import AuditEntry, AuditFailed, Event
from bot.messages.answers import AUDIT_FAILED
from knowledge.interfaces import Viewers, WebOrigin
from knowledge.interfaces.results import WebSearchReport

NOW = datetime(2026, 11, 30, tzinfo=UTC)
LEAVE = Passage(1, "hr", "leave.md", "Leave", "", None, "Thirty days.", as_of=NOW, chunks=("c1", "c2"))
PAGE = Passage(
    2, "", "https://a.example/", "A", "", "https://a.example/", "", web=WebOrigin("a.example", None, NOW, stale=False)
)
ADA, BO = "U0ADA00001", "U0BO000002"


@dataclass
class ListedAudit:
    """An audit in memory; one that is full refuses what is required."""

    entries: list[AuditEntry] = field(default_factory=list)
    is_full: bool = False
    lost: int = 0

    async def record(self, entry: AuditEntry, *, required: bool = False) -> None:
        if required and self.is_full:
            raise AuditFailed
        self.entries.append(entry)


@dataclass
class Script:
    """An answerer with fixed events."""

    events: tuple[AnswerEvent, ...]
    closed: bool = False

    async def answer(self, _question: Question) -> AsyncGenerator[AnswerEvent, None]:
        try:
            for event in self.events:
                yield event
        finally:
            self.closed = True


def make_question(text: str = "How many days?") -> Question:
    viewers = Viewers(frozenset({frozenset({ADA, "*", "S0GROUP001"}), frozenset({BO, "*"})}))
    return Question(text, asker=Asker(ADA, "T1", viewers, conversation="T1-C1-1.0"), id="C1-1.0")


async def ask(script: Script, audit: ListedAudit, question: Question | None = None) -> list[AnswerEvent]:
    return [event async for event in AuditedAnswerer(script, audit).answer(question or make_question())]


async def test_the_question_is_recorded_before_its_passages_are_named() -> None:
    audit = ListedAudit()
    script = Script(
        (Step("…"), Sources((LEAVE, PAGE)), Text("Thirty [1].", (LEAVE,)), Finished("engine", (LEAVE,), {}))
    )
    async with aclosing(AuditedAnswerer(script, audit).answer(make_question())) as events:
        assert isinstance(await anext(events), Step)
        assert audit.entries == []
        assert isinstance(await anext(events), Sources)
        (entry,) = audit.entries
    assert (entry.event, entry.person) == (Event.QUESTION, f"T1/{ADA}")
    assert entry.people == {"viewers": [f"T1/{ADA}", f"T1/{BO}"]}
    assert entry.facts["passages"] == [
        {"source": "hr", "document": "leave.md", "chunks": ["c1", "c2"], "as_of": "2026-11-30T00:00:00+00:00"}
    ]
    assert (entry.facts["viewer_count"], entry.facts["audience"]) == (2, [])
    assert entry.sealed["pages"] == ["https://a.example/"]
    assert (entry.sealed["message"], entry.sealed["conversation"]) == ("C1-1.0", "T1-C1-1.0")
    assert entry.sealed["text"] == "How many days?"
    assert [one.facts for one in audit.entries[1:]] == [{"turn": entry.facts["turn"], "ended": "cut"}]


async def test_a_notice_comes_before_the_passages() -> None:
    """The search of the documents failed, and the web answers: the entry has what the web found."""
    audit = ListedAudit()
    await ask(Script((Notice("Failed."), Sources((PAGE,)), Text("A [1]."), Finished("engine", (), {}))), audit)
    assert audit.entries[0].sealed["pages"] == ["https://a.example/"]


async def test_the_end_says_what_was_cited_and_what_was_asked_of_the_web() -> None:
    audit = ListedAudit()
    look = WebSearchReport("searxng", ("https://a.example/",), (), None, 0.1, "days of leave")
    finished = Finished("engine", (LEAVE, PAGE), {}, WebUse(look=look))
    await ask(Script((Sources((LEAVE, PAGE)), Text("Thirty [1]."), finished)), audit)
    end = audit.entries[1]
    assert (end.event, end.facts["ended"], end.facts["web"], end.facts["provider"]) == (
        Event.ANSWER, "engine", True, "searxng",
    )  # fmt: skip
    assert [one["document"] for one in end.facts["cited"]] == ["leave.md"]  # type: ignore[attr-defined]
    assert end.sealed == {"web_query": "days of leave", "pages": ["https://a.example/"]}


async def test_a_strict_audit_that_is_full_gets_a_sentence_and_no_answer() -> None:
    for text, said in (("How many days?", AUDIT_FAILED.en), ("有多少天假？", AUDIT_FAILED.zh)):
        audit = ListedAudit(is_full=True)
        script = Script((Step("…"), Sources((LEAVE,)), Text("Thirty [1]."), Finished("engine", (), {})))
        step, notice, finished = await ask(script, audit, replace(make_question(), text=text))
        assert isinstance(step, Step)
        assert notice == Notice(said)
        assert isinstance(finished, Finished)
        assert (finished.route, script.closed) == ("unknown", True)
        assert [one.facts.get("ended") for one in audit.entries] == [None, "not recorded"]


async def test_an_offer_is_recorded_with_its_passages_before_it_is_shown() -> None:
    """The search of the documents failed, and a similar verified answer is offered."""
    script = Script((Notice("Failed."), Offer("v1", "How many?", (LEAVE,)), Finished("unknown", (), {})))
    audit = ListedAudit()
    await ask(script, audit)
    assert [one["document"] for one in audit.entries[0].facts["passages"]] == ["leave.md"]  # type: ignore[attr-defined]
    assert not any(isinstance(event, Offer) for event in await ask(script, ListedAudit(is_full=True)))


async def test_both_entries_of_a_question_by_the_api_name_its_key() -> None:
    audit = ListedAudit()
    question = replace(make_question(), asker=Asker(ADA, "T1", key="key-1"))
    await ask(Script((Finished("unknown", (), {}),)), audit, question)
    assert [one.facts["key"] for one in audit.entries] == ["key-1", "key-1"]


async def test_the_audience_of_a_channel_has_no_addresses() -> None:
    audit = ListedAudit()
    viewers = Viewers(frozenset({frozenset({"*", "C0GENERAL1"}), frozenset({"jo@example.com", "staff"})}))
    question = replace(make_question(), asker=Asker(ADA, "T1", viewers))
    await ask(Script((Finished("unknown", (), {}),)), audit, question)
    assert audit.entries[0].facts["audience"] == ["*", "C0GENERAL1", "staff"]


async def test_many_viewers_are_counted_and_not_named() -> None:
    audit = ListedAudit()
    viewers = Viewers(frozenset(frozenset({f"U{n:08}"}) for n in range(40)))
    question = replace(make_question(), asker=Asker(ADA, "T1", viewers))
    await ask(Script((Finished("unknown", (), {}),)), audit, question)
    assert (audit.entries[0].facts["viewer_count"], audit.entries[0].people) == (40, {"viewers": ()})


async def test_the_id_of_a_persons_own_file_is_hashed() -> None:
    audit = ListedAudit()
    own = replace(LEAVE, document=f"{ADA}/letter.md")
    await ask(Script((Sources((own,)), Finished("engine", (own,), {}))), audit)
    assert all("letter" not in str(one.facts) and ADA not in str(one.facts) for one in audit.entries)
