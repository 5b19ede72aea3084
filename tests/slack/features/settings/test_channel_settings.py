"""Tests of the settings of a channel: the modal, who may change what, and what a change does in two processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import Question
from bot.answering.policy import Policies, Policy
from bot.answering.thinking import Defaults
from bot.config.configuration import Access
from bot.config.models import ChannelTable
from bot.sandbox.state.model import BOT_USER
from bot.storage.answers import Answers, StoredAnswer
from bot.storage.channels.channel_settings import ChannelSettings, ChannelSettingsStore
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.questions import QuestionKey
from tests.services import free_ports
from tests.slack.running_bot import (
    FakeLibrary,
    RunningBot,
    get_text,
    make_library_status,
    make_source_status,
    run_bot,
    run_bot_in_sandbox,
    wait_for_ephemeral,
)
from tests.slack.wire.transport.test_http_server import post_event, sign_body, skip_wait
from tests.slack_sandbox import TEAM_ID, open_sandbox

pytestmark = pytest.mark.slow

ADA, BO, CHEN = "U0ADA00001", "U0BO000002", "U0CHEN0003"
GENERAL = "C0GENERAL1"
OWNED = {"access": Access(frozenset({ADA}))}
WEB = {"web": Policies(Policy("on", frozenset({"example.com"}), searches=True))}


def make_library(*names: str) -> FakeLibrary:
    return FakeLibrary(state=make_library_status(*map(make_source_status, names or ("docs", "handbook"))))


@contextlib.asynccontextmanager
async def run_owned(tmp_path: Path, **options: Any) -> AsyncIterator[RunningBot]:
    """Run a bot whose owner is Ada."""
    dependencies = OWNED | options.pop("dependencies", {})
    async with run_bot_in_sandbox(
        tmp_path, library=options.pop("library", make_library()), dependencies=dependencies, **options
    ) as bot:
        yield bot


async def open_settings(bot: RunningBot, person: str = "ada", user: str = ADA) -> dict[str, Any]:
    """Type the command, and return the modal that opens."""

    async def list_modals() -> dict[str, dict[str, Any]]:
        return {view["id"]: view for view in (await bot.sandbox.state())["modals"] if view["user"] == user}

    before = await list_modals()  # one that was submitted may still close
    await bot.sandbox.command(person, "#general", "/kb channel")

    async def list_new() -> list[dict[str, Any]]:
        return [view for id_, view in (await list_modals()).items() if id_ not in before]

    await bot.sandbox.wait_until(list_new, what="modal")
    return (await list_new())[-1]


@contextlib.asynccontextmanager
async def post_to_bot(tmp_path: Path) -> AsyncIterator[tuple[RunningBot, Callable[[dict[str, Any]], Awaitable[None]]]]:
    """Run a bot that listens; yield it with a function that sends it an event, signed as Slack does."""
    port = free_ports(1)[0]
    async with open_sandbox(tmp_path) as sandbox:
        sandbox.wait_connected = skip_wait  # type: ignore[method-assign]
        async with run_bot(sandbox, tmp_path, port=port) as bot:

            async def post(event: dict[str, Any]) -> None:
                body = json.dumps({"type": "event_callback", "team_id": TEAM_ID, "event": event}).encode()
                headers = sign_body(sandbox.signing_secret, body)
                assert await post_event(bot, f"http://127.0.0.1:{port}", body, headers) == 200

            yield bot, post


def list_fields(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {block["block_id"]: block["element"] for block in view["blocks"] if block["type"] == "input"}


def make_values(view: dict[str, Any], **chosen: str | list[str]) -> dict[str, Any]:
    """Return what Slack sends of a form whose other fields stay as they are."""
    values: dict[str, Any] = {}
    for name, element in list_fields(view).items():
        offered = {option["value"]: option for option in element["options"]}
        if element["type"] == "static_select":
            picked = offered[chosen[name]] if name in chosen else element["initial_option"]
            values[name] = {name: {"type": element["type"], "selected_option": picked}}
        else:
            several = [offered[one] for one in chosen[name]] if name in chosen else element.get("initial_options", [])
            values[name] = {name: {"type": element["type"], "selected_options": several}}
    return values


async def change(bot: RunningBot, person: str = "ada", user: str = ADA, **chosen: str | list[str]) -> None:
    """Open the modal, submit it with these choices, and wait for the line in the channel."""
    view = await open_settings(bot, person, user)
    before = len(await list_announcements(bot))
    await bot.sandbox.submit(person, view["id"], make_values(view, **chosen))

    async def is_announced() -> bool:
        return len(await list_announcements(bot)) > before

    await bot.sandbox.wait_until(is_announced, what="announcement")


async def list_announcements(bot: RunningBot) -> list[str]:
    lines = [get_text(one) for one in await bot.sandbox.messages() if one.get("bot_id") and not one.get("ephemeral")]
    return [line for line in lines if "how I answer here" in line or "作答方式" in line]


async def ask_both(bot: RunningBot, other: RunningBot) -> list[Question]:
    """Ask until both processes have answered, one of which Slack chooses for each question; return the last ones."""
    for one in (bot, other):
        await one.wait_for_changes()
    answered = [len(one.answerer.questions) for one in (bot, other)]
    while any(len(one.answerer.questions) == before for one, before in zip((bot, other), answered, strict=True)):
        await bot.wait_for_answer(await bot.ask("@Kvasir how?"))
    return [one.answerer.questions[-1] for one in (bot, other)]


# ── The modal ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_change_counts_in_every_process_and_is_announced(tmp_path: Path) -> None:
    """Whichever process gets the submission, the other one follows within five seconds."""
    dependencies = OWNED | WEB
    async with (
        run_owned(tmp_path, dependencies=WEB) as bot,
        run_bot(bot.sandbox, tmp_path, owner="another", library=make_library(), dependencies=dependencies) as other,
    ):
        await change(
            bot, sources=["handbook"], web="off", language="zh", think="deep", tone="formal", mention_only=["on"]
        )
        [line] = await list_announcements(bot)
        assert f"<@{ADA}>" in line
        assert all(word in line for word in ("部分来源", "不使用", "中文", "深入", "正式", "开启"))
        assert "handbook" not in line
        for question in await ask_both(bot, other):
            assert question.asker.within == 'in:"handbook"'
            assert (question.asker.policy.mode, question.asker.language, question.asker.depth, question.asker.tone) == (
                "off",
                "zh",
                "deep",
                "formal",
            )


async def test_creator_owners_and_administrators_may_change_settings_and_nobody_else(tmp_path: Path) -> None:
    """Ada administers the workspace and made #general; Bo is an owner; Chen made another channel."""
    async with run_bot_in_sandbox(tmp_path, dependencies={"access": Access(frozenset({BO}))}) as bot:
        for person, user in (("ada", ADA), ("bo", BO)):
            assert (await open_settings(bot, person, user))["private_metadata"] == GENERAL
        await bot.sandbox.command("chen", "#general", "/kb channel")
        assert f"此频道的创建者 <@{ADA}>" in await wait_for_ephemeral(bot, "可以更改我在此处的设置", person="chen")
        channel = {"id": "C0DESIGN01", "kind": "channel", "name": "design", "members": [CHEN, ADA, BOT_USER]}
        await bot.sandbox.world(channels=[channel])
        await bot.sandbox.command("chen", "#design", "/kb channel")
        assert (await bot.sandbox.wait_for_modal(CHEN))["private_metadata"] == "C0DESIGN01"


