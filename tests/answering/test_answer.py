from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from bot.answering.answer import Answerer
from bot.answering.asker import Asker
from bot.answering.events import Exchange, Finished, InLine, Question, Sources, Step, Text
from bot.answering.limits import Limits
from bot.answering.notices.small_talk import choose_small_talk_reply
from bot.answering.support.interfaces import Verdict
from engine.errors import EngineInterrupted, EngineOverloaded, EngineTimeout
from engine.interfaces import (
    ContentDelta,
    Delta,
    EngineState,
    EngineStatus,
    QueuePosition,
    ReasoningDelta,
    StreamEnd,
    StreamRestart,
)
from engine.notes import NoteCode
from knowledge.errors import EmbedderError, FilterProblem, InvalidFilter, StoreUnavailable, UnknownSource
from knowledge.interfaces import ANY_MEMBER
from tests.answering.conftest import Ask, Room
from tests.viewers import make_members

GOOD = "Employees receive 25 days of paid annual leave per calendar year."
ALSO = "Up to five unused days may be carried over, but they expire on 31 March of the following year."
BAD = "Employees receive 35 days of paid annual leave per calendar year."


async def test_answer_has_sources_steps_text_and_end(ask: Ask, room: type[Room]) -> None:
    engine = room.engine([ReasoningDelta("Let me "), ReasoningDelta("see."), *room.words(f"{GOOD} [1] {ALSO}")])
    reply = await ask(engine)
    kinds = [type(event) for event in reply.events]
    assert kinds[:2] == [Step, Sources]
    assert [event.text for event in reply.events if isinstance(event, Step)] == [
        "is searching the documents…",
        "is reading 2 passages…",
        "is thinking…",
        "is writing and checking the answer…",
    ]
    assert kinds[-1] is Finished
    assert reply.finished[-1].reasoning == "Let me see."
    assert reply.events.index(Step("is thinking…", "think")) < kinds.index(Text)
    assert reply.text == f"{GOOD} [1] {ALSO} [1]"
    assert (reply.route, reply.cited, reply.notices) == ("engine", [1], [])
    assert [p.title for p in reply.sources[0].passages] == ["Leave", "Expenses"]
    timings = reply.finished[0].timings
    assert 0 <= timings["search"] <= timings["first_token"] <= timings["first_text"] <= timings["total"]
    assert engine.asked[0][2] == "turn-1"
    assert engine.streams_open == 0


async def test_unsupported_sentence_is_marked_and_explained(ask: Ask, room: type[Room]) -> None:
    checker = room.checker({"Bob": Verdict("unsupported"), "35": Verdict("contradicted", against=(1,))})
    reply = await ask(room.engine(room.words(f"{GOOD} {BAD} Bob decides. {ALSO}")), checker=checker)
    assert reply.text == f"{GOOD} [1] Bob decides. ⚠ {ALSO} [1]"
    (notice,) = reply.notices
    assert notice.startswith("⚠ marks what no passage supports")
    assert notice.endswith("1 sentence was removed because the documents say otherwise.")
    assert (reply.finished[0].marked_count, reply.finished[0].removed_count) == (1, 1)


async def test_unsupported_sentences_follow_configuration(ask: Ask, room: type[Room]) -> None:
    script = room.words(f"{GOOD} Bob decides. Bob pays. {ALSO}")
    checker = room.checker({"Bob": Verdict("unsupported")})
    reply = await ask(room.engine(script), checker=checker, limits=Limits(unsupported="drop"))
    assert reply.text == f"{GOOD} [1] {ALSO} [1]"
    assert reply.notices == ["2 sentences were left out because no passage supports them."]
    assert (reply.finished[0].marked_count, reply.finished[0].removed_count) == (0, 2)
    reply = await ask(room.engine(script), checker=checker, limits=Limits(unsupported="show"))
    assert reply.text == f"{GOOD} [1] Bob decides. Bob pays. {ALSO} [1]"
    assert (reply.notices, reply.finished[0].marked_count, reply.finished[0].removed_count) == ([], 0, 0)


