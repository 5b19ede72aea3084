"""Tests that events lead to the same threads as pages of a channel."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.state import wire
from bot.sandbox.state.model import BOT_ID, BOT_USER, TEAM_ID, SlackMessage
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.workspace import Workspace, build_app_message
from bot.slack.conversations.history.channel_events import ThreadEligibility, read_channel_event
from bot.slack.conversations.history.channel_state import ChannelState, WorkspaceState, apply_events, apply_page
from bot.slack.wire.events import BotUser
from bot.storage.channels.channel_event_log import ChannelEvent, ChannelEventKind

GENERAL = "C0GENERAL1"


ME = BotUser(TEAM_ID, BOT_USER, BOT_ID)


STEP = st.tuples(
    st.sampled_from(["root", "reply", "reply", "edit", "delete", "bot", "mine", "bot reply"]),
    st.integers(0, 9),
    st.sampled_from(["words", "other words", f"<@{BOT_USER}> a question"]),
)


def apply_step(workspace: Workspace, step: tuple[str, int, str], said: list[SlackMessage]) -> None:
    what, pick, words = step
    target = said[pick % len(said)] if said else None
    match what:
        case "root":
            said.append(workspace.say_text("ada", GENERAL, words))
        case "reply" if target is not None:
            with contextlib.suppress(RefusedCall):
                said.append(workspace.say_text("bo", GENERAL, words, target.root))
        case "bot" | "mine" | "bot reply":
            root = (
                target.root if what == "bot reply" and target and workspace.find_message(GENERAL, target.root) else None
            )
            message = build_app_message(GENERAL, workspace.next_ts(), words)
            if what != "mine":
                message = SlackMessage(
                    GENERAL, message.ts, "U0PAGER", words, thread_ts=root, bot_id="B0PAGER", subtype="bot_message"
                )
            workspace.post_message(message)
        case "edit" if target is not None:
            with contextlib.suppress(RefusedCall):
                workspace.edit_message(target.user, GENERAL, target.ts, words)
        case "delete" if target is not None:
            with contextlib.suppress(RefusedCall):
                workspace.delete_message(target.user, GENERAL, target.ts)


def list_from_pages(workspace: Workspace, *, bots: bool) -> WorkspaceState:
    remembered = WorkspaceState(channels={GENERAL: ChannelState("general")})
    page = [wire.message_object(workspace, message) for message in workspace.list_history(GENERAL)]
    apply_page(remembered.channels[GENERAL], page, ME, low="0", high=None, bots=bots)
    return remembered


def list_documents(remembered: WorkspaceState) -> set[str]:
    return {
        ts for ts, one in remembered.channels[GENERAL].threads.items() if one.eligibility is ThreadEligibility.LISTED
    }


@given(st.lists(STEP, max_size=8), st.lists(STEP, max_size=12), st.booleans())
def test_events_and_pages_lead_to_same_threads(
    before: list[tuple[str, int, str]],
    after: list[tuple[str, int, str]],
    bots: bool,  # noqa: FBT001
) -> None:
    ticks = itertools.count(1_700_000_000)
    workspace = Workspace(lambda: float(next(ticks)))
    workspace.restore_records([])
    said: list[SlackMessage] = []
    for step in before:
        apply_step(workspace, step, said)
    workspace.take_changes()
    remembered = list_from_pages(workspace, bots=bots)
    for step in after:
        apply_step(workspace, step, said)
        events = [event for event, _ in workspace.take_changes().events]
        news = [one for event in events if (one := read_channel_event({"event": event}, ME)) is not None]
        unknown = set(apply_events(remembered, news, since=0.0, bots=bots))
        assert not unknown, "the state has every thread"
    walked = list_from_pages(workspace, bots=bots)
    assert list_documents(remembered) >= list_documents(walked)
    # A thread that an app began, and whose only reply was deleted again, stays until the next walk.
    extra = list_documents(remembered) - list_documents(walked)
    standing = {
        ts: walked.channels[GENERAL].threads[ts].eligibility for ts in extra if ts in walked.channels[GENERAL].threads
    }
    assert set(standing.values()) <= {ThreadEligibility.IF_REPLIED}
    loaded = WorkspaceState.load_state(remembered.dump_state())
    assert loaded.dump_state() == remembered.dump_state()


def test_events_of_other_channels_are_ignored() -> None:
    remembered = WorkspaceState(channels={GENERAL: ChannelState("general")})
    news = [
        ChannelEvent("C0OTHER", "1.0", ChannelEventKind.SAID, "1.0"),
        ChannelEvent(GENERAL, "", ChannelEventKind.CHANNEL, "1.0"),
    ]
    assert list(apply_events(remembered, news, since=0.0, bots=False)) == []
    assert remembered.channels[GENERAL].threads == {}
    assert list(
        apply_events(remembered, [ChannelEvent(GENERAL, "5.0", ChannelEventKind.TOUCHED, "9.0")], since=0.0, bots=False)
    ) == [(GENERAL, "5.0")]