async def test_a_person_who_loses_the_right_cannot_submit(bot: RunningBot) -> None:
    view = await open_settings(bot)
    await bot.sandbox.person(ADA, role="guest")
    await bot.sandbox.wait_delivered()
    await bot.sandbox.submit("ada", view["id"], make_values(view, tone="formal"))
    await wait_for_ephemeral(bot, "can change my settings")
    assert not await list_announcements(bot)


async def test_change_counts_where_it_cannot_be_announced_and_the_person_learns_it(tmp_path: Path) -> None:
    """Kvasir is not in #random, so it cannot write there."""
    async with run_owned(tmp_path) as bot:
        await bot.sandbox.command("ada", "#random", "/kb channel")
        view = await bot.sandbox.wait_for_modal(ADA)
        await bot.sandbox.submit("ada", view["id"], make_values(view, tone="formal"))
        await bot.sandbox.wait_for_message(lambda m: "Your changes count now" in get_text(m), channel="D0DIRECT01")
        store = ChannelSettingsStore(bot.ledger.database, TEAM_ID, SharedChanges(bot.ledger.database))
        assert (await store.find_settings("C0RANDOM01")).tone == "formal"


async def test_direct_message_has_no_settings(bot: RunningBot) -> None:
    await bot.sandbox.command("ada", "D0DIRECT01", "/kb channel")
    await bot.sandbox.wait_for_message(
        lambda m: "A direct message has no settings" in get_text(m), channel="D0DIRECT01"
    )


