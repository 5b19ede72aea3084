"""``chat.*`` without streaming, and ``reactions.*``."""

from __future__ import annotations

from dataclasses import replace

from bot.sandbox import limits
from bot.sandbox.block_kit.blocks import check_blocks
from bot.sandbox.limits import POSTING, SPECIAL, TIER_3, TIER_4
from bot.sandbox.methods.call import Arguments, Call, Method
from bot.sandbox.state import wire
from bot.sandbox.state.model import BOT_USER, Json, SlackChannel, SlackMessage
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.streams import join_text
from bot.sandbox.state.workspace import build_app_message


def _read_content(args: Arguments) -> tuple[str, list[Json]]:
    """Return text and blocks of a message to post or update.

    Raises:
        RefusedCall: ``no_text``, ``msg_too_long``, ``markdown_text_conflict``, or what ``check_blocks`` refuses.

    """
    text, markdown = args.get_text("text"), args.get_text("markdown_text")
    raw_blocks = args.get_structure("blocks", "invalid_blocks_format")
    blocks = check_blocks(raw_blocks) if raw_blocks else []
    if markdown:
        if text or blocks:
            raise RefusedCall("markdown_text_conflict")
        if len(markdown) > limits.MARKDOWN_TEXT:
            raise RefusedCall("msg_too_long")
        return markdown, check_blocks([{"type": "markdown", "text": markdown}])
    if not text.strip() and not blocks and not args.get_structure("attachments"):
        raise RefusedCall("no_text")
    return text or join_text(blocks), blocks


def find_target(call: Call) -> SlackChannel:
    """Return the conversation to post in; a person's id means the direct conversation with them.

    Raises:
        RefusedCall: ``channel_not_found``, ``not_in_channel``, ``is_archived``, or the conversation's own refusal.

    """
    recipient = call.args.required_text("channel", "channel_not_found")
    direct = call.workspace.find_direct_channel((BOT_USER, recipient)) if recipient in call.workspace.people else None
    return call.check_posting(direct or call.find_joined_channel())


def post_message(call: Call) -> Json:
    """Post a message of the app."""
    room = find_target(call)
    text, blocks = _read_content(call.args)
    root = call.workspace.find_root(room.id, call.args.get_text("thread_ts"))
    message = build_app_message(room.id, call.workspace.next_ts(), text[: limits.POST_TEXT], blocks)
    message = replace(message, thread_ts=root, metadata=call.args.get_structure("metadata", "invalid_metadata_format"))
    if "chat:write.customize" in call.scopes:
        message = replace(message, username=call.args.get_text("username") or None)
    call.workspace.post_message(message)
    return {"channel": room.id, "ts": message.ts, "message": wire.message_object(call.workspace, message)}


def post_ephemeral(call: Call) -> Json:
    """Show a message of the app to one person."""
    room = find_target(call)
    user = call.args.required_text("user", "user_not_found")
    text, blocks = _read_content(call.args)
    if call.workspace.find_person(user).id not in room.members:
        raise RefusedCall("user_not_in_channel")
    root = call.workspace.find_root(room.id, call.args.get_text("thread_ts"))
    message = build_app_message(room.id, call.workspace.next_ts(), text[: limits.POST_TEXT], blocks)
    if root is None or call.workspace.list_replies(room.id, root):  # Slack shows it only in an active thread
        call.workspace.post_ephemeral(replace(message, thread_ts=root, ephemeral_to=user))
    return {"message_ts": message.ts}


def find_own_message(call: Call, otherwise: str) -> SlackMessage:
    """Return the app's message that the call names.

    Raises:
        RefusedCall: ``channel_not_found``, ``message_not_found``, or ``otherwise``.

    """
    room = call.find_channel()
    return call.workspace.find_own_message(
        BOT_USER, room.id, call.args.required_text("ts", "message_not_found"), otherwise
    )


def update_message(call: Call) -> Json:
    """Replace the content of an app's message; without new blocks the old ones stay, as on Slack."""
    before = find_own_message(call, "cant_update_message")
    if before.stream == "streaming":
        raise RefusedCall("streaming_state_conflict")
    text, blocks = _read_content(call.args)
    if len(text) > limits.UPDATE_TEXT and not call.args.get_text("markdown_text"):
        raise RefusedCall("msg_too_long")
    if "blocks" not in call.args and not call.args.get_text("markdown_text"):
        blocks = list(before.blocks)
    edited = {"user": BOT_USER, "ts": call.workspace.next_ts()}
    metadata = call.args.get_structure("metadata", "invalid_metadata_format") or before.metadata
    after = replace(before, text=text, blocks=blocks, edited=edited, stream=None, metadata=metadata)
    after = call.workspace.replace_message(before, after)
    body = wire.message_object(call.workspace, after)
    return {"channel": after.channel, "ts": after.ts, "text": text, "message": body}


def delete_message(call: Call) -> Json:
    """Delete a message of the app."""
    message = find_own_message(call, "cant_delete_message")
    call.workspace.delete_message(BOT_USER, message.channel, message.ts)
    return {"channel": message.channel, "ts": message.ts}


def get_permalink(call: Call) -> Json:
    """Return the address of a message."""
    room = call.find_channel()
    ts = call.args.required_text("message_ts", "message_not_found")
    if call.workspace.find_message(room.id, ts) is None:
        raise RefusedCall("message_not_found")
    return {"channel": room.id, "permalink": f"{call.base_url}/archives/{room.id}/p{ts.replace('.', '')}"}


def _change_reaction(call: Call, *, add: bool) -> Json:
    room = call.find_joined_channel()
    ts, name = (
        call.args.required_text("timestamp", "no_item_specified"),
        call.args.required_text("name", "invalid_name"),
    )
    call.workspace.change_reaction(BOT_USER, room.id, ts, name.strip(":"), add=add)
    return {}


METHODS = (
    Method("chat.postMessage", post_message, POSTING, ("chat:write",)),
    Method("chat.postEphemeral", post_ephemeral, TIER_4, ("chat:write",)),
    Method("chat.update", update_message, TIER_3, ("chat:write",)),
    Method("chat.delete", delete_message, TIER_3, ("chat:write",)),
    Method("chat.getPermalink", get_permalink, SPECIAL),
    Method("reactions.add", lambda call: _change_reaction(call, add=True), TIER_3, ("reactions:write",)),
    Method("reactions.remove", lambda call: _change_reaction(call, add=False), TIER_3, ("reactions:write",)),
)