async def test_displayed_numbers_follow_order_of_appearance(ask: Ask, room: type[Room]) -> None:
    """The second passage is cited first, so it is [1] in the text, its citations and the sources."""
    checker = room.checker({"Alcohol": Verdict("supported", (2,))})
    reply = await ask(room.engine(room.words(f"Alcohol is not reimbursed. [2] {GOOD} [1]")), checker=checker)
    assert reply.text == f"Alcohol is not reimbursed. [1] {GOOD} [2]"
    named = [(one.n, one.title) for event in reply.events if isinstance(event, Text) for one in event.cites]
    assert named == [(1, "Expenses"), (2, "Leave")]
    assert [(one.n, one.title) for one in reply.finished[0].cited] == named
    assert [(one.n, one.title) for one in reply.sources[0].passages] == [(1, "Leave"), (2, "Expenses")]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("thanks!", "You are welcome."), ("Great, thank you so much :pray:", "You are welcome."), ("谢谢！", "不客气"),
        ("好的，谢谢你的帮助。", "不客气"), ("Hello Kvasir", "Hello."), ("你好", "您好"),
    ],
)  # fmt: skip
async def test_small_talk_gets_one_line(ask: Ask, room: type[Room], said: str, answer: str) -> None:
    engine, search = room.engine(room.words(GOOD)), room.search([room.hit(room.leave)])
    reply = await ask(engine, question=said, search=search, history=[Exchange("How much leave?", GOOD)])
    assert reply.text.startswith(answer)
    assert (reply.route, reply.notices, reply.sources, search.queries, engine.asked) == ("courtesy", [], [], [], [])


@pytest.mark.parametrize(
    "said",
    ["thanks, and how much leave?", "Thanks. When do they expire", "hi, how do I add a source", "谢谢，年假有几天",
     "leave", "你好年假", "thanksgiving", "that works how", "good leave"],
)  # fmt: skip
def test_question_is_not_small_talk(said: str) -> None:
    assert choose_small_talk_reply(said) is None


async def test_sentences_appear_before_answer_ends(room: type[Room]) -> None:
    """The first sentence is shown while the model writes the second."""
    more = asyncio.Event()

    async def script() -> AsyncIterator[Delta]:
        yield ContentDelta(f"{GOOD} Up")
        await more.wait()
        yield ContentDelta(ALSO[2:])
        yield StreamEnd("stop")

    answerer = Answerer(room.search([room.hit(room.leave)]), room.engine(script), room.new_checker)
    texts = []
    async with aclosing(answerer.answer(Question("How many days of leave?"))) as events:
        async for event in events:
            if isinstance(event, Text):
                texts.append(event.markdown)
                more.set()
    assert texts == [f"{GOOD} [1]", f" {ALSO} [1]"]


async def test_title_and_heading_name_only_hosts_of_the_passage(ask: Ask, room: type[Room]) -> None:
    text = f"{room.leave} See https://portal.example/."
    found = room.hit(text, title="Log in\u202e at https://evil.example/x", heading="GET https://portal.example/v1")
    reply = await ask(room.engine(room.words(GOOD)), search=room.search([found]))
    [passage] = reply.sources[0].passages
    assert (passage.title, passage.heading) == ("Log in at", "GET https://portal.example/v1")


async def test_chinese_question_gets_chinese_answer(ask: Ask, room: type[Room]) -> None:
    search = room.search([room.hit(room.chinese_leave)])
    engine = room.engine(room.words("员工每年享有十五天带薪年假。【1】试用期内可以休年假。"))
    checker = room.checker({"试用期": Verdict("unsupported")})
    reply = await ask(engine, question="年假有几天？", search=search, checker=checker)
    assert reply.text == "员工每年享有十五天带薪年假。[1]试用期内可以休年假。 ⚠"
    assert reply.notices == ["⚠ 表示没有段落支持这一句，使用前请核实。"]
    assert "问题：年假有几天？" in engine.asked[0][0][-1].content


async def test_follow_up_uses_conversation_in_search_and_prompt(ask: Ask, room: type[Room]) -> None:
    search, engine = room.search([room.hit(room.leave)]), room.engine(room.words(GOOD))
    history = [Exchange("How much leave do I get?", "25 days. [1]")]
    await ask(engine, question="And when do they expire?", search=search, history=history)
    assert search.queries == [("How much leave do I get? 25 days. And when do they expire?", ANY_MEMBER)]
    rewriting, messages = (asked[0] for asked in engine.asked)
    assert [message.role for message in rewriting] == ["user"]
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert messages[2].content.endswith("Question: And when do they expire?")


