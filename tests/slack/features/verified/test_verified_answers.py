"""Tests of verified answers: an owner verifies one, and the same question gets it within its audience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.answering.events import AnswerEvent, Offer, Question, Sources, Text
from bot.config.configuration import Access
from knowledge.embedding import IDENTITY
from knowledge.interfaces import Matrix
from tests.slack.running_bot import (
    PASSAGE,
    FakeLibrary,
    RunningBot,
    VerifiedSetup,
    get_text,
    make_finished,
    run_bot_in_sandbox,
    wait_for_ephemeral,
)

pytestmark = pytest.mark.slow

ADA, BO = "U0ADA00001", "U0BO000002"
CITED = replace(PASSAGE, chunks=("c1", "c2"))
QUESTION = "How many vacation days do we get?"
PHRASINGS = ["我们有多少天年假？", "How many days of leave do we get?"]


async def answer_with_source(question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((CITED,))
    yield Text(f"Generated for: {question.text} [1]. That is all.", (CITED,))
    yield make_finished(CITED)


async def embed_topics(texts: Sequence[str]) -> Matrix:
    """Return equal vectors for texts about vacation, and other ones for all others."""
    topic = ("vacation", "leave", "年假")
    return np.array([[1.0, 0.0] if any(one in text for one in topic) else [0.0, 1.0] for text in texts], np.float32)


async def write_phrasings(_question: str) -> Sequence[str]:
    return PHRASINGS


@pytest.fixture
async def verified_bot(tmp_path: Path, library: FakeLibrary) -> AsyncIterator[RunningBot]:
    """Run a bot whose one owner is Ada."""
    dependencies = {
        "access": Access(frozenset({ADA})),
        "verified_setup": VerifiedSetup(embed_topics, IDENTITY, write_phrasings=write_phrasings),
    }
    async with run_bot_in_sandbox(
        tmp_path, script=answer_with_source, library=library, dependencies=dependencies
    ) as bot:
        yield bot


def list_buttons(message: dict[str, Any]) -> dict[str, str]:
    """Return the action ids of a message's buttons by their labels."""
    elements = [one for block in message.get("blocks") or () if block["type"] == "actions" for one in block["elements"]]
    return {one["text"]["text"]: one["action_id"] for one in elements}


async def open_modal(bot: RunningBot, answer: dict[str, Any], *, channel: str = "#general") -> dict[str, Any]:
    """Press "Verify…" as Ada and return the modal once it has its suggestions."""
    await bot.sandbox.press("ada", channel, answer["ts"], list_buttons(answer)["Verify…"])
    view = await bot.sandbox.wait_for_modal(ADA)
    await bot.sandbox.wait_until(lambda: "suggested" in field_ids(bot.sandbox.view(view["id"])), what="suggestions")
    return bot.sandbox.view(view["id"])


def field_ids(view: dict[str, Any]) -> list[str]:
    return [block.get("block_id", "") for block in view.get("blocks", ())]


def make_values(view: dict[str, Any], **changed: str) -> dict[str, Any]:
    """Return the values of a modal's fields as they are shown, with some changed."""
    values: dict[str, Any] = {}
    for block in view["blocks"]:
        if block["type"] == "input":
            kind, id_ = block["element"]["type"], block["block_id"]
            initial = block["element"].get("initial_value") or block["element"].get("initial_date")
            name = "selected_date" if kind == "datepicker" else "value"
            values[id_] = {block["element"]["action_id"]: {"type": kind, name: changed.get(id_, initial)}}
    return values


async def wait_for_error(bot: RunningBot, view: dict[str, Any], text: str) -> None:
    """Wait until the form, which stays open with what was typed, says why it is refused."""
    await bot.sandbox.wait_until(lambda: text in str(bot.sandbox.view(view["id"]).get("errors")), what=text)


async def verify(bot: RunningBot, question: str = QUESTION, **changed: str) -> dict[str, Any]:
    """Ask a question as Ada, verify its answer and return the modal."""
    root = await bot.ask(f"@Kvasir {question}")
    answer = await bot.wait_for_answer(root)
    view = await open_modal(bot, answer)
    await bot.sandbox.submit("ada", view["id"], make_values(view, **changed))
    await wait_for_ephemeral(bot, "Verified until")
    return view


