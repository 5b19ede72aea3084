"""``conversations.*`` and ``users.conversations``."""

from __future__ import annotations

from collections.abc import Iterable

from bot.sandbox import limits
from bot.sandbox.limits import TIER_2, TIER_3, TIER_4
from bot.sandbox.methods.call import Call, Method, cursor, cursor_start
from bot.sandbox.state import wire
from bot.sandbox.state.model import BOT_USER, Channel, Json, Message
from bot.sandbox.state.refusals import Refused

_TYPES = {"channel": "public_channel", "group": "private_channel", "im": "im"}
_READ = ("channels:read", "groups:read", "im:read", "mpim:read")
_HISTORY = ("channels:history", "groups:history", "im:history", "mpim:history")
_PREFIX = {"channel": "channels", "group": "groups", "im": "im"}


def _may(call: Call, room: Channel, verb: str) -> None:
    """Check the scope that this kind of conversation needs.

    Raises:
        Refused: ``missing_scope``.

    """
    needed = f"{_PREFIX[room.kind]}:{verb}"
    if needed not in call.scopes:
        raise Refused("missing_scope", needed=needed, provided=",".join(sorted(call.scopes)))


def _listed(call: Call, rooms: Iterable[Channel]) -> Json:
    wanted = call.args.text("types", "public_channel").split(",")
    hidden = call.args.flag("exclude_archived")
    found = [wire.channel(room) for room in rooms if _TYPES[room.kind] in wanted and not (hidden and room.archived)]
    return call.page(found, "channels")


def list_all(call: Call) -> Json:
    """List the conversations that the app may see."""
    rooms = call.workspace.channels.values()
    return _listed(call, [room for room in rooms if room.kind == "channel" or BOT_USER in room.members])


def of_user(call: Call) -> Json:
    """List the conversations that the app, or somebody together with the app, is in."""
    user = call.args.text("user", BOT_USER)
    rooms = call.workspace.visible_to(call.workspace.person(user).id)
    return _listed(call, [room for room in rooms if room.kind == "channel" or BOT_USER in room.members])


def info(call: Call) -> Json:
    """Describe a conversation."""
    room = call.room()
    _may(call, room, "read")
    return {"channel": wire.channel(room)}


def members(call: Call) -> Json:
    """List who is in a conversation."""
    room = call.room()
    _may(call, room, "read")
    page = call.page([{"id": member} for member in room.members], "members")
    return page | {"members": [member["id"] for member in page["members"]]}


def open_direct(call: Call) -> Json:
    """Return the direct conversation with somebody."""
    if "channel" in call.args:
        room: Channel | None = call.room()
    else:
        users = call.args.required("users", "users_list_not_supplied").split(",")
        room = call.workspace.direct(BOT_USER, call.workspace.person(users[0]).id) if len(users) == 1 else None
    if room is None:
        raise Refused("method_not_supported_for_channel_type")
    body = wire.channel(room) if call.args.flag("return_im") else {"id": room.id}
    return {"no_op": True, "already_open": True, "channel": body}


def join(call: Call) -> Json:
    """Let the app join a public channel."""
    room = call.room()
    if room.kind != "channel":
        raise Refused("method_not_supported_for_channel_type")
    return {"channel": wire.channel(call.workspace.join(BOT_USER, room.id))}


def _between(call: Call, messages: Iterable[Message]) -> list[Message]:
    """Return the messages between ``oldest`` and ``latest``."""
    oldest, latest = call.args.text("oldest", "0"), call.args.text("latest")
    inclusive = call.args.flag("inclusive")
    low, high = _moment(oldest), _moment(latest) if latest and latest != "now" else float("inf")
    return [m for m in messages if low < float(m.ts) < high or (inclusive and float(m.ts) in {low, high})]


def _moment(ts: str) -> float:
    try:
        return float(ts)
    except ValueError as error:
        raise Refused("invalid_ts_oldest") from error


def history(call: Call) -> Json:
    """Return a channel's messages, newest first."""
    room = call.joined_room()
    _may(call, room, "history")
    found = _between(call, call.workspace.history(room.id))[::-1]
    page = call.page([wire.message(call.workspace, message) for message in found], "messages")
    more = bool(page["response_metadata"]["next_cursor"])
    return page | {"has_more": more, "pin_count": 0}


def replies(call: Call) -> Json:
    """Return a thread, its root first on every page, then the replies, oldest first."""
    room = call.joined_room()
    _may(call, room, "history")
    asked = call.workspace.find(room.id, call.args.required("ts", "thread_not_found"))
    root = call.workspace.find(room.id, asked.root) if asked else None
    if asked is None or root is None:
        raise Refused("thread_not_found")
    size = call.args.number("limit", limits.PAGE_LIMIT) or limits.PAGE_LIMIT
    if size < 1:
        raise Refused("invalid_limit")
    start = cursor_start(call.args.text("cursor"))
    found = _between(call, call.workspace.replies(room.id, root.ts))
    page = [root, *found[start : start + size]]
    more = start + size < len(found)
    return {
        "messages": [wire.message(call.workspace, message) for message in page],
        "has_more": more,
        "response_metadata": {"next_cursor": cursor(start + size) if more else ""},
    }


METHODS = (
    Method("conversations.list", list_all, TIER_2, _READ),
    Method("users.conversations", of_user, TIER_3, _READ),
    Method("conversations.info", info, TIER_3, _READ),
    Method("conversations.members", members, TIER_4, _READ),
    Method("conversations.open", open_direct, TIER_3, ("im:write", "mpim:write")),
    Method("conversations.join", join, TIER_3, ("channels:join",)),
    Method("conversations.history", history, TIER_3, _HISTORY),
    Method("conversations.replies", replies, TIER_3, _HISTORY),
)
