"""``chat.startStream``, ``chat.appendStream`` and ``chat.stopStream``."""

from __future__ import annotations

from dataclasses import replace

from bot.sandbox import limits
from bot.sandbox.limits import TIER_2, TIER_4
from bot.sandbox.methods.agents import set_status_of
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.methods.chat import own_message, target
from bot.sandbox.state import wire
from bot.sandbox.state.blocks import checked
from bot.sandbox.state.model import TEAM_ID, Channel, Json, Message
from bot.sandbox.state.refusals import Refused
from bot.sandbox.state.streams import chunks_of, grown, text_of
from bot.sandbox.state.workspace import app_message


def _recipient(call: Call, room: Channel) -> None:
    """Check who the stream is for; a direct conversation tells that itself.

    Raises:
        Refused: ``missing_recipient_user_id``, ``missing_recipient_team_id``, ``user_not_found``, ``team_not_found``.

    """
    if room.kind == "im":
        return
    user = call.args.required("recipient_user_id", "missing_recipient_user_id")
    team = call.args.required("recipient_team_id", "missing_recipient_team_id")
    if team != TEAM_ID:
        raise Refused("team_not_found")
    if call.workspace.person(user).id not in room.members:
        raise Refused("user_not_in_channel")


def start(call: Call) -> Json:
    """Begin a streamed message."""
    room = target(call)
    _recipient(call, room)
    root = call.workspace.root_of(room.id, call.args.optional("thread_ts"))
    if root is None and room.kind == "im":
        raise Refused("invalid_thread_ts")
    mode = call.args.text("task_display_mode", "timeline")
    if mode not in {"timeline", "plan"}:
        raise Refused("invalid_arguments")
    blocks = grown([], _chunks(call), plan=mode == "plan")
    message = app_message(room.id, call.workspace.next_ts(), text_of(blocks), blocks)
    message = replace(
        message, thread_ts=root, stream="streaming", stream_started=call.workspace.now(), plan=mode == "plan"
    )
    call.workspace.post(message)
    return {"channel": room.id, "ts": message.ts}


def _chunks(call: Call) -> list[Json]:
    return chunks_of(call.args.optional("markdown_text"), call.args.structure("chunks", "invalid_chunks"))


def _streaming(call: Call) -> Message:
    """Return the streaming message that the call names.

    Raises:
        Refused: ``message_not_found``, ``stopped_by_user``, ``message_not_in_streaming_state``.

    """
    message = own_message(call, "message_not_owned_by_app")
    if message.stream == "stopped_by_user":
        raise Refused("stopped_by_user")
    if message.stream != "streaming":
        raise Refused("message_not_in_streaming_state")
    return message


def _grown(before: Message, chunks: list[Json]) -> Message:
    blocks = grown(before.blocks, chunks, plan=before.plan)
    text = text_of(blocks)
    if len(text) > limits.STREAM_TEXT:
        raise Refused("msg_too_long")
    if len(blocks) > limits.BLOCKS_PER_MESSAGE:
        raise Refused("msg_blocks_too_long")
    return replace(before, blocks=blocks, text=text)


def append(call: Call) -> Json:
    """Add to a streamed message."""
    before, chunks = _streaming(call), _chunks(call)
    if not chunks:
        raise Refused("no_text")
    after = call.workspace.grow_stream(before, _grown(before, chunks))
    return {"channel": after.channel, "ts": after.ts}


def stop(call: Call) -> Json:
    """End a streamed message, with what is still to be said and the blocks under it."""
    before = _streaming(call)
    last = call.args.structure("blocks", "invalid_blocks_format")
    chunks = _chunks(call) + ([{"type": "blocks", "blocks": checked(last)}] if last else [])
    after = replace(_grown(before, chunks), metadata=call.args.structure("metadata", "invalid_metadata_format"))
    status = call.args.optional("session_status")
    if status:
        set_status_of(call, after.channel, after.root, status)
    after = call.workspace.end_stream(after, "done")
    return {"channel": after.channel, "ts": after.ts, "message": wire.message(call.workspace, after)}


METHODS = (
    Method("chat.startStream", start, TIER_2, ("chat:write",)),
    Method("chat.appendStream", append, TIER_4, ("chat:write",)),
    Method("chat.stopStream", stop, TIER_2, ("chat:write",)),
)
