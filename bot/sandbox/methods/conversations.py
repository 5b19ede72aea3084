"""``conversations.*`` and ``users.conversations``."""

from __future__ import annotations

from collections.abc import Iterable

from bot.sandbox import limits
from bot.sandbox.limits import TIER_2, TIER_3, TIER_4
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.methods.people import read_workspace
from bot.sandbox.state import directory, wire
from bot.sandbox.state.model import BOT_USER, Json, SlackChannel, SlackMessage
from bot.sandbox.state.refusals import RefusedCall

_TYPES = {"channel": "public_channel", "group": "private_channel", "mpim": "mpim", "im": "im"}
_READ = ("channels:read", "groups:read", "im:read", "mpim:read")
_HISTORY = ("channels:history", "groups:history", "im:history", "mpim:history")
_PREFIX = {"channel": "channels", "group": "groups", "mpim": "mpim", "im": "im"}


def _require_scope(call: Call, room: SlackChannel, verb: str) -> SlackChannel:
    """Return the conversation if the app has the scope that this kind of conversation needs.

    Raises:
        RefusedCall: ``missing_scope``.

    """
    scope = f"{_PREFIX[room.kind]}:{verb}"
    if scope not in call.scopes:
        raise RefusedCall("missing_scope", needed=scope, provided=",".join(sorted(call.scopes)))
    return room


def _list_page(call: Call, rooms: Iterable[SlackChannel]) -> Json:
    """Return a page of the conversations that the app may see."""
    team = read_workspace(call)
    rooms = [room for room in rooms if room.kind == "channel" or BOT_USER in room.members]
    rooms = [room for room in rooms if team is None or team in {room.host, *room.shared_with}]
    kinds = call.args.get_text("types", "public_channel").split(",")
    exclude_archived = call.args.get_flag("exclude_archived")
    matching = [room for room in rooms if _TYPES[room.kind] in kinds and not (exclude_archived and room.archived)]
    return call.build_page([directory.channel_object(call.workspace, room) for room in matching], "channels")


def list_conversations(call: Call) -> Json:
    """List the conversations that the app may see."""
    return _list_page(call, call.workspace.channels.values())


def list_user_conversations(call: Call) -> Json:
    """List the conversations of the app, or those that a person shares with the app."""
    person = call.workspace.find_person(call.args.get_text("user", BOT_USER))
    return _list_page(call, call.workspace.list_visible_channels(person.id))


def get_info(call: Call) -> Json:
    """Describe a conversation."""
    room = _require_scope(call, call.find_channel(), "read")
    return {"channel": directory.channel_object(call.workspace, room)}


def list_members(call: Call) -> Json:
    """List the members of a conversation."""
    room = _require_scope(call, call.find_channel(), "read")
    return call.build_page(room.members, "members")


def open_direct(call: Call) -> Json:
    """Return the direct conversation with a person or with several."""
    if "channel" in call.args:
        room = call.find_channel()
        is_new = False
    else:
        users = call.args.required_text("users", "users_list_not_supplied").split(",")
        members = [call.workspace.find_person(user).id for user in users] + [BOT_USER]
        is_new = call.workspace.find_direct_channel(members) is None
        room = call.workspace.open_direct(members)
    body = directory.channel_object(call.workspace, room) if call.args.get_flag("return_im") else {"id": room.id}
    return {"no_op": not is_new, "already_open": not is_new, "channel": body}


def join_channel(call: Call) -> Json:
    """Let the app join a public channel."""
    room = call.find_channel()
    if room.kind != "channel":
        raise RefusedCall("method_not_supported_for_channel_type")
    call.workspace.add_member(BOT_USER, room.id)
    return {"channel": directory.channel_object(call.workspace, call.workspace.channels[room.id])}


def _filter_by_time(call: Call, messages: Iterable[SlackMessage]) -> list[SlackMessage]:
    """Return the messages between ``oldest`` and ``latest``; none if these are equal, as Slack is said to do."""
    oldest, latest = call.args.get_text("oldest", "0"), call.args.get_text("latest")
    inclusive = call.args.get_flag("inclusive")
    low, high = _parse_ts(oldest), _parse_ts(latest) if latest and latest != "now" else float("inf")
    if low == high:
        return []
    return [m for m in messages if low < float(m.ts) < high or (inclusive and float(m.ts) in {low, high})]


def _parse_ts(ts: str) -> float:
    try:
        return float(ts)
    except ValueError as error:
        raise RefusedCall("invalid_ts_oldest") from error


def get_history(call: Call) -> Json:
    """Return a channel's messages, newest first."""
    room = _require_scope(call, call.find_joined_channel(), "history")
    messages = _filter_by_time(call, call.workspace.list_history(room.id))[::-1]
    page = call.build_page([wire.message_object(call.workspace, message) for message in messages], "messages")
    return page | {"has_more": bool(page["response_metadata"]["next_cursor"]), "pin_count": 0}


def get_replies(call: Call) -> Json:
    """Return a thread, its root first on every page, then the replies, oldest first."""
    room = _require_scope(call, call.find_joined_channel(), "history")
    message = call.workspace.find_message(room.id, call.args.required_text("ts", "thread_not_found"))
    root = call.workspace.find_message(room.id, message.root) if message else None
    if message is None or root is None:
        raise RefusedCall("thread_not_found")
    replies = _filter_by_time(call, call.workspace.list_replies(room.id, root.ts))
    objects = [wire.message_object(call.workspace, message) for message in replies]
    page = call.build_page(objects, "messages", limits.PAGE_LIMIT)
    messages = [wire.message_object(call.workspace, root), *page["messages"]]
    return page | {"messages": messages, "has_more": bool(page["response_metadata"]["next_cursor"])}


METHODS = (
    Method("conversations.list", list_conversations, TIER_2, _READ),
    Method("users.conversations", list_user_conversations, TIER_3, _READ),
    Method("conversations.info", get_info, TIER_3, _READ),
    Method("conversations.members", list_members, TIER_4, _READ),
    Method("conversations.open", open_direct, TIER_3, ("im:write", "mpim:write")),
    Method("conversations.join", join_channel, TIER_3, ("channels:join",)),
    Method("conversations.history", get_history, TIER_3, _HISTORY),
    Method("conversations.replies", get_replies, TIER_3, _HISTORY),
)
