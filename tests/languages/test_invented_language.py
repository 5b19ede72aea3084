"""Tests of CONTRIBUTING.md's recipe "A language": one that is invented here is registered and works everywhere.

Its texts are the English ones between ⟦ and ⟧, so a text that has no ⟦ is one that a language cannot replace.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from bot.answering.answer import Answerer
from bot.answering.asker import TONES
from bot.answering.events import Exchange, Passage, Quote
from bot.answering.prompt import build_prompt, describe_manner, plan_budget
from bot.answering.quoting import format_quotes
from bot.answering.retrieval.follow_ups import depends_on_history
from bot.answering.retrieval.question_rewriting import build_rewrite_messages
from bot.answering.support.calibration import CALIBRATED_MODELS
from bot.answering.support.checker import feature_checkers
from bot.answering.support.judge import judge_question
from bot.answering.thinking import LENGTHS
from bot.config.configuration import Access
from bot.languages.english import ENGLISH
from bot.languages.pack import LanguagePack
from bot.languages.registry import LANGUAGES, choose_language, find_pack
from bot.messages import answers
from bot.messages.forms import feedback
from bot.messages.message import join_clauses, join_names, join_sentences, render_both
from bot.slack.features.settings.personal_settings import OPEN_SETTINGS
from engine.client.client import EngineClient, ServerEndpoint
from knowledge.embedding import IDENTITY, find_calibration
from tests.answering.conftest import LEAVE, ScriptedSearch, embed_bag_of_words, hit
from tests.answering.test_with_engine_client import Connected
from tests.engine.fakes import DONE, USAGE, FakeSglang, delta, fake_sglang
from tests.messages.test_catalogue import MESSAGES
from tests.slack.features.settings.test_channel_settings import change
from tests.slack.running_bot import RunningBot, get_text, run_bot_in_sandbox
from tests.slack.workspace.home_views import press_in_home, read_home

CODE, ADA = "qaa", "U0ADA00001"
QUESTION = "⟦How many days of annual leave do I get?⟧"
GOOD = "Employees receive 25 days of paid annual leave per calendar year."


def mark(text: str) -> str:
    return f"⟦{text}⟧"


def mark_texts(pack: LanguagePack) -> dict[str, Any]:
    """Return the fields of a pack that are texts or mappings of texts, with every text marked."""
    values = {one.name: getattr(pack, one.name) for one in fields(pack)}
    texts = {name: mark(value) for name, value in values.items() if isinstance(value, str)}
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    return texts | {name: {key: mark(text) for key, text in table.items()} for name, table in tables.items()}


english = {text for message in MESSAGES.values() for text in (message.en, message.en_one) if text}
INVENTED = replace(
    ENGLISH,
    **mark_texts(ENGLISH)
    | {
        "code": CODE,
        "detect": lambda text: "⟦" in text,
        "translations": {text: mark(text) for text in english},
        "refusal": re.compile("⟦nothing"),
        "follow_up": re.compile("^⟦then"),
    },
)
BARE = replace(ENGLISH, code=CODE, name="Bare", detect=INVENTED.detect)


@pytest.fixture(autouse=True)
def invented(monkeypatch: pytest.MonkeyPatch) -> LanguagePack:
    monkeypatch.setitem(LANGUAGES, CODE, INVENTED)
    return INVENTED


# ── What a model is asked ────────────────────────────────────────────────────────────────────────────────────────────


def ask_everything(question: str) -> Iterator[str]:
    """Yield all texts that a model is sent about a question, and those around lists of texts."""
    passages = [Passage(1, "docs", "leave.md", "Leave", "", None, LEAVE)]
    language = choose_language(question)
    for small_model in (True, False):
        for length in LENGTHS:
            budget = plan_budget(8192, small_model=small_model, length=length)
            prompt = build_prompt(question, (), passages, budget=budget, count_tokens=len)
            yield prompt.messages[0].content
    yield from (format_quotes([Quote(question, name, is_app=app)]) for name in ("Bo", "") for app in (True, False))
    yield from (judge_question("25 days", numbers, language) for numbers in ((1,), (1, 2)))
    yield build_rewrite_messages(question, [Exchange("Leave?", GOOD)])[0].content
    yield from (join(("a", "b"), language) for join in (join_names, join_clauses, join_sentences))
    pack = find_pack(language)
    yield from (pack.judge_answer, *pack.yes_no)


def test_every_request_to_a_model_is_in_the_language() -> None:
    texts = list(ask_everything(QUESTION))
    assert [text for text in texts if "⟦" not in text] == [*ENGLISH.yes_no]
    assert {describe_manner(CODE, tone, "en")[0] for tone in TONES} == {"⟦"}


def test_what_a_language_lacks_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LANGUAGES, CODE, BARE)
    texts = list(ask_everything(QUESTION))
    assert describe_manner(CODE, "plain", "en").startswith("Write the answer in Bare, ")
    monkeypatch.delitem(LANGUAGES, CODE)
    assert texts == list(ask_everything(QUESTION))


def test_a_judge_that_was_not_measured_in_a_language_counts_as_in_english() -> None:
    for calibration in filter(None, CALIBRATED_MODELS.values()):
        assert calibration.probability(1.0, CODE) == calibration.probability(1.0, "en")


def test_follow_ups_of_the_language_are_recognised() -> None:
    assert depends_on_history("⟦then where is the annual leave calendar published⟧")
    assert not depends_on_history("⟦where is the annual leave calendar published⟧")


# ── What people see ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def run_answering_bot(folder: Path, search: ScriptedSearch) -> AsyncIterator[tuple[RunningBot, FakeSglang]]:
    """Run the bot with the real answerer; the workspace and the engine's server are fakes at the wire."""
    dependencies = {"access": Access(frozenset({ADA}))}
    async with fake_sglang() as model, run_bot_in_sandbox(folder, "socket", dependencies=dependencies) as bot:
        client = EngineClient(ServerEndpoint(url=model.url, api_key=None, model=model.model, thinks=True))
        new_checker = feature_checkers(embed_bag_of_words, find_calibration(IDENTITY).support)
        bot.answerer.script = Answerer(search, Connected(client), new_checker).answer
        try:
            yield bot, model
        finally:
            await client.close()