async def test_help_has_a_button_that_opens_the_modal(bot: RunningBot) -> None:
    await bot.sandbox.command("ada", "#general", "/kb help")
    help_message = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral") and "/kb refresh" in get_text(m))
    await bot.sandbox.press("ada", "#general", help_message["ts"], "kvasir:channel-settings")
    assert (await bot.sandbox.wait_for_modal(ADA))["callback_id"] == "kvasir:channel"


async def test_modal_shows_only_sources_that_the_person_may_read(tmp_path: Path) -> None:
    """A source that the person may not read stays chosen, unseen, also if somebody sends its name."""
    library = make_library("docs", "handbook", "salaries")
    async with run_owned(tmp_path, library=library) as bot:
        await change(bot, sources=["docs", "salaries"])
        library.readable = {"docs": 7, "handbook": 7}
        view = await open_settings(bot)
        assert "salaries" not in str(view)
        [chosen] = list_fields(view)["sources"]["initial_options"]
        assert chosen["value"] == "docs"
        await change(bot, sources=["handbook"])
        library.readable = None
        element = list_fields(await open_settings(bot))["sources"]
        assert [option["value"] for option in element["initial_options"]] == ["handbook", "salaries"]
        assert all("salaries" not in line for line in await list_announcements(bot))


async def test_mentions_only_and_answers_without_a_mention_exclude_each_other(tmp_path: Path) -> None:
    async with run_owned(tmp_path) as bot:
        view = await open_settings(bot)
        await bot.sandbox.submit("ada", view["id"], make_values(view, mention_only=["on"], unasked="2"))

        async def has_errors() -> bool:
            state = await bot.sandbox.control("GET", "state")
            return any("without a mention" in str(one.get("errors")) for one in state["modals"])

        await bot.sandbox.wait_until(has_errors, what="error in the modal")
        assert not await list_announcements(bot)


async def test_unchanged_settings_are_not_announced(tmp_path: Path) -> None:
    async with run_owned(tmp_path) as bot:
        view = await open_settings(bot)
        await bot.sandbox.submit("ada", view["id"], make_values(view))
        await wait_for_ephemeral(bot, "Nothing changed")
        assert not await list_announcements(bot)


# ── kvasir.toml ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_kvasir_toml_fixes_settings_and_the_modal_says_so(tmp_path: Path) -> None:
    fixed = ChannelTable(
        id=GENERAL, search="in:handbook", web="off", language="en", think="deep", tone="formal", mention_only=False,
        unasked_per_hour=0,
    )  # fmt: skip
    thinking = Defaults("normal", {GENERAL: "deep"})
    dependencies = {"channels": {GENERAL: fixed}, "thinking": thinking, "web": Policies(Policy("on"), {GENERAL: "off"})}
    async with run_owned(tmp_path, dependencies=dependencies) as bot:
        store = ChannelSettingsStore(bot.ledger.database, TEAM_ID, SharedChanges(bot.ledger.database))
        await store.save_settings(GENERAL, ChannelSettings(("docs",), "on", "zh", "off", "friendly", True, 5), ADA)
        view = await open_settings(bot)
        assert not list_fields(view)
        texts = [block["text"]["text"] for block in view["blocks"] if "fixed in `kvasir.toml`" in str(block)]
        assert len(texts) == 7
        assert "in:handbook" in texts[0]
        await bot.wait_for_answer(await bot.ask("@Kvasir 怎么做?"))
        [question] = bot.answerer.questions
        assert (question.asker.within, question.asker.policy.mode, question.asker.language) == (
            "in:handbook",
            "off",
            "en",
        )
        assert (question.asker.depth, question.asker.tone) == ("deep", "formal")


