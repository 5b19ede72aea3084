"""Socket Mode with the real client: delivery, acknowledgement, redelivery, reconnection, restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from bot.sandbox.state.model import Envelope
from tests.sandbox.conftest import Listener
from tests.slack_sandbox import BOT_USER, TEAM_ID, SandboxClient, open_sandbox

Listen = Callable[[SandboxClient], Awaitable[Listener]]


async def test_a_mention_arrives_twice_as_slack_sends_it(box: SandboxClient, listener: Listener) -> None:
    """In a channel that the app is in, a mention is both ``app_mention`` and ``message``."""
    ts = await box.say("ada", "#general", "@Kvasir how do I add a source?")
    await listener.wait(lambda request: request.type == "events_api", count=2)
    mention, message = listener.events("app_mention")[0], listener.events("message")[0]
    assert mention["text"] == f"<@{BOT_USER}> how do I add a source?"
    assert mention["ts"] == message["ts"] == ts
    assert message["channel_type"] == "channel"
    assert "channel_type" not in mention
    outer = listener.got[0].payload
    assert outer["team_id"] == TEAM_ID
    assert outer["authorizations"][0]["user_id"] == BOT_USER
    assert len({request.payload["event_id"] for request in listener.got}) == 2
    await box.wait_delivered()


async def test_a_direct_message_is_one_event(box: SandboxClient, listener: Listener) -> None:
    """A DM is ``message.im`` alone, even with a mention in it."""
    await box.say("chen", "@kvasir", "@Kvasir 怎么添加数据源？")
    await box.say("chen", "@kvasir", "谢谢")
    await listener.wait(lambda request: request.payload["event"]["text"] == "谢谢")
    assert [event["channel_type"] for event in listener.events("message")] == ["im", "im"]
    assert not listener.events("app_mention")


async def test_nothing_arrives_from_a_channel_without_the_app(box: SandboxClient, listener: Listener) -> None:
    """In #random the app is not a member until a person invites it."""
    await box.say("bo", "#random", "@Kvasir hello?")
    hint = await box.wait_for_message(lambda m: m["ephemeral"], channel="#random", person="bo")
    assert "not in this channel" in hint["text"]
    await box.press("bo", "#random", hint["ts"], "sandbox:invite")
    await listener.wait(lambda request: request.payload["event"]["type"] == "member_joined_channel")
    assert not listener.events("message")


async def test_unacknowledged_events_are_delivered_again(tmp_path: Path, listen: Listen) -> None:
    """Retries come at the deadline and after each delay, with attempt and reason; then delivery ends."""
    async with open_sandbox(tmp_path, ack_deadline_s=0.05, retry_delays_s=[0.0, 60.0, 300.0]) as box:
        listener = await listen(box)
        listener.answers = lambda _request: False
        await box.say("ada", "@kvasir", "hello?")
        await listener.wait(lambda _request: True, count=2)
        await box.wait_until(lambda: box.hub.outbox.pending and _only(box).attempt == 2)
        await box.advance(60)
        await listener.wait(lambda _request: True, count=3)
        await box.wait_until(lambda: _only(box).attempt == 3)
        await box.advance(300)
        got = await listener.wait(lambda _request: True, count=4)
        await box.wait_delivered()
        assert [request.retry_attempt for request in got] == [0, 1, 2, 3]
        assert got[1].retry_reason == "timeout"
        assert len({request.payload["event_id"] for request in got}) == 1
        assert len((await box.state())["given_up"]) == 1


def _only(box: SandboxClient) -> Envelope:
    assert box.hub
    return next(iter(box.hub.outbox.pending.values()))


async def test_a_slash_command_is_answered_in_the_acknowledgement(box: SandboxClient, listener: Listener) -> None:
    """The payload of an acknowledgement is shown to the person who typed."""
    listener.answers = lambda request: {"text": "all is well"} if request.type == "slash_commands" else None
    await box.command("bo", "#general", "/kb status  now ")
    answer = await box.wait_for_message(lambda m: m["text"] == "all is well", person="bo")
    assert answer["ephemeral"]
    payload = listener.got[0].payload
    assert (payload["command"], payload["text"], payload["channel_name"]) == ("/kb", "status  now", "general")
    assert listener.got[0].accepts_response_payload
    assert not [m for m in await box.messages("#general", "ada") if m["text"] == "all is well"]


async def test_a_command_that_is_not_acknowledged_fails_visibly(tmp_path: Path, listen: Listen) -> None:
    """Commands are not sent again: Slack shows ``operation_timeout``, or another error without a connection."""
    async with open_sandbox(tmp_path, ack_deadline_s=0.05) as box:
        await box.command("ada", "#general", "/kb status")
        await box.wait_for_message(lambda m: "dispatch_failed" in m["text"])
        listener = await listen(box)
        listener.answers = lambda _request: False
        await box.command("ada", "#general", "/kb status")
        await box.wait_for_message(lambda m: "operation_timeout" in m["text"])
        assert len(listener.got) == 1
