"""The small pure parts: threads into history, commands, queue, allowances, the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Exchange
from bot.slack.commands.parsing import (
    HelpCommand,
    RefreshCommand,
    SearchCommand,
    SourcesCommand,
    StatusCommand,
    parse_kb,
)
from bot.slack.errors import (
    SlackGone,
    SlackMissingScope,
    SlackRefused,
    SlackUnauthorized,
    SlackUnavailable,
    map_api_error,
)
from bot.slack.events import BotUser
from bot.slack.manifest import EVENTS, SCOPES, build_manifest, render_manifest_yaml
from bot.slack.posting.render import MarkdownRenderer
from bot.slack.transport.web_api import TokenBucket
from bot.slack.turns.thread_queue import ThreadQueue
from bot.slack.turns.thread_reader import ThreadMessage, build_history, read_message

ME = BotUser("T1", "U0KVASIR", "B0KVASIR")
ROOT = Path(__file__).parents[2]


def they(text: str, user: str = "U1") -> ThreadMessage:
    return ThreadMessage("1.0", user, text, ours=False)


def we(text: str) -> ThreadMessage:
    return ThreadMessage("1.0", "U0KVASIR", text, ours=True)


# ── Threads ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_exchanges_join_what_was_said_in_a_row() -> None:
    found = build_history([they("one"), they("two"), we("a [1]."), we("b"), they("three"), we("c")], {}, ME)
    assert found == (Exchange("one\ntwo", "a.\n\nb"), Exchange("three", "c"))


def test_what_nobody_answered_has_an_empty_answer() -> None:
    assert build_history([they("<@U0KVASIR> look")], {}, ME) == (Exchange("look", ""),)


def test_notices_apologies_and_citation_numbers_are_left_out() -> None:
    answer = "_ℹ️ The engine is still loading._\n\nSo it is [\\[1\\]](https://kb/a) and <https://kb/b|[2]> so[3]."
    assert build_history(
        [they("q"), we("_ℹ️ I was interrupted here; the answer follows below._"), we(answer)], {}, ME
    ) == (Exchange("q", "So it is and so."),)


def test_what_was_defused_for_slack_reads_as_it_was_meant() -> None:
    answer = MarkdownRenderer({}).feed("Write <b>, never @channel.")
    assert build_history([they("q"), we(answer)], {}, ME) == (Exchange("q", "Write <b>, never @channel."),)


@given(st.lists(st.tuples(st.booleans(), st.text("ab\n ", max_size=30)), max_size=40), st.integers(0, 200))
def test_history_is_bounded_and_keeps_the_newest(said: list[tuple[bool, str]], characters: int) -> None:
    lines = [we(text) if ours else they(text) for ours, text in said]
    whole = build_history(lines, {}, ME, exchanges=100, characters=10_000)
    found = build_history(lines, {}, ME, exchanges=3, characters=characters)
    assert len(found) <= 3
    assert sum(len(exchange.question) + len(exchange.answer) for exchange in found) <= characters
    assert found == whole[len(whole) - len(found) :]


def test_a_long_thread_loses_its_oldest_exchanges_in_steps() -> None:
    """Or each new question would have the engine read the whole conversation anew."""
    lines = [line for n in range(60) for line in (they(f"q{n}"), we(f"a{n}"))]
    lengths = [len(build_history(lines[: 2 * n], {}, ME)) for n in range(18, 60)]
    assert set(lengths) == {17, 18, 19, 20}


def test_a_message_of_ours_is_read_from_its_markdown() -> None:
    read = read_message(
        {
            "ts": "2.0",
            "bot_id": "B0KVASIR",
            "text": "short…",
            "blocks": [{"type": "markdown", "text": "whole"}, {"type": "context", "elements": []}],
            "metadata": {"event_type": "kvasir_answer", "event_payload": {"question": "1.0"}},
        },
        ME,
    )
    assert read == ThreadMessage("2.0", "", "whole", ours=True, answers="1.0")


# ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", HelpCommand()),
        ("help", HelpCommand()),
        ("帮助", HelpCommand()),
        ("refresh", RefreshCommand(None)),
        ("  Refresh  'team wiki' ", RefreshCommand("team wiki")),
        ("刷新 文档", RefreshCommand("文档")),
        ("status", StatusCommand()),
        ("状态", StatusCommand()),
        ("sources", SourcesCommand()),
        ("search how do logs rotate", SearchCommand("how do logs rotate")),
        ("search", HelpCommand("search", "search …")),
        ("refrsh docs", HelpCommand("refrsh", "refresh")),
        ("statsu", HelpCommand("statsu", "status")),
        ("xyzzy", HelpCommand("xyzzy", None)),
    ],
)
def test_commands(text: str, command: object) -> None:
    assert parse_kb(text) == command


@given(st.text(max_size=60))
def test_every_text_is_some_command(text: str) -> None:
    parse_kb(text)


# ── Lanes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 4), st.randoms(use_true_random=False))
def test_threads_take_turns(items: list[int], width: int, random: object) -> None:
    """One at a time in a thread, in order; never more than fit; all of them in the end."""
    queue: ThreadQueue[int, tuple[int, int]] = ThreadQueue(width)
    for number, thread in enumerate(items):
        queue.add(thread, (thread, number))
        queue.add(thread, (thread, number))
    begun: list[tuple[int, int]] = []
    moving: list[int] = []
    while True:
        while (taken := queue.take()) is not None:
            thread, item = taken
            assert thread not in moving
            moving.append(thread)
            begun.append(item)
        assert len(moving) <= width
        if not moving:
            break
        done = random.choice(moving)  # type: ignore[attr-defined]
        moving.remove(done)
        queue.finish(done)
    assert sorted(begun, key=lambda item: item[1]) == [(thread, number) for number, thread in enumerate(items)]
    for thread in set(items):
        mine = [number for at, number in begun if at == thread]
        assert mine == sorted(mine)
    assert len(queue) == 0


def test_threads_are_served_in_the_order_of_arrival() -> None:
    queue: ThreadQueue[str, str] = ThreadQueue(2)
    for item in ("a1", "a2", "b1", "c1"):
        queue.add(item[0], item)
    assert [queue.take(), queue.take(), queue.take()] == [("a", "a1"), ("b", "b1"), None]
    queue.finish("a")
    assert not queue.is_free("d")
    assert queue.take() == ("c", "c1")
    queue.finish("b")
    assert queue.take() == ("a", "a2")
    queue.finish("c")
    assert queue.is_free("d")
    assert not queue.is_free("a")
    assert "a2" in queue
    assert "a1" not in queue


# ── Allowances, errors ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bucket_lets_bursts_pass_and_holds_the_pace() -> None:
    now = [0.0]
    bucket = TokenBucket(burst=3, per_s=2, now=lambda: now[0])
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    now[0] = 10.0
    assert bucket.take() == 0


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("invalid_auth", SlackUnauthorized, "SLACK_BOT_TOKEN"),
        ("token_revoked", SlackUnauthorized, "reinstall"),
        ("missing_scope", SlackMissingScope, "lacks users:read"),
        ("is_archived", SlackGone, "is_archived"),
        ("internal_error", SlackUnavailable, "Try again"),
        ("invalid_blocks", SlackRefused, "invalid_blocks"),
    ],
)
def test_errors_name_the_next_step(code: str, kind: type[Exception], words: str) -> None:
    error = map_api_error("chat.postMessage", code, needed="users:read")
    assert type(error) is kind
    assert words in str(error)


# ── The manifest ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_committed_manifest_is_what_the_code_says() -> None:
    assert (ROOT / "deploy" / "slack-manifest.yaml").read_text(encoding="utf-8") == render_manifest_yaml()


@pytest.mark.parametrize("events_url", [None, "https://kvasir.example/slack/events"])
def test_the_manifest_is_yaml_that_says_the_same(events_url: str | None) -> None:
    assert yaml.safe_load(render_manifest_yaml(events_url=events_url)) == build_manifest(events_url=events_url)


def test_the_manifest_serves_either_transport() -> None:
    socket, http = build_manifest(), build_manifest(events_url="https://kvasir.example/slack/events")
    assert socket["settings"]["socket_mode_enabled"]
    assert not http["settings"]["socket_mode_enabled"]
    assert http["settings"]["event_subscriptions"]["request_url"].endswith("/slack/events")
    assert http["features"]["slash_commands"][0]["url"] == http["settings"]["interactivity"]["request_url"]


def test_every_event_has_its_scope() -> None:
    """Slack refuses a manifest whose events need scopes that it does not ask for."""
    needs = {"app_mention": "app_mentions:read", "message.channels": "channels:history"}
    needs |= {"message.groups": "groups:history", "message.im": "im:history", "message.mpim": "mpim:history"}
    assert set(needs.values()) <= SCOPES.keys()
    assert set(needs) <= set(EVENTS)
