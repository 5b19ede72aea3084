"""Test streamed messages with the real client's helper: growth, tasks, ends and refusals."""

from __future__ import annotations

from typing import Any

from slack_sdk.models.messages.chunk import BlocksChunk, MarkdownTextChunk, PlanUpdateChunk, TaskUpdateChunk
from slack_sdk.web.async_client import AsyncWebClient

from tests.sandbox.conftest import Listener, refusal
from tests.slack_sandbox import FEEDBACK_BUTTONS, TEAM_ID, SandboxClient

ADA = "U0ADA00001"
GENERAL = "C0GENERAL1"


async def started(box: SandboxClient, client: AsyncWebClient, **more: Any) -> tuple[str, str]:
    """Start a stream in a thread of #general; return the root's ts and its own."""
    root = await box.say("ada", "#general", "@Kvasir?")
    recipient = {"recipient_user_id": ADA, "recipient_team_id": TEAM_ID}
    stream = await client.chat_startStream(channel=GENERAL, thread_ts=root, **recipient, **more)
    return root, stream["ts"]


async def test_the_sdk_streams_into_a_thread(box: SandboxClient, client: AsyncWebClient, listener: Listener) -> None:
    """Text continues; the app gets events of the start and the end, not of each step."""
    root = await box.say("ada", "#general", "@Kvasir?")
    stream = await client.chat_stream(
        channel=GENERAL, thread_ts=root, recipient_user_id=ADA, recipient_team_id=TEAM_ID, buffer_size=5
    )
    for part in ("**Hello", " wor", "ld**, 你好"):
        await stream.append(markdown_text=part)
    growing = await box.wait_for_message(lambda m: m["ts"] == stream.ts)
    assert growing["stream"] == "streaming"
    feedback = {"type": "context_actions", "elements": [FEEDBACK_BUTTONS]}
    await stream.stop(blocks=[feedback])
    ended = await box.wait_for_message(lambda m: m["ts"] == stream.ts)
    assert (ended["stream"], ended["text"]) == ("done", "**Hello world**, 你好")
    assert [block["type"] for block in ended["blocks"]] == ["markdown", "context_actions"]
    assert ended["thread_ts"] == root
    await listener.wait(lambda request: request.payload["event"].get("subtype") == "message_changed")
    of_stream = [e for e in listener.events("message") if e.get("bot_id") or "message" in e]
    assert len(of_stream) == 2


async def test_tasks_keep_their_place(box: SandboxClient, client: AsyncWebClient) -> None:
    """A task is updated in its place between the texts."""
    root, ts = await started(box, client, chunks=[TaskUpdateChunk(id="1", title="Search", status="in_progress")])
    chunks = [
        MarkdownTextChunk(text="Found."),
        TaskUpdateChunk(id="1", title="Searched", status="complete", output="3 passages"),
        MarkdownTextChunk(text=" Done."),
        BlocksChunk(blocks=[{"type": "divider"}]),
    ]
    await client.chat_appendStream(channel=GENERAL, ts=ts, chunks=chunks)
    message = await box.wait_for_message(lambda m: m["ts"] == ts)
    assert root
    assert [block["type"] for block in message["blocks"]] == ["task_card", "markdown", "divider"]
    assert message["blocks"][0]["output"] == "3 passages"
    assert message["text"] == "Found. Done."


async def test_a_plan_gathers_the_tasks(box: SandboxClient, client: AsyncWebClient) -> None:
    """In plan mode all tasks are in one block at the top."""
    _, ts = await started(box, client, task_display_mode="plan", markdown_text="Thinking")
    chunks = [PlanUpdateChunk(title="Plan"), TaskUpdateChunk(id="1", title="Search", status="pending")]
    await client.chat_appendStream(channel=GENERAL, ts=ts, chunks=chunks)
    plan, text = (await box.wait_for_message(lambda m: m["ts"] == ts))["blocks"]
    assert (plan["type"], plan["title"], [task["title"] for task in plan["tasks"]]) == ("plan", "Plan", ["Search"])
    assert text["text"] == "Thinking"


async def test_what_a_stream_refuses(box: SandboxClient, client: AsyncWebClient) -> None:
    """Channels need a recipient; updates and deletes need the end; an ended stream accepts no more text."""
    root = await box.say("ada", "#general", "?")
    begin = client.chat_startStream
    assert await refusal(begin(channel=GENERAL, thread_ts=root)) == "missing_recipient_user_id"
    half = begin(channel=GENERAL, thread_ts=root, recipient_user_id=ADA)
    assert await refusal(half) == "missing_recipient_team_id"
    _, ts = await started(box, client)
    assert await refusal(client.chat_update(channel=GENERAL, ts=ts, text="x")) == "streaming_state_conflict"
    assert await refusal(client.chat_delete(channel=GENERAL, ts=ts)) == "cant_delete_message"
    long = client.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="x" * 12_001)
    assert await refusal(long) == "msg_too_long"
    odd = client.chat_appendStream(channel=GENERAL, ts=ts, chunks=[{"type": "poem"}])
    assert await refusal(odd) == "invalid_chunks"
    await client.chat_stopStream(channel=GENERAL, ts=ts)
    late = client.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="x")
    assert await refusal(late) == "message_not_in_streaming_state"
    await client.chat_update(channel=GENERAL, ts=ts, text="now it may be changed")


async def test_a_stream_in_a_direct_conversation_needs_no_recipient(box: SandboxClient, client: AsyncWebClient) -> None:
    """The recipient is known there."""
    root = await box.say("ada", "@kvasir", "hello")
    room = (await client.conversations_open(users=[ADA]))["channel"]["id"]
    assert (await client.chat_startStream(channel=room, thread_ts=root))["ok"]


async def test_a_stream_dies_after_five_minutes_even_if_active(box: SandboxClient, client: AsyncWebClient) -> None:
    """Its text stays; appending is refused; the message can be updated then."""
    _, ts = await started(box, client, markdown_text="so far")
    await box.advance(200)
    await client.chat_appendStream(channel=GENERAL, ts=ts, markdown_text=", so good")
    await box.advance(101)
    late = client.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="!")
    assert await refusal(late) == "message_not_in_streaming_state"
    message = await box.wait_for_message(lambda m: m["ts"] == ts)
    assert (message["stream"], message["text"]) == ("expired", "so far, so good")
    await client.chat_update(channel=GENERAL, ts=ts, text="so far, so good!")


async def test_stop_ends_the_stream_and_tells_the_app(
    box: SandboxClient, client: AsyncWebClient, listener: Listener
) -> None:
    """The Stop button of a session names the streams that it ended."""
    root, ts = await started(box, client, markdown_text="a long story")
    await client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="processing", title="Story")
    await box.stop("ada", "#general", root)
    await listener.wait(lambda request: request.payload["event"]["type"] == "agent_session_stopped")
    event = listener.events("agent_session_stopped")[0]
    assert (event["thread_ts"], event["streaming_message_ts"], event["user"]) == (root, [ts], ADA)
    more = client.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="…")
    assert await refusal(more) == "stopped_by_user"
    await client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="active")
    bad = client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="is thinking…")
    assert await refusal(bad) == "invalid_status"
    await client.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=root, status="is thinking…")
    assert (await box.state())["sessions"][0]["text"] == "is thinking…"
