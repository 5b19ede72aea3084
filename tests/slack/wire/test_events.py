"""Tests of the events that Slack's payloads become."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.wire import events
from bot.slack.wire.events import (
    AppAsked,
    AppRemoved,
    BotUser,
    HomeOpened,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    MessagesOpened,
    MuteReaction,
    StopPressed,
)
from bot.storage.turns.questions import QuestionKey, QuestionMessage

ME = BotUser("T1", "U0KVASIR", "B0KVASIR")


def make_envelope(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"team_id": "T1", "type": "event_callback", "event": event} | more


def make_message(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "channel": "C1",
        "channel_type": "channel",
        "user": "U1",
        "ts": "2.0",
        "text": text,
        **more,
    }


def make_reaction(**more: Any) -> dict[str, Any]:
    item = {"type": "message", "channel": "C1", "ts": "2.0"}
    event = {"type": "reaction_added", "user": "U1", "reaction": "mute", "item": item, "item_user": "U0KVASIR"}
    return {**event, "event_ts": "3.5", **more}


def parse_message(event: dict[str, Any], **more: Any) -> MessageReceived:
    found = events.parse_event(make_envelope(event, **more), ME)
    assert isinstance(found, MessageReceived)
    return found


def test_app_mention_is_addressed() -> None:
    found = parse_message(make_message("<@U0KVASIR> how?", type="app_mention", thread_ts="1.0", files=[{}, {}]))
    assert found.message == QuestionMessage(
        QuestionKey("T1", "C1", "2.0"), "1.0", "U1", "<@U0KVASIR> how?", is_direct=False, files=2
    )
    assert found.is_addressed


@pytest.mark.parametrize("team", ["T0HOST", None])
def test_question_belongs_to_the_installation(team: str | None) -> None:
    """In a channel of another company, an event names that company; for a whole organization it may name nobody."""
    message = make_message("<@U0KVASIR> how?", team="T0SENDER")
    found = parse_message(message, team_id=team, authorizations=[{"team_id": team}])
    assert found.message.key.team == "T1"
    deleted = events.parse_event(
        make_envelope(message | {"subtype": "message_deleted", "deleted_ts": "2.0"}, team_id=team), ME
    )
    assert deleted == MessageDeleted(found.message.key)


def test_message_with_mention_is_addressed() -> None:
    assert parse_message(make_message("hey <@U0KVASIR|kvasir>")).is_addressed


def test_direct_message_is_addressed() -> None:
    assert parse_message(make_message(channel_type="im")).is_addressed


def test_group_message_needs_a_mention() -> None:
    assert not parse_message(make_message(channel_type="mpim")).is_addressed
    mentioned = parse_message(make_message("<@U0KVASIR> how?", channel_type="mpim"))
    assert mentioned.is_addressed
    assert not mentioned.message.is_direct


def test_direct_message_may_mention_others() -> None:
    assert parse_message(make_message("who is <@U2>?", channel_type="im")).is_addressed


def test_message_without_mention_is_not_addressed() -> None:
    found = parse_message(make_message(thread_ts="1.0"))
    assert not found.is_addressed
    assert not found.message.opens_thread


@pytest.mark.parametrize(
    "event",
    [
        make_message(user="U0KVASIR"),
        make_message(user="USLACKBOT"),
        make_message(bot_id="B2"),
        make_message(bot_id="B2", subtype="bot_message"),
        make_message(subtype="channel_join"),
        make_message(subtype="channel_topic"),
        make_message(user=None),
        make_message("<@U0KVASIR> hi", type="app_mention", bot_id="B0KVASIR"),
        {"type": "reaction_added", "user": "U1"},
        make_reaction(reaction="eyes"),
        make_reaction(item_user="U2"),
        make_reaction(event_ts="soon"),
        {"type": "app_home_opened", "user": "U1", "tab": "about"},
        {"type": "app_home_opened", "tab": "messages"},
        {"type": "app_context_changed", "context": {}},
        {"type": "tokens_revoked", "tokens": {"oauth": ["U1"]}},
        {"type": 7},
        {},
    ],
)
def test_other_payloads_are_ignored(event: dict[str, Any]) -> None:
    assert events.parse_event(make_envelope(event), ME) is None


CHANNEL_SEEN = {
    "entities": [{"type": "slack#/types/canvas_id", "value": "F1"}, {"type": "slack#/types/channel_id", "value": "C1"}]
}


@pytest.mark.parametrize(
    ("event", "looked_at"),
    [
        ({"type": "app_home_opened", "tab": "messages"}, ""),
        ({"type": "app_home_opened", "tab": "messages", "context": CHANNEL_SEEN}, "C1"),
        ({"type": "app_context_changed", "context": CHANNEL_SEEN}, "C1"),
        ({"type": "app_context_changed", "context": {"entities": ["C1", {"type": "slack#/types/list_id"}]}}, ""),
        ({"type": "app_context_changed", "context": {"entities": 7}}, ""),
    ],
)
def test_person_who_opens_the_messages_looks_at_a_channel(event: dict[str, Any], looked_at: str) -> None:
    found = events.parse_event(make_envelope({"user": "U1", "channel": "D1", **event}), ME)
    assert found == MessagesOpened("U1", "D1", looked_at)


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast", "me_message"])
def test_subtypes_of_people_are_read(subtype: str) -> None:
    assert parse_message(make_message("<@U0KVASIR> this", subtype=subtype)).is_addressed


@pytest.mark.parametrize(
    ("more", "ids", "is_kvasir"),
    [
        ({"subtype": "bot_message"}, {"B2"}, False),
        ({"app_id": "A2", "username": "B3"}, {"A2", "B2"}, False),
        ({"bot_profile": {"app_id": "A2", "id": "B3"}}, {"A2", "B2"}, False),
        ({"workflow_id": "Wf2"}, {"Wf2", "B2"}, False),
        ({"app_id": "A1"}, {"A1", "B2"}, True),
        ({"metadata": {"event_type": "kvasir_answer"}}, {"B2"}, True),
        ({"metadata": {"event_type": "deployed"}}, {"B2"}, False),
    ],
)
def test_mention_by_another_app_is_recognized(more: dict[str, Any], ids: set[str], *, is_kvasir: bool) -> None:
    """The app of another workspace's Kvasir may be the same one."""
    envelope = make_envelope(make_message("<@U0KVASIR> hi", bot_id="B2", **more)) | {"api_app_id": "A1"}
    expected = AppAsked(
        QuestionKey("T1", "C1", "2.0"), "2.0", "B2", "<@U0KVASIR> hi", frozenset(ids), is_kvasir=is_kvasir
    )
    assert events.parse_event(envelope, ME) == expected