async def test_rewritten_question_is_searched(ask: Ask, room: type[Room]) -> None:
    search, engine = room.search([room.hit(room.leave)]), room.engine(room.words("When does leave expire?"))
    history = [Exchange("How much leave do I get? in:handbook", "25 days of leave; they expire. [1]")]
    await ask(engine, question="And when do they expire? type:pdf", search=search, history=history)
    assert [query for query, _ in search.queries] == ["in:handbook type:pdf When does leave expire?"]
    assert "in:handbook" not in engine.asked[0][0][0].content
    assert engine.asked[-1][0][-1].content.endswith("Question: And when do they expire?")


async def test_filters_narrow_search_and_stay_out_of_prompt(ask: Ask, room: type[Room]) -> None:
    search, engine = room.search([room.hit(room.leave)]), room.engine(room.words(GOOD))
    await ask(engine, question="How much leave in:handbook do I get?", search=search)
    assert [query for query, _ in search.queries] == ["in:handbook How much leave do I get?"]
    assert engine.asked[0][0][-1].content.endswith("Question: How much leave do I get?")


@pytest.mark.parametrize("error", [InvalidFilter(FilterProblem.NO_DATE, text="soon"), UnknownSource("x", ["wiki"])])
async def test_unusable_filter_is_reported(ask: Ask, room: type[Room], error: Exception) -> None:
    reply = await ask(search=room.search([], error=error))
    assert reply.notices == [str(error)]


async def test_prompt_and_verifier_use_whole_passages(ask: Ask, room: type[Room]) -> None:
    """Only the neighbour of the hit supports the sentence."""
    first, _, rest = room.leave.partition(". ")
    hits = [room.hit(f"{first}.", context=room.leave)]
    for text in (GOOD, ALSO):
        engine = room.engine(room.words(text))
        assert (await ask(engine, search=room.search(hits))).text == f"{text} [1]"
        assert rest.split(".")[0] in engine.asked[0][0][-1].content
    small_model = room.engine(room.words(GOOD), status=EngineStatus(EngineState.READY, small_model=True))
    await ask(small_model, search=room.search(hits))
    assert rest.split(".")[0] not in small_model.asked[0][0][-1].content, (
        "it reads little, so the hit itself comes first"
    )


async def test_small_model_reads_only_passages_near_the_best(ask: Ask, room: type[Room]) -> None:
    """A small model would answer from a distant passage. Web pages stay, because the question may be about one."""
    hits = [room.hit(room.leave, score=1.0), room.hit(room.expenses, "expenses", score=0.4)]
    for small_model, seen in ((False, True), (True, False)):
        engine = room.engine(room.words(GOOD), status=EngineStatus(EngineState.READY, small_model=small_model))
        reply = await ask(engine, search=room.search(hits))
        assert ("Ledgerly" in engine.asked[0][0][-1].content) == seen
        assert len(reply.sources[0].passages) == 1 + seen


async def test_search_gets_viewers(room: type[Room]) -> None:
    search = room.search([])
    answerer = Answerer(search, room.engine(), room.new_checker)
    _ = [event async for event in answerer.answer(Question("Secret?", asker=Asker(viewers=make_members("U1", "U2"))))]
    assert search.queries[0][1] == make_members("U1", "U2")


# ── Nothing to answer from ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("question", ["", "   \n", "???", "…"])
async def test_empty_question_gets_help(ask: Ask, room: type[Room], question: str) -> None:
    search = room.search([])
    reply = await ask(question=question, search=search)
    assert "how do I add a source?" in reply.notices[0]
    assert reply.route == "unknown"
    assert search.queries == []


