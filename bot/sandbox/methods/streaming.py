"""``chat.startStream``, ``chat.appendStream`` and ``chat.stopStream``."""

from __future__ import annotations

from dataclasses import replace

from bot.sandbox import limits
from bot.sandbox.block_kit.blocks import check_blocks
from bot.sandbox.limits import TIER_2, TIER_4
from bot.sandbox.methods.agents import set_session_status
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.methods.chat import find_own_message, find_target
from bot.sandbox.state import wire
from bot.sandbox.state.model import Json, SlackChannel, SlackMessage
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.streams import add_chunks, join_text, read_chunks
from bot.sandbox.state.workspace import build_app_message


def _check_recipient(call: Call, room: SlackChannel) -> None:
    """Check the stream's recipient, which a direct conversation does not need.

    Raises:
        RefusedCall: ``missing_recipient_user_id``, ``missing_recipient_team_id``, ``user_not_found``,
            ``team_not_found``.

    """
    if room.kind == "im":
        return
    user = call.args.required_text("recipient_user_id", "missing_recipient_user_id")
    team = call.args.required_text("recipient_team_id", "missing_recipient_team_id")
    person = call.workspace.find_person(user)
    if team != person.team:
        raise RefusedCall("team_not_found")
    if person.id not in room.members:
        raise RefusedCall("user_not_in_channel")


def start_stream(call: Call) -> Json:
    """Start a streamed message."""
    room = find_target(call)
    _check_recipient(call, room)
    root = call.workspace.find_root(room.id, call.args.get_text("thread_ts"))
    if root is None and room.kind == "im":
        raise RefusedCall("invalid_thread_ts")
    mode = call.args.get_text("task_display_mode", "timeline")
    if mode not in {"timeline", "plan"}:
        raise RefusedCall("invalid_arguments")
    blocks = add_chunks([], _read_chunks(call), plan=mode == "plan")
    message = build_app_message(room.id, call.workspace.next_ts(), join_text(blocks), blocks)
    message = replace(
        message, thread_ts=root, stream="streaming", stream_started=call.workspace.now(), plan=mode == "plan"
    )
    call.workspace.post_message(message)
    return {"channel": room.id, "ts": message.ts}


def _read_chunks(call: Call) -> list[Json]:
    return read_chunks(call.args.get_text("markdown_text"), call.args.get_structure("chunks", "invalid_chunks"))


def _find_streaming_message(call: Call) -> SlackMessage:
    """Return the streaming message that the call names.

    Raises:
        RefusedCall: ``message_not_found``, ``stopped_by_user``, ``message_not_in_streaming_state``, or that the app may
            no longer post there.

    """
    call.check_posting(call.find_joined_channel())
    message = find_own_message(call, "message_not_owned_by_app")
    if message.stream == "stopped_by_user":
        raise RefusedCall("stopped_by_user")
    if message.stream != "streaming":
        raise RefusedCall("message_not_in_streaming_state")
    return message


def _append_chunks(before: SlackMessage, chunks: list[Json]) -> SlackMessage:
    blocks = add_chunks(before.blocks, chunks, plan=before.plan)
    text = join_text(blocks)
    if len(text) > limits.STREAM_TEXT:
        raise RefusedCall("msg_too_long")
    if len(blocks) > limits.BLOCKS_PER_MESSAGE:
        raise RefusedCall("msg_blocks_too_long")
    return replace(before, blocks=blocks, text=text)


def append_to_stream(call: Call) -> Json:
    """Add to a streamed message."""
    before, chunks = _find_streaming_message(call), _read_chunks(call)
    if not chunks:
        raise RefusedCall("no_text")
    after = call.workspace.replace_message(before, _append_chunks(before, chunks), announce=False)
    return {"channel": after.channel, "ts": after.ts}


def stop_stream(call: Call) -> Json:
    """End a streamed message with its last text and the blocks below it."""
    before = _find_streaming_message(call)
    last = call.args.get_structure("blocks", "invalid_blocks_format")
    chunks = _read_chunks(call) + ([{"type": "blocks", "blocks": check_blocks(last)}] if last else [])
    after = replace(
        _append_chunks(before, chunks), metadata=call.args.get_structure("metadata", "invalid_metadata_format")
    )
    status = call.args.get_text("session_status")
    if status:
        set_session_status(call, after.channel, after.root, status)
    after = call.workspace.end_stream(after, "done")
    return {"channel": after.channel, "ts": after.ts, "message": wire.message_object(call.workspace, after)}


METHODS = (
    Method("chat.startStream", start_stream, TIER_2, ("chat:write",)),
    Method("chat.appendStream", append_to_stream, TIER_4, ("chat:write",)),
    Method("chat.stopStream", stop_stream, TIER_2, ("chat:write",)),
)