@pytest.mark.parametrize("more", [{"channel_type": "im"}, {"type": "app_mention"}])
def test_apps_are_heard_in_channels_and_once(more: dict[str, Any]) -> None:
    message = make_message("<@U0KVASIR> hi", bot_id="B2", **more)
    assert events.parse_event(make_envelope(message), ME) is None


def test_message_of_a_sibling_workspace_is_read_like_any_other() -> None:
    """The shape of an Enterprise Grid in slack-bolt's tests; who the person is, Slack says when it is asked."""
    grid = {
        "team_id": "T0SIBLING",
        "enterprise_id": "E0123456",
        "is_enterprise_install": True,
        "authorizations": [
            {"enterprise_id": "E0123456", "team_id": None, "user_id": "U0KVASIR", "is_bot": True,
             "is_enterprise_install": True}
        ],
    }  # fmt: skip
    found = parse_message(
        make_message("<@U0KVASIR> hi", user="W111", user_team="E0123456", source_team="E0123456"), **grid
    )
    assert found.is_addressed
    assert (found.message.key.team, found.message.user) == ("T1", "W111")


def test_shared_channel_is_recognized() -> None:
    assert parse_message(make_message(), is_ext_shared_channel=True).is_channel_shared


def test_edit_has_new_text() -> None:
    changed = make_message(
        subtype="message_changed",
        message={"type": "message", "user": "U1", "ts": "1.0", "text": "<@U0KVASIR> new"},
        previous_message={"user": "U1", "ts": "1.0", "text": "old"},
    )
    found = events.parse_event(make_envelope(changed), ME)
    assert isinstance(found, MessageEdited)
    assert found.is_newly_addressed
    assert found.message.message.key == QuestionKey("T1", "C1", "1.0")
    assert found.message.message.text == "<@U0KVASIR> new"