@pytest.mark.parametrize(
    ("fixed", "value"), [({"unasked_per_hour": 3}, "3 an hour"), ({"mention_only": True}, "Never")]
)
async def test_a_fixed_setting_fixes_the_one_that_contradicts_it(
    tmp_path: Path, fixed: dict[str, Any], value: str
) -> None:
    """People could switch off answers without a mention by *Mention only*, and choose them without effect."""
    channel = ChannelTable(id=GENERAL, **fixed)
    async with run_owned(tmp_path, dependencies={"channels": {GENERAL: channel}}) as bot:
        store = ChannelSettingsStore(bot.ledger.database, TEAM_ID, SharedChanges(bot.ledger.database))
        await store.save_settings(GENERAL, ChannelSettings(mention_only=True, unasked_per_hour=5), ADA)
        view = await open_settings(bot)
        assert not {"mention_only", "unasked"} & list_fields(view).keys()
        [unasked] = [text for block in view["blocks"] if "Answers without" in (text := str(block.get("text")))]
        assert value.casefold() in unasked.casefold()


async def test_a_channel_never_gets_more_of_the_web_than_kvasir_toml_allows(tmp_path: Path) -> None:
    listed = Policies(Policy("listed", frozenset({"example.com"}), searches=True))
    async with run_owned(tmp_path, dependencies={"web": listed}) as bot:
        options = list_fields(await open_settings(bot))["web"]["options"]
        assert [option["value"] for option in options] == ["off", "listed"]
        store = ChannelSettingsStore(bot.ledger.database, TEAM_ID, SharedChanges(bot.ledger.database))
        await store.save_settings(GENERAL, ChannelSettings(web="on"), ADA)
        await bot.wait_for_answer(await bot.ask())
        assert bot.answerer.questions[-1].asker.policy.mode == "listed"


async def test_fixed_filters_name_no_source_that_the_person_may_not_read(tmp_path: Path) -> None:
    library = make_library("docs", "salaries")
    library.readable = {"docs": 7}
    fixed = {"channels": {GENERAL: ChannelTable(id=GENERAL, search="in:salaries")}}
    async with run_owned(tmp_path, library=library, dependencies=fixed) as bot:
        view = await open_settings(bot)
        assert "salaries" not in str(view)
        assert "Some sources" in str(view) or "some sources" in str(view)


# ── The rest of a channel's life ─────────────────────────────────────────────────────────────────────────────────────


async def has_looked_twice(bot: RunningBot) -> bool:
    """Return whether Kvasir has asked Slack about its token after each of two events, and at its start."""
    return len(await bot.sandbox.requests("auth.test")) > 2


async def test_uninstalling_erases_what_is_stored_and_revoked_tokens_do_not(tmp_path: Path) -> None:
    async with post_to_bot(tmp_path) as (bot, post):
        store = ChannelSettingsStore(bot.ledger.database, TEAM_ID, SharedChanges(bot.ledger.database))
        await store.save_settings(GENERAL, ChannelSettings(tone="formal"), ADA)
        answers = Answers(bot.ledger.database)
        answer = StoredAnswer(QuestionKey(TEAM_ID, GENERAL, "1.0"), "1.0", ADA, "en", "Why?", "So.", (), "engine", "r1")
        await answers.save_answer(answer)
        await post({"type": "tokens_revoked", "tokens": {"bot": [BOT_USER]}})
        await post({"type": "app_uninstalled"})  # late, after a new installation
        await bot.sandbox.wait_until(lambda: has_looked_twice(bot), what="looks at the token")
        await asyncio.sleep(0.1)
        assert (await store.find_settings(GENERAL)).tone == "formal"
        await bot.sandbox.faults({"method": "auth.test", "error": "account_inactive", "times": -1})
        await post({"type": "app_uninstalled"})

        async def is_erased() -> bool:
            is_default = await store.find_settings(GENERAL) == ChannelSettings()
            return is_default and await answers.find_answer(answer.key) is None

        await bot.sandbox.wait_until(is_erased, what="erased settings and answers")