async def test_question_outside_documents_is_not_answered(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(room.words(GOOD))
    reply = await ask(engine, search=room.search([room.hit(room.leave)], answerable=False, related=False))
    assert reply.text == "I do not know: I found nothing in the documents about this."
    assert (reply.route, reply.cited, engine.asked) == ("unknown", [], [])


async def test_unsure_question_is_answered_by_a_large_model(ask: Ask, room: type[Room]) -> None:
    reply = await ask(room.engine(room.words(GOOD)), search=room.search([room.hit(room.leave)], answerable=False))
    assert (reply.route, reply.text) == ("engine", f"{GOOD} [1]")


async def test_no_result_is_reported_in_language_of_question(ask: Ask, room: type[Room]) -> None:
    reply = await ask(question="法国国王是谁？", search=room.search([], answerable=True))
    assert reply.text == "我不知道：文档中没有找到相关内容。"
    assert reply.sources[0].passages == ()
    assert (reply.route, reply.cited) == ("unknown", [])


CLOSEST = "I found no direct answer. This comes closest:\n\n**Leave** [1]\n> "


@pytest.mark.parametrize(
    "refusal",
    [
        "The passages do not say how many cats there are.",
        "I do not know. [1]",
        "I'm sorry, but I can't answer this. [1][2]",
        "Not mentioned.",
        "我不知道。[1]",
        "抱歉，我无法回答这个问题。[1]",
    ],
)
@pytest.mark.parametrize("kind", ["supported", "unsupported"])
async def test_refusal_becomes_closest_passages(ask: Ask, room: type[Room], refusal: str, kind: Any) -> None:
    """A refusal is none of the model's answers, even if a passage has the same words."""
    checker = room.checker(other=Verdict(kind, (1,) if kind == "supported" else ()))
    reply = await ask(room.engine(room.words(refusal)), checker=checker, limits=Limits(unsupported="drop"))
    assert reply.text.startswith(CLOSEST)
    assert "cats" not in reply.text
    assert (reply.route, reply.cited[0], reply.notices) == ("closest", 1, [])


@pytest.mark.parametrize(
    "said",
    [
        "We do not have a dress code.", "We cannot provide refunds after 30 days.",
        "We are unable to ship to PO boxes.", "The request context doesn't survive a restart.",
        "我不知道密码时可以点击“忘记密码”重置。", "不清楚流程的员工请联系人事部。",
        "我们不能提供您个人邮箱的访问权限。", "不能确定具体日期时，请联系人事部。",
    ],
)  # fmt: skip
async def test_rule_that_sounds_like_a_refusal_is_shown(ask: Ask, room: type[Room], said: str) -> None:
    reply = await ask(room.engine(room.words(said)), checker=room.checker(), question="Anything else?")
    assert reply.text.removesuffix("[1]").strip() == said


@pytest.mark.parametrize("said", ["I found no direct answer.", "No passage mentions cats.", "没有找到直接的答案。"])
async def test_kvasir_s_own_words_are_no_answer(ask: Ask, room: type[Room], said: str) -> None:
    reply = await ask(room.engine(room.words(said)), checker=room.checker(other=Verdict("unsupported")))
    assert reply.route == "closest"


async def test_closest_passages_have_nothing_in_bold(ask: Ask, room: type[Room]) -> None:
    search = room.search([room.hit(room.leave)], answerable=False)
    reply = await ask(room.engine(room.words("I do not know.")), search=search)
    assert reply.text.startswith(CLOSEST)
    assert "**25" not in reply.text, "it may answer another question"


async def test_unsure_question_without_engine_gets_closest_passages(ask: Ask, room: type[Room]) -> None:
    search = room.search([room.hit(room.leave)], answerable=False)
    reply = await ask(room.engine(status=EngineStatus(EngineState.STARTING)), search=search)
    assert reply.text.startswith(CLOSEST)
    assert "still loading" in reply.notices[0]
    assert reply.route == "closest"


async def test_failed_store_is_reported_with_next_step(ask: Ask, room: type[Room]) -> None:
    error = StoreUnavailable("Weaviate does not answer. Start it.")
    reply = await ask(search=room.search([], error=error))
    assert reply.notices == ["The documents could not be searched. Weaviate does not answer. Start it."]
    assert (reply.route, reply.text) == ("unknown", "")


async def test_hanging_search_is_cancelled(room: type[Room]) -> None:
    async def never(query: str, **_: Any) -> Any:
        del query
        await asyncio.Event().wait()

    answerer = Answerer(never, room.engine(), room.new_checker, limits=Limits(search_s=0.01))
    events = [event async for event in answerer.answer(Question("How long?"))]
    assert "within 0.01 s" in events[1].text  # type: ignore[union-attr]
    assert isinstance(events[-1], Finished)


async def test_long_question_is_cut_and_reported(ask: Ask, room: type[Room]) -> None:
    search, engine = room.search([room.hit(room.leave)]), room.engine(room.words(GOOD))
    reply = await ask(engine, question="leave " * 7000, search=search)
    assert reply.notices[0] == "The question was very long; only its first 6000 characters were read."
    assert len(search.queries[0][0]) <= 6000
    assert reply.text.startswith(GOOD)


# ── No engine, or one that fails ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (EngineStatus(EngineState.STARTING, progress=0.4), "The engine is still loading (40 %)"),
        (EngineStatus(EngineState.DOWNLOADING), "The engine is still being installed;"),
        (
            EngineStatus(EngineState.ABSENT, notes=(NoteCode.ERROR.fill(text="Run make run."),)),
            "No engine is running, so these are extracts from the documents. Run make",
        ),
        (
            EngineStatus(EngineState.FAILED, notes=(NoteCode.ERROR.fill(text="Out of memory."),)),
            "answer. Out of memory.",
        ),
        (EngineStatus(EngineState.STOPPING), "No engine is running"),
    ],
)
async def test_answer_without_engine_quotes_passages(
    ask: Ask, room: type[Room], status: EngineStatus, says: str
) -> None:
    engine = room.engine(status=status)
    reply = await ask(engine)
    assert says in reply.notices[0]
    assert f"> {GOOD}" in reply.text.replace("**", "")
    assert reply.text.startswith("**Leave** [1]")
    assert (reply.route, reply.cited[0], engine.asked) == ("passages", 1, [])