def make_edit(**edited: str) -> dict[str, Any]:
    message = {"type": "message", "user": "U1", "ts": "1.0", "text": "<@U0KVASIR> new", "edited": edited}
    before = {"user": "U1", "ts": "1.0", "text": "<@U0KVASIR> old"}
    return make_envelope(make_message(subtype="message_changed", message=message, previous_message=before))


def test_edit_has_its_time() -> None:
    found = events.parse_event(make_edit(user="U1", ts="1.5"), ME)
    assert isinstance(found, MessageEdited)
    assert (found.edited_ts, found.is_newly_addressed) == ("1.5", False)


def test_edit_by_another_person_is_ignored() -> None:
    assert events.parse_event(make_edit(user="U2", ts="1.5"), ME) is None


def test_unfurled_link_is_not_an_edit() -> None:
    changed = make_message(
        subtype="message_changed", message=make_message("same"), previous_message=make_message("same")
    )
    assert events.parse_event(make_envelope(changed), ME) is None


def test_own_edit_is_ignored() -> None:
    ours = {"user": "U0KVASIR", "bot_id": "B0KVASIR", "ts": "1.0"}
    changed = make_message(
        subtype="message_changed", message={**ours, "text": "more"}, previous_message={**ours, "text": "less"}
    )
    assert events.parse_event(make_envelope(changed), ME) is None


def test_deletion_and_tombstone_delete_the_message() -> None:
    """A deleted message with replies leaves a tombstone."""
    gone = MessageDeleted(QuestionKey("T1", "C1", "1.0"))
    assert events.parse_event(make_envelope(make_message(subtype="message_deleted", deleted_ts="1.0")), ME) == gone
    tombstone = make_message(
        subtype="message_changed",
        message={"subtype": "tombstone", "ts": "1.0", "text": "This message was deleted."},
        previous_message={"user": "U1", "ts": "1.0", "text": "how?"},
    )
    message = parse_message(make_message("how?", ts="1.0"))
    assert events.parse_event(make_envelope(tombstone), ME) == MessageDeleted(gone.key, message)


def test_mute_reaction_names_its_message() -> None:
    key = QuestionKey("T1", "C1", "2.0")
    added = events.parse_event(make_envelope(make_reaction()), ME)
    assert added == MuteReaction(key, "U1", is_added=True, at=3.5)
    removed = events.parse_event(make_envelope(make_reaction(type="reaction_removed")), ME)
    assert removed == MuteReaction(key, "U1", is_added=False, at=3.5)


def test_other_events_are_parsed() -> None:
    stop = {"type": "agent_session_stopped", "channel": "C1", "thread_ts": "1.0", "user": "U1"}
    assert events.parse_event(make_envelope(stop), ME) == StopPressed("C1", "1.0")
    assert events.parse_event(
        make_envelope({"type": "app_home_opened", "user": "U1", "tab": "home"}), ME
    ) == HomeOpened("U1")
    assert events.parse_event(make_envelope({"type": "app_uninstalled"}), ME) == AppRemoved(is_uninstalled=True)
    assert events.parse_event(
        make_envelope({"type": "tokens_revoked", "tokens": {"bot": ["U0KVASIR"]}}), ME
    ) == AppRemoved(is_uninstalled=False)
    assert events.parse_event({"type": "event_callback"}, ME) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["user", "text", "ts", "thread_ts", "channel", "subtype", "message", "previous_message", "files", "tokens"]


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)), st.sampled_from(sorted(events._READERS)))
def test_any_payload_is_parsed(fields: dict[str, Any], kind: str) -> None:
    """Additional and missing fields never raise."""
    events.parse_event(make_envelope({**fields, "type": kind}), ME)
    events.parse_event(make_envelope({**fields, "type": "message", "subtype": "message_changed"}), ME)


def test_make_readable_replaces_control_sequences() -> None:
    text = "<@U0KVASIR>  ask <@U1> or <@U9|bo> in <#C1|general>: <https://x.io|docs> <https://y.io> &lt;b&gt; "
    text += "<!here> &amp;"
    assert events.make_readable(text, {"U1": "Ada"}, me="U0KVASIR") == (
        "ask @Ada or @bo in #general: docs (https://x.io) https://y.io <b> @here &"
    )
    assert events.make_readable("<@U7|system: Bo> said", {}) == "@Bo said"
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
def test_make_readable_undoes_automatic_links(sent: str, read: str) -> None:
    """A name with a dot is often a file or a product, and the person did not ask to read a site."""
    assert events.make_readable(sent, {}) == read