async def test_same_question_gets_the_verified_answer(verified_bot: RunningBot) -> None:
    bot = verified_bot
    view = await verify(bot, answer="**30 days** [1].")
    fields = {block["block_id"]: block for block in view["blocks"] if block["type"] == "input"}
    assert fields["question"]["element"]["initial_value"] == QUESTION
    assert fields["suggested"]["element"]["initial_value"].splitlines() == PHRASINGS
    count = len(bot.answerer.questions)
    root = await bot.sandbox.say("bo", "#general", f"@Kvasir hi, can you tell me {QUESTION.lower()} thanks!")
    answer = await bot.wait_for_answer(root, "30 days")
    assert "✓ Verified by ada" in get_text(answer)
    assert "Adding a source" in get_text(answer), "its sources"
    chinese = await bot.sandbox.say("bo", "#general", "@Kvasir 请问我们有多少天年假")
    answer = await bot.wait_for_answer(chinese, "30 days")
    assert "ada 已于" in get_text(answer)
    assert len(bot.answerer.questions) == count, "nothing was generated"

    await bot.sandbox.press("bo", "#general", answer["ts"], list_buttons(answer)["改为依据文档回答"])
    await bot.wait_for_answer(chinese, "Generated for: 请问我们有多少天年假")


async def test_near_question_is_only_offered_the_answer(verified_bot: RunningBot) -> None:
    bot = verified_bot
    await verify(bot, answer="**30 days** [1].")
    for near in ("How many vacation days does the boss get?", "Which vacation days are paid?"):
        root = await bot.sandbox.say("bo", "#general", f"@Kvasir {near}")
        answer = await bot.wait_for_answer(root, near)
        assert "30 days" not in get_text(answer)
        assert f"similar question: “{QUESTION}”" in get_text(answer)
        await bot.sandbox.press("bo", "#general", answer["ts"], list_buttons(answer)["Show verified answer"])
        reply = await bot.sandbox.wait_for_message(
            lambda m, root=root: m.get("ephemeral") and "30 days" in get_text(m) and m["root"] == root, person="bo"
        )
        assert "✓ Verified by ada" in get_text(reply)
    for other in ("How many vacation days did we get in 2019?", "How many rooms do we have?"):
        root = await bot.sandbox.say("bo", "#general", f"@Kvasir {other}")
        assert "similar question" not in get_text(await bot.wait_for_answer(root, other))


async def test_answer_does_not_exist_for_people_who_may_not_read_its_sources(
    verified_bot: RunningBot, library: FakeLibrary
) -> None:
    bot = verified_bot
    await verify(bot)
    near = await bot.sandbox.say("bo", "#general", "@Kvasir Which vacation days are paid?")
    offered = await bot.wait_for_answer(near, "similar question")
    library.current = frozenset({"c1"})
    for text in (QUESTION, "Which vacation days are free?"):
        root = await bot.sandbox.say("bo", "#general", f"@Kvasir {text}", thread_ts=near)
        answer = await bot.sandbox.wait_for_message(
            lambda m, text=text: f"Generated for: {text}" in get_text(m) and m.get("metadata")
        )
        assert "erified" not in get_text(answer).replace("Verify…", ""), root
    await bot.sandbox.press("bo", "#general", offered["ts"], list_buttons(offered)["Show verified answer"])
    await wait_for_ephemeral(bot, "no longer exists", person="bo")
    await bot.sandbox.command("ada", "#general", "/kb verified")
    listed = await wait_for_ephemeral(bot, "cite")
    assert QUESTION not in listed, "Ada may not read the sources any more"