async def ask(bot: RunningBot, question: str = QUESTION) -> dict[str, Any]:
    """Ask as Ada, and return the message of the complete answer."""
    root = await bot.ask(f"@Kvasir {question}")
    message: dict[str, Any] = await bot.wait_for_answer(root, "")
    return message


def list_texts(part: object) -> Iterator[str]:
    """Yield the texts of blocks: labels, headings and paragraphs."""
    if isinstance(part, dict):
        if isinstance(text := part.get("text"), str):
            yield text
        for one in part.values():
            yield from list_texts(one)
    elif isinstance(part, list):
        for one in part:
            yield from list_texts(one)


@pytest.mark.slow
async def test_an_answer_its_refusal_and_the_closest_passages_are_in_the_language(tmp_path: Path) -> None:
    search = ScriptedSearch([hit(LEAVE)])
    async with run_answering_bot(tmp_path, search) as (bot, model):
        model.stream(delta(content=f"{GOOD} [1]"), delta(finish="stop"), USAGE, DONE)
        answer = await ask(bot)
        prompt = model.bodies[-1]["messages"][0]["content"]
        assert prompt.startswith(INVENTED.instructions)
        assert f"{INVENTED.question_label}{QUESTION}" in prompt
        assert GOOD in get_text(answer)
        assert mark(feedback.ANSWER_AGAIN.en) in get_text(answer)
        assert [text for text in list_texts(answer["blocks"]) if "⟦" not in text and GOOD not in text] == []

        model.stream(delta(content="⟦nothing in here⟧"), delta(finish="stop"), USAGE, DONE)
        closest = get_text(await ask(bot))
        assert closest.startswith(mark(answers.CLOSEST.en))
        assert "25 days" in closest
        assert "⟦nothing" not in closest

        model.refuse(503, {"object": "error", "message": "The request queue is full.", "code": 503})
        extract = get_text(await ask(bot))
        assert "⟦These are extracts from the documents" in extract
        assert "25 days" in extract

        search.related = False
        nothing = await ask(bot)
        assert [text for text in list_texts(nothing["blocks"]) if "⟦" not in text] == []


@pytest.mark.slow
async def test_a_person_and_a_channel_choose_the_language(tmp_path: Path) -> None:
    async with run_answering_bot(tmp_path, ScriptedSearch([hit(LEAVE)])) as (bot, model):
        await bot.sandbox.person(ADA, locale=f"{CODE}-DE")
        view = await read_home(bot, "ada", "⟦")
        headers = [text for block in view["blocks"] if block["type"] == "header" for text in list_texts(block)]
        assert headers
        assert [text for text in headers if "⟦" not in text] == []
        await press_in_home(bot, "ada", OPEN_SETTINGS)
        modal = await bot.sandbox.wait_for_modal(ADA)
        assert INVENTED.name in list_texts(modal)
        await change(bot, language=CODE)
        model.stream(delta(content=f"{GOOD} [1]"), delta(finish="stop"), USAGE, DONE)
        await ask(bot, "How many days of annual leave do I get?")
        assert model.bodies[-1]["messages"][0]["content"].endswith(describe_manner(CODE, "plain", "en"))


def test_a_text_for_everybody_has_every_language() -> None:
    shown = render_both(next(iter(MESSAGES.values())))
    assert len(shown.splitlines()) >= len(LANGUAGES)
