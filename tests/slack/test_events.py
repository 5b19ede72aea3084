"""Payloads as Slack sends them, and what they mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack import events
from bot.slack.events import (
    AppRemoved,
    BotUser,
    HomeOpened,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    StopPressed,
)
from bot.storage.questions import QuestionKey, QuestionMessage

ME = BotUser("T1", "U0KVASIR", "B0KVASIR")


def envelope(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"team_id": "T1", "type": "event_callback", "event": event, **more}


def message(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "channel": "C1",
        "channel_type": "channel",
        "user": "U1",
        "ts": "2.0",
        "text": text,
        **more,
    }


def said(event: dict[str, Any], **more: Any) -> MessageReceived:
    found = events.parse_event(envelope(event, **more), ME)
    assert isinstance(found, MessageReceived)
    return found


def test_a_mention() -> None:
    found = said(message("<@U0KVASIR> how?", type="app_mention", thread_ts="1.0", files=[{}, {}]))
    assert found.message == QuestionMessage(
        QuestionKey("T1", "C1", "2.0"), "1.0", "U1", "<@U0KVASIR> how?", is_direct=False, files=2
    )
    assert found.is_addressed


def test_a_mention_that_arrives_as_a_message_is_one_too() -> None:
    assert said(message("hey <@U0KVASIR|kvasir>")).is_addressed


@pytest.mark.parametrize("kind", ["im", "mpim"])
def test_a_direct_message_is_addressed(kind: str) -> None:
    assert said(message(channel_type=kind)).is_addressed


def test_in_a_direct_message_others_may_be_named() -> None:
    assert said(message("who is <@U2>?", channel_type="im")).is_addressed


def test_plain_talk_is_not_addressed() -> None:
    found = said(message(thread_ts="1.0"))
    assert not found.is_addressed
    assert not found.message.opens_thread


@pytest.mark.parametrize(
    "event",
    [
        message("for <@U2>"),
        message(user="U0KVASIR"),
        message(user="USLACKBOT"),
        message(bot_id="B2"),
        message(bot_id="B2", subtype="bot_message"),
        message(subtype="channel_join"),
        message(subtype="channel_topic"),
        message(user=None),
        message("<@U0KVASIR> hi", type="app_mention", bot_id="B2"),
        {"type": "reaction_added", "user": "U1"},
        {"type": "app_home_opened", "user": "U1", "tab": "messages"},
        {"type": "tokens_revoked", "tokens": {"oauth": ["U1"]}},
        {"type": 7},
        {},
    ],
)
def test_what_is_not_for_the_bot(event: dict[str, Any]) -> None:
    assert events.parse_event(envelope(event), ME) is None


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast", "me_message"])
def test_subtypes_that_people_write(subtype: str) -> None:
    assert said(message("<@U0KVASIR> this", subtype=subtype)).is_addressed


def test_strangers_and_shared_channels() -> None:
    assert said(message(user_team="T2")).is_from_other_company
    assert not said(message(user_team="T1")).is_from_other_company
    assert said(message(), is_ext_shared_channel=True).shared


def test_an_edit() -> None:
    changed = message(
        subtype="message_changed",
        message={"type": "message", "user": "U1", "ts": "1.0", "text": "<@U0KVASIR> new"},
        previous_message={"user": "U1", "ts": "1.0", "text": "old"},
    )
    found = events.parse_event(envelope(changed), ME)
    assert isinstance(found, MessageEdited)
    assert found.newly_addressed
    assert found.said.message.key == QuestionKey("T1", "C1", "1.0")
    assert found.said.message.text == "<@U0KVASIR> new"


def test_a_link_that_unfolds_is_no_edit() -> None:
    changed = message(subtype="message_changed", message=message("same"), previous_message=message("same"))
    assert events.parse_event(envelope(changed), ME) is None


def test_our_own_edits_are_none() -> None:
    ours = {"user": "U0KVASIR", "bot_id": "B0KVASIR", "ts": "1.0"}
    changed = message(
        subtype="message_changed", message={**ours, "text": "more"}, previous_message={**ours, "text": "less"}
    )
    assert events.parse_event(envelope(changed), ME) is None


def test_deletions() -> None:
    """A message that has replies leaves a tombstone instead."""
    gone = MessageDeleted(QuestionKey("T1", "C1", "1.0"))
    assert events.parse_event(envelope(message(subtype="message_deleted", deleted_ts="1.0")), ME) == gone
    tombstone = message(
        subtype="message_changed",
        message={"subtype": "tombstone", "ts": "1.0", "text": "This message was deleted."},
        previous_message={"user": "U1", "ts": "1.0", "text": "how?"},
    )
    assert events.parse_event(envelope(tombstone), ME) == gone


def test_the_rest() -> None:
    stop = {"type": "agent_session_stopped", "channel": "C1", "thread_ts": "1.0", "user": "U1"}
    assert events.parse_event(envelope(stop), ME) == StopPressed("C1", "1.0")
    assert events.parse_event(envelope({"type": "app_home_opened", "user": "U1", "tab": "home"}), ME) == HomeOpened(
        "U1"
    )
    assert events.parse_event(envelope({"type": "app_uninstalled"}), ME) == AppRemoved()
    assert events.parse_event(envelope({"type": "tokens_revoked", "tokens": {"bot": ["U0KVASIR"]}}), ME) == AppRemoved()
    assert events.parse_event({"type": "event_callback"}, ME) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["user", "text", "ts", "thread_ts", "channel", "subtype", "message", "previous_message", "files", "tokens"]


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)), st.sampled_from(sorted(events._READERS)))
def test_no_payload_breaks_the_reader(fields: dict[str, Any], kind: str) -> None:
    """Whatever Slack adds or leaves out, an event is read or ignored."""
    events.parse_event(envelope({**fields, "type": kind}), ME)
    events.parse_event(envelope({**fields, "type": "message", "subtype": "message_changed"}), ME)


def test_a_text_is_read_as_people_read_it() -> None:
    text = "<@U0KVASIR>  ask <@U1> or <@U9|bo> in <#C1|general>: <https://x.io|docs> <https://y.io> &lt;b&gt; "
    text += "<!here> &amp;"
    assert events.make_readable(text, {"U1": "Ada"}, me="U0KVASIR") == (
        "ask @Ada or @bo in #general: docs (https://x.io) https://y.io <b> @here &"
    )
    assert events.make_readable("<@U7> <!subteam^S1|@team> <!date^1^{date}|today>", {}) == "@someone @team today"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("edit <http://README.md|README.md> in <http://socket.io|socket.io>", "edit README.md in socket.io"),
        ("is <http://asp.net|ASP.NET> ok?", "is ASP.NET ok?"),
        ("read <http://example.com/pricing|example.com/pricing>", "read http://example.com/pricing"),
        ("read <http://www.example.com|www.example.com>", "read http://www.example.com"),
        ("read <http://example.com/|http://example.com>", "read http://example.com/"),
        ("write to <mailto:ada@example.com|ada@example.com>", "write to ada@example.com"),
        ("see <https://b.example/|a.example>", "see a.example (https://b.example/)"),
    ],
)
def test_what_slack_makes_a_link_of_by_itself_is_what_was_typed(sent: str, read: str) -> None:
    """A name with a dot in it is a file or a product as often as a site, and nobody asked for the site to be read."""
    assert events.make_readable(sent, {}) == read