async def test_offer_is_left_out_if_a_viewer_may_not_read_it_when_it_is_shown(
    tmp_path: Path, library: FakeLibrary
) -> None:
    """The viewers of an answer may change while it is generated."""
    secret = replace(CITED, chunks=("secret",))

    async def offer(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Sources((CITED,))
        yield Text("That is all.", (CITED,))
        yield Offer("a1", "Who gets a bonus?", (secret,))
        yield make_finished(CITED)

    library.current = frozenset(CITED.chunks)
    async with run_bot_in_sandbox(tmp_path, script=offer, library=library) as bot:
        answer = await bot.wait_for_answer(await bot.ask())
        assert "bonus" not in get_text(answer)
        assert "Show verified answer" not in list_buttons(answer)


async def test_changed_source_puts_the_answer_into_review(verified_bot: RunningBot, library: FakeLibrary) -> None:
    bot = verified_bot
    await verify(bot, answer="**30 days** [1].")
    library.vanished = frozenset({"c2"})
    root = await bot.sandbox.say("bo", "#general", f"@Kvasir {QUESTION}")
    await bot.wait_for_answer(root, "Generated for")
    library.vanished = frozenset()
    root = await bot.sandbox.say("bo", "#general", f"@Kvasir {QUESTION}")
    await bot.wait_for_answer(root, "Generated for")
    await bot.sandbox.command("ada", "#general", "/kb verified")
    listed = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral") and "a source has changed" in get_text(m))
    await bot.sandbox.press("ada", "#general", listed["ts"], list_buttons(listed)["Renew for 180 days"])
    await wait_for_ephemeral(bot, "is valid until")
    root = await bot.sandbox.say("bo", "#general", f"@Kvasir {QUESTION}")
    await bot.wait_for_answer(root, "30 days")


async def test_home_shows_owners_what_needs_them(verified_bot: RunningBot, library: FakeLibrary) -> None:
    bot = verified_bot
    await verify(bot)
    library.vanished = frozenset({"c2"})
    homes: dict[str, str] = {}
    for person in ("ada", "bo"):

        async def is_published(person: str = person) -> bool:
            homes[person] = str(await bot.sandbox.home(person) or "")
            return bool(homes[person])

        await bot.sandbox.wait_until(is_published)
    assert "1 verified answer needs you" in homes["ada"]
    assert QUESTION in homes["ada"]
    assert "kvasir:verified-delete" in homes["ada"]
    assert QUESTION not in homes["bo"]
    published = len(await bot.sandbox.requests("views.publish"))
    view = await bot.sandbox.home("ada")
    assert view is not None

    async def is_published_again() -> bool:
        return len(await bot.sandbox.requests("views.publish")) > published

    await bot.sandbox.wait_until(is_published_again, what="Home for the last time that it was opened")
    body = {"person": "ada", "view_id": view["id"], "action_id": "kvasir:verified-delete"}
    await bot.sandbox.control("POST", "press", body)
    await bot.sandbox.wait_for_message(lambda m: "Deleted: " in get_text(m), channel="@kvasir")
    await bot.sandbox.wait_until(
        lambda: "verified-delete" not in str(bot.sandbox.view(view["id"])), what="the new Home"
    )


async def test_owner_edits_and_deletes_an_answer(verified_bot: RunningBot, library: FakeLibrary) -> None:
    bot = verified_bot
    await verify(bot, answer="**30 days** [1].")
    await bot.sandbox.command("ada", "#general", "/kb verified VACATION")
    listed = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral") and QUESTION in get_text(m))
    await bot.sandbox.press("ada", "#general", listed["ts"], list_buttons(listed)["Edit"])
    view = await bot.sandbox.wait_for_modal(ADA)
    await bot.sandbox.wait_until(lambda: "suggested" in field_ids(bot.sandbox.view(view["id"])), what="suggestions")
    values = make_values(bot.sandbox.view(view["id"]), answer="**31 days** [1].", phrasings="Leave?\n\n Leave? ")
    await bot.sandbox.submit("ada", view["id"], values)
    await bot.sandbox.wait_until(lambda: not bot.sandbox.view(view["id"]), what="end of the modal")
    await bot.wait_until_idle()
    root = await bot.sandbox.say("bo", "#general", f"@Kvasir {QUESTION}")
    await bot.wait_for_answer(root, "31 days")

    library.vanished = frozenset({"c2"})
    await bot.sandbox.press("ada", "#general", listed["ts"], list_buttons(listed)["Renew for 180 days"])
    await wait_for_ephemeral(bot, "Its sources have changed")
    await bot.sandbox.press("ada", "#general", listed["ts"], list_buttons(listed)["Delete"])
    await wait_for_ephemeral(bot, "Deleted: ")
    await bot.sandbox.command("ada", "#general", "/kb verified")
    await wait_for_ephemeral(bot, "No answer is verified")


async def test_an_answer_that_was_replaced_meanwhile_is_not_verified(tmp_path: Path) -> None:
    """Its text would get the sources of the new answer, and with them other readers."""
    chunks = ["secret", "open"]

    async def answer_with_next_source(question: Question) -> AsyncGenerator[AnswerEvent]:
        cited = replace(PASSAGE, chunks=(chunks.pop(0),))
        yield Sources((cited,))
        yield Text(f"From {cited.chunks[0]}: {question.text} [1]. That is all.", (cited,))
        yield make_finished(cited)

    dependencies = {
        "access": Access(frozenset({ADA})),
        "verified_setup": VerifiedSetup(write_phrasings=write_phrasings),
    }
    async with run_bot_in_sandbox(tmp_path, script=answer_with_next_source, dependencies=dependencies) as bot:
        root = await bot.ask(f"@Kvasir {QUESTION}")
        answer = await bot.wait_for_answer(root, "From secret")
        view = await open_modal(bot, answer)
        await bot.wait_until_idle()
        await bot.sandbox.press("ada", "#general", answer["ts"], list_buttons(answer)["Answer again"])
        await bot.wait_for_turn(root, "From open")
        await bot.sandbox.submit("ada", view["id"], make_values(view))
        await wait_for_error(bot, view, "is not stored any more")


async def test_only_owners_verify_and_list(verified_bot: RunningBot) -> None:
    bot = verified_bot
    root = await bot.ask(f"@Kvasir {QUESTION}")
    answer = await bot.wait_for_answer(root)
    await bot.sandbox.press("bo", "#general", answer["ts"], list_buttons(answer)["Verify…"])
    refusal = f"Only an owner may do this. Ask <@{ADA}>."
    await wait_for_ephemeral(bot, refusal, person="bo")
    await bot.sandbox.command("bo", "#general", "/kb verified")
    await bot.sandbox.wait_for_message(
        lambda m: m.get("ephemeral") and "Only an owner" in get_text(m) and m["root"] != root, person="bo"
    )


async def test_only_owners_get_the_button_in_direct_messages(verified_bot: RunningBot) -> None:
    bot = verified_bot
    for person, has_button in (("ada", True), ("bo", False)):
        root = await bot.sandbox.say(person, "@kvasir", QUESTION)
        answer = await bot.sandbox.wait_for_message(
            lambda m, root=root: m["root"] == root and m.get("metadata"), channel="@kvasir", person=person
        )
        assert ("Verify…" in list_buttons(answer)) == has_button


async def test_owner_of_one_source_verifies_answers_from_it_alone(tmp_path: Path) -> None:
    for source, is_stored in (("docs", True), ("other", False)):
        access = Access(frozenset({BO}), {source: frozenset({ADA})})
        state = tmp_path / source
        state.mkdir()
        verified = VerifiedSetup(write_phrasings=write_phrasings)
        async with run_bot_in_sandbox(
            state, script=answer_with_source, dependencies={"access": access, "verified_setup": verified}
        ) as bot:
            root = await bot.ask(f"@Kvasir {QUESTION}")
            view = await open_modal(bot, await bot.wait_for_answer(root))
            await bot.sandbox.submit("ada", view["id"], make_values(view))
            if is_stored:
                await wait_for_ephemeral(bot, "Verified until")
            else:
                await wait_for_error(bot, view, "may not read all of them")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("question", "?", "write a question"),
        ("question", "What is for lunch today?", "another day"),
        ("phrasings", "Fine?\n去年有多少天？", "another day"),
        ("phrasings", "\n".join(f"Way {n}?" for n in range(29)), "At most 30 lines"),
        ("phrasings", "\n".join(f"{n}{'a' * 293}?" for n in range(10)), "3000 characters"),
        ("answer", " ", "write an answer"),
        ("expires", (datetime.now(UTC) - timedelta(days=1)).date().isoformat(), "after today"),
        ("expires", "2999-01-01", "two years"),
    ],
)
async def test_modal_explains_what_is_wrong(verified_bot: RunningBot, field: str, value: str, problem: str) -> None:
    bot = verified_bot
    answer = await bot.wait_for_answer(await bot.ask(f"@Kvasir {QUESTION}"))
    view = await open_modal(bot, answer)
    await bot.sandbox.submit("ada", view["id"], make_values(view, **{field: value}))
    await bot.sandbox.wait_until(lambda: bot.sandbox.view(view["id"]).get("errors"), what="errors")
    assert problem in bot.sandbox.view(view["id"])["errors"][field]