@pytest.mark.parametrize(
    "error",
    [
        EngineOverloaded(NoteCode.ERROR.fill(text="Its queue is full. Ask again.")),
        EngineTimeout(NoteCode.ERROR.fill(text="Too slow.")),
    ],
)
@pytest.mark.parametrize("before", [[], [ReasoningDelta("Hm.")], [ContentDelta("Employees")]])
async def test_engine_failure_before_text_quotes_passages(
    ask: Ask, room: type[Room], error: Exception, before: list[Delta]
) -> None:
    reply = await ask(room.engine([*before, error]))
    assert reply.notices == [f"These are extracts from the documents, not an answer. {error}"]
    assert f"> {GOOD}" in reply.text.replace("**", "")
    assert reply.route == "passages"


async def test_engine_failure_keeps_shown_text(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(
        [
            ContentDelta(f"{GOOD} {ALSO} And then"),
            EngineInterrupted(NoteCode.ERROR.fill(text="The stream broke. Ask again.")),
        ]
    )
    reply = await ask(engine, limits=Limits(little_chars=100))
    assert reply.text == f"{GOOD} [1] {ALSO} [1]"
    assert reply.notices == ["The answer was cut off. The stream broke. Ask again."]
    assert reply.route == "engine"


async def test_short_interrupted_answer_adds_passages(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(
        [ContentDelta(f"{GOOD} Up to fi"), EngineInterrupted(NoteCode.ERROR.fill(text="The stream broke."))]
    )
    reply = await ask(engine, search=room.search([room.hit(room.leave), room.hit(room.leave, "leave2")]))
    assert reply.text.startswith(f"{GOOD} [1]\n\n**Leave** [1]\n> ")
    assert reply.route == "engine"


async def test_engine_failure_at_every_point_is_handled(ask: Ask, room: type[Room]) -> None:
    whole = [ReasoningDelta("Hm."), *room.words(f"# Leave\n\n- {GOOD} [1]\n- {BAD}\n", size=16)]
    for point in range(len(whole)):
        reply = await ask(room.engine([*whole[:point], EngineInterrupted(NoteCode.ERROR.fill(text="It broke."))]))
        assert isinstance(reply.events[-1], Finished)
        assert len(reply.finished) == 1
        assert any("It broke." in notice for notice in reply.notices)
        assert GOOD in reply.text.replace("**", "")
        assert BAD not in reply.text.replace(f"{BAD} ⚠", "")


async def test_late_first_token_quotes_passages(ask: Ask, room: type[Room]) -> None:
    async def script() -> AsyncIterator[Delta]:
        await asyncio.Event().wait()
        yield StreamEnd("stop")

    engine = room.engine(script)
    reply = await ask(engine, limits=Limits(first_token_s=0.01))
    assert "did not begin to answer within 0.01 s" in reply.notices[0]
    assert reply.route == "passages"
    assert engine.streams_open == 0


async def test_endless_answer_is_ended(ask: Ask, room: type[Room]) -> None:
    async def script() -> AsyncIterator[Delta]:
        yield ContentDelta(f"{GOOD} Up")
        await asyncio.Event().wait()

    engine = room.engine(script)
    reply = await ask(engine, limits=Limits(answer_s=0.2, little_chars=10))
    assert reply.text == f"{GOOD} [1]"
    assert reply.notices == ["The answer was cut off after 0.2 s."]
    assert engine.streams_open == 0


async def test_failed_embedder_shows_no_unverified_text(ask: Ask, room: type[Room]) -> None:
    async def broken(_: Any) -> Any:
        raise EmbedderError("The embedder's file is damaged. Run setup.")

    reply = await ask(room.engine(room.words(f"{BAD} {GOOD}")), embed=broken)
    assert BAD not in reply.text
    assert "could not be checked" in reply.notices[0]
    assert "Run setup." in reply.notices[0]
    assert f"> {GOOD}" in reply.text.replace("**", "")
    assert reply.route == "passages"


async def test_small_context_is_reported(ask: Ask, room: type[Room]) -> None:
    reply = await ask(room.engine(context_tokens=100))
    assert "too small" in reply.notices[0]
    assert reply.route == "passages"


# ── What models do ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_answer_without_supported_sentence_adds_passages(ask: Ask, room: type[Room]) -> None:
    script = room.words("The Eiffel Tower is in Paris. It was built in 1889.")
    reply = await ask(room.engine(script))
    assert reply.text.startswith("The Eiffel Tower is in Paris. ⚠ It was built in 1889. ⚠\n\n")
    assert f"> {GOOD}" in reply.text.replace("**", "")
    assert (reply.route, reply.cited[0]) == ("passages", 1)
    reply = await ask(room.engine(script), limits=Limits(unsupported="drop"))
    assert reply.text.startswith(CLOSEST)
    assert (reply.route, "Eiffel" in reply.text, reply.finished[0].removed_count) == ("closest", False, 2)


async def test_abandoned_answer_has_no_length_notice(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(room.words(" ".join(f"Bob has bicycle number {n}." for n in range(400))))
    reply = await ask(engine, checker=room.checker({"Bob": Verdict("unsupported")}))
    assert engine.sent < 100
    assert [notice[:1] for notice in reply.notices] == ["⚠"]
    assert reply.finished[0].marked_count == 4


async def test_answer_that_repeats_question_is_replaced(ask: Ask, room: type[Room]) -> None:
    reply = await ask(room.engine(room.words("You get days of annual leave.")), checker=room.checker())
    assert reply.text.startswith(CLOSEST)
    assert (reply.route, reply.notices) == ("closest", [])


async def test_small_model_notice_appears_once(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(room.words(GOOD), status=EngineStatus(EngineState.READY, small_model=True))
    assert (await ask(engine)).notices == ["A small model on the CPU wrote this, not an R1."]
    assert (await ask(engine, question="你有几天年假？")).notices == ["这是由 CPU 上的小模型写的，不是 R1。"]
    assert (await ask(engine, history=[Exchange("How much leave?", GOOD)])).notices == []


async def test_repeated_sentences_are_shown_once_and_stopped(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(room.words(f"{GOOD} " * 500))
    reply = await ask(engine)
    assert reply.text == f"{GOOD} [1]"
    assert reply.notices == ["The answer was cut off because the model began to repeat itself."]
    assert engine.sent < 200
    assert engine.streams_open == 0


async def test_repetition_without_full_stops_is_stopped(ask: Ask, room: type[Room]) -> None:
    engine = room.engine(room.words("the days of the " * 5000))
    reply = await ask(engine)
    assert engine.sent < 300
    assert reply.route == "closest"


async def test_long_answer_is_bounded(ask: Ask, room: type[Room]) -> None:
    """128k tokens that never repeat and never end a sentence."""
    engine = room.engine([*(ContentDelta(f"word{n} ") for n in range(128_000)), StreamEnd("length")])
    reply = await ask(engine, limits=Limits(answer_chars=8000))
    assert engine.sent < 2000
    assert len(reply.text) < 10_000
    assert Step("is thinking…") not in reply.events


async def test_long_thinking_does_not_change_answer(ask: Ask, room: type[Room]) -> None:
    engine = room.engine([*(ReasoningDelta("hm " * 100) for _ in range(2000)), *room.words(GOOD)])
    reply = await ask(engine, limits=Limits(answer_chars=5000))
    assert reply.text == f"{GOOD} [1]"


async def test_unclosed_thinking_becomes_answer(ask: Ask, room: type[Room]) -> None:
    reply = await ask(room.engine([ReasoningDelta(GOOD), StreamEnd("stop")]))
    assert reply.text == f"{GOOD} [1]"
    assert reply.route == "engine"


async def test_cut_thinking_is_not_shown(ask: Ask, room: type[Room]) -> None:
    reply = await ask(room.engine([ReasoningDelta(GOOD), StreamEnd("length")]))
    assert reply.notices == ["The model did not get to an answer, so these are extracts from the documents."]
    assert reply.route == "passages"


async def test_answer_cut_by_length_drops_partial_sentence(ask: Ask, room: type[Room]) -> None:
    reply = await ask(room.engine(room.words(f"{GOOD} Up to five unused days", finish="length")))
    assert reply.text == f"{GOOD} [1]"
    assert reply.notices == ["The answer was cut off because it reached the maximum length."]


async def test_wrong_citations_and_foreign_links_are_removed(ask: Ask, room: type[Room]) -> None:
    text = f"Employees receive [25 days](https://evil.example/x) of paid annual leave per calendar year [7]. {ALSO} [2]"
    reply = await ask(room.engine(room.words(text)))
    assert reply.text == f"{GOOD} [1] {ALSO} [1]"


# ── Closing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_close_after_any_event_closes_stream(room: type[Room]) -> None:
    script = [ReasoningDelta("Hm."), *room.words(f"{GOOD} {ALSO}")]
    for stop_after in range(1, 6):
        engine = room.engine(script)
        answerer = Answerer(room.search([room.hit(room.leave)]), engine, room.new_checker)
        count = 0
        async with aclosing(answerer.answer(Question("How many days?"))) as events:
            async for _ in events:
                count += 1
                if count == stop_after:
                    break
        assert engine.streams_open == 0


async def test_cancellation_at_any_step_closes_stream_and_tasks(room: type[Room]) -> None:
    """Cancel the answer after N turns of the event loop, and check that nothing is left."""
    for turns in range(60):
        engine = room.engine([ReasoningDelta("Hm."), *room.words(f"{GOOD} {ALSO}")])
        answerer = Answerer(room.search([room.hit(room.leave)]), engine, room.new_checker)

        async def consume(answerer: Answerer = answerer) -> None:
            async with aclosing(answerer.answer(Question("How many days?"))) as events:
                async for _ in events:
                    await asyncio.sleep(0)

        before = asyncio.all_tasks()
        task = asyncio.create_task(consume())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert engine.streams_open == 0
        assert asyncio.all_tasks() == before


async def test_queued_question_shows_position_and_excludes_wait(room: type[Room]) -> None:
    """The wait may be longer than the limit of an answer; the engine gets the person's id."""

    async def script() -> AsyncIterator[Delta]:
        yield QueuePosition(2, None)
        await asyncio.sleep(0.3)
        yield QueuePosition(1, 42.0)
        yield QueuePosition(0, 0.0)
        for delta in room.words(GOOD):
            yield delta

    engine = room.engine(script)
    limits = Limits(first_token_s=0.2, answer_s=0.2)
    answerer = Answerer(room.search([room.hit(room.leave)]), engine, room.new_checker, limits=limits)
    question = Question("How many days of leave?", asker=Asker(person="U1", conversation="T-C-1"))
    events = [event async for event in answerer.answer(question)]
    assert [event.text for event in events if isinstance(event, InLine)] == [
        "You are number 2 in line for the engine.",
        "You are number 1 in line for the engine, about 45 s.",
        "",
    ]
    assert [event.markdown for event in events if isinstance(event, Text)] == [f"{GOOD} [1]"]
    assert (engine.askers[-1].person, engine.askers[-1].thread) == ("U1", "T-C-1")


async def test_answer_restarted_on_another_server_appears_once(room: type[Room]) -> None:
    """Text of the lost server that was not shown is dropped."""
    texts = []

    async def script() -> AsyncIterator[Delta]:
        yield ReasoningDelta("Lost thought.")
        yield ContentDelta(GOOD[:30])
        texts.append(engine.askers[-1].has_shown_output())
        yield StreamRestart()
        yield ContentDelta(f"{GOOD} ")
        yield ContentDelta(ALSO[:20])
        texts.append(engine.askers[-1].has_shown_output())
        yield ContentDelta(ALSO[20:])
        yield StreamEnd("stop")

    engine = room.engine(script)
    answerer = Answerer(room.search([room.hit(room.leave)]), engine, room.new_checker)
    events = [event async for event in answerer.answer(Question("How many days of leave?"))]
    assert "".join(event.markdown for event in events if isinstance(event, Text)) == f"{GOOD} [1] {ALSO} [1]"
    assert texts == [False, True]