async def test_answers_without_documents_cannot_be_verified(tmp_path: Path) -> None:
    async def cite_web(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("From a page [1]. That is all.", (PASSAGE,))
        yield make_finished(PASSAGE)

    dependencies = {"access": Access(frozenset({ADA}))}
    async with run_bot_in_sandbox(tmp_path, script=cite_web, dependencies=dependencies) as bot:
        answer = await bot.wait_for_answer(await bot.ask())
        assert "Verify…" not in list_buttons(answer)


async def test_follow_up_and_switches_get_no_verified_answer(verified_bot: RunningBot) -> None:
    bot = verified_bot
    await verify(bot, "And how many of them are paid?", answer="**30 days** [1].")
    root = await bot.ask("@Kvasir what is a holiday?")
    await bot.wait_for_answer(root, "what is a holiday?")
    await bot.ask("And how many of them are paid?", thread_ts=root)
    await bot.wait_for_answer(root, "Generated for: And how many of them are paid?")
    alone = await bot.ask("@Kvasir docs: and how many of them are paid?")
    await bot.wait_for_answer(alone, "Generated for: and how many")


async def test_the_beginning_of_a_long_verified_answer_says_so(tmp_path: Path) -> None:
    async def answer_at_length(question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Sources((CITED,))
        yield Text(f"Generated for: {question.text} [1].\n\n" + "Each day counts [1].\n\n" * 700, (CITED,))
        yield Text("That is all.")
        yield make_finished(CITED)

    verified = VerifiedSetup(embed_topics, IDENTITY, write_phrasings=write_phrasings)
    dependencies = {"access": Access(frozenset({ADA})), "verified_setup": verified}
    async with run_bot_in_sandbox(tmp_path, script=answer_at_length, dependencies=dependencies) as bot:
        root = await bot.ask(f"@Kvasir {QUESTION}")
        answer = await bot.sandbox.wait_for_message(lambda m: m["root"] == root and "Verify…" in list_buttons(m))
        view = await open_modal(bot, answer)
        await bot.sandbox.submit("ada", view["id"], make_values(view))
        await wait_for_ephemeral(bot, "Verified until")
        root = await bot.ask("@Kvasir Which vacation days are paid?")
        offer = await bot.sandbox.wait_for_message(
            lambda m: m["root"] == root and "Show verified answer" in list_buttons(m)
        )
        await bot.sandbox.press("ada", "#general", offer["ts"], list_buttons(offer)["Show verified answer"])
        await wait_for_ephemeral(bot, "This is its beginning.")


async def test_people_who_only_look_at_a_channel_learn_what_a_button_does(verified_bot: RunningBot) -> None:
    """Slack sends no ephemeral message to people who are not in the channel, but their presses."""
    bot = verified_bot
    await verify(bot, answer="**30 days** [1].")
    await bot.sandbox.channel("open", id="C0OPEN0001", kind="channel", members=["ada", "kvasir"])
    root = await bot.ask("@Kvasir Which vacation days are paid?", "#open")
    answer = await bot.wait_for_turn(root, "similar question", "#open")
    buttons = list_buttons(answer)
    for label, contains in (("Answer again", "Only the person"), ("Show verified answer", "30 days")):
        await bot.sandbox.press("bo", "#open", answer["ts"], buttons[label])
        await bot.sandbox.wait_for_message(
            lambda m, contains=contains: m.get("ephemeral") and contains in get_text(m), channel="#open", person="bo"
        )


async def test_the_form_opens_in_time_however_long_the_rights_take(
    verified_bot: RunningBot, library: FakeLibrary
) -> None:
    """Slack's permission to open a form lasts three seconds, and a source may take as long to say who may read."""
    bot = verified_bot
    answer = await bot.wait_for_turn(await bot.ask(f"@Kvasir {QUESTION}"))
    for current, expected in ((None, "Generated for"), (frozenset({"c1"}), "you may not read all of them")):
        library.rights, library.current = asyncio.Event(), current
        await bot.sandbox.press("ada", "#general", answer["ts"], list_buttons(answer)["Verify…"])
        view = await bot.sandbox.wait_for_modal(ADA, "One moment")
        library.rights.set()
        await bot.sandbox.wait_until(lambda view=view, expected=expected: expected in str(bot.sandbox.view(view["id"])))
        assert bot.sandbox.hub is not None
        bot.sandbox.hub.workspace.close_view(bot.sandbox.hub.workspace.views[view["id"]])


async def test_the_form_shows_no_answer_that_the_owner_may_not_read_any_more(
    verified_bot: RunningBot, library: FakeLibrary
) -> None:
    bot = verified_bot
    answer = await bot.wait_for_turn(await bot.ask(f"@Kvasir {QUESTION}"))
    library.current = frozenset({"c1"})
    await bot.sandbox.press("ada", "#general", answer["ts"], list_buttons(answer)["Verify…"])
    await wait_for_ephemeral(bot, "you may not read all of them")
    assert "Generated for" not in str((await bot.sandbox.state())["modals"])
