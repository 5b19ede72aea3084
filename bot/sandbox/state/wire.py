"""Pure: build Slack's objects from the workspace's records.

Sources: https://docs.slack.dev/apis/events-api, …/reference/events, …/interactivity/implementing-slash-commands and
…/reference/interaction-payloads/block_actions-payload.
"""

from __future__ import annotations

import secrets

from bot.sandbox.state.model import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    TEAM_DOMAIN,
    TEAM_ID,
    TEAM_NAME,
    Channel,
    Json,
    Person,
    SlackMessage,
)
from bot.sandbox.state.records import Records


def new_event_id() -> str:
    """Return a new event id."""
    return f"Ev{secrets.token_hex(5).upper()}"


def user_object(person: Person) -> Json:
    """Return a user object as ``users.info`` returns it."""
    return {
        "id": person.id,
        "team_id": TEAM_ID,
        "name": person.name,
        "deleted": False,
        "real_name": person.real_name,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "locale": person.locale,
        "profile": {
            "title": person.title,
            "real_name": person.real_name,
            "display_name": person.name,
            "real_name_normalized": person.real_name,
            "display_name_normalized": person.name,
            "team": TEAM_ID,
        }
        | ({"bot_id": BOT_ID, "api_app_id": APP_ID} if person.id == BOT_USER else {}),
        "is_admin": False,
        "is_owner": False,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 0,
    }


def channel_object(found: Channel, viewer: str = BOT_USER) -> Json:
    """Return a conversation object as the ``conversations.*`` methods return it."""
    if found.kind == "im":
        other = next((member for member in found.members if member != viewer), viewer)
        return {
            "id": found.id,
            "created": found.created,
            "is_im": True,
            "is_org_shared": False,
            "user": other,
            "is_user_deleted": False,
            "is_open": True,
            "context_team_id": TEAM_ID,
        }
    return {
        "id": found.id,
        "name": found.name,
        "name_normalized": found.name,
        "created": found.created,
        "creator": found.members[0] if found.members else "",
        "context_team_id": TEAM_ID,
        "is_channel": found.kind == "channel",
        "is_group": found.kind == "group",
        "is_im": False,
        "is_mpim": False,
        "is_private": found.kind == "group",
        "is_archived": found.archived,
        "is_general": found.name == "general",
        "is_shared": found.shared_externally,
        "is_ext_shared": found.shared_externally,
        "is_org_shared": False,
        "is_member": viewer in found.members,
        "topic": {"value": found.topic, "creator": "", "last_set": 0},
        "purpose": {"value": found.topic, "creator": "", "last_set": 0},
        "num_members": len(found.members),
    }


_BOT_PROFILE = {"id": BOT_ID, "deleted": False, "name": "Kvasir", "updated": 0, "app_id": APP_ID, "team_id": TEAM_ID}


def message_object(records: Records, found: SlackMessage) -> Json:
    """Return a message object as ``conversations.history`` returns it; a root has the counts of its thread."""
    body: Json = {"type": "message", "ts": found.ts, "text": found.text, "team": TEAM_ID, "user": found.user}
    if found.bot_id:
        body |= {"bot_id": found.bot_id, "app_id": found.app_id}
        body |= {"bot_profile": _BOT_PROFILE} if found.bot_id == BOT_ID else {}
    optional = {
        "subtype": found.subtype,
        "username": found.username,
        "client_msg_id": found.client_msg_id,
        "edited": found.edited,
        "metadata": found.metadata,
        "blocks": list(found.blocks),
        "files": list(found.files),
    }
    body |= {name: value for name, value in optional.items() if value}
    if found.stream == "streaming":
        body["streaming_state"] = "in_progress"
    if found.reactions:
        body["reactions"] = [
            {"name": name, "users": list(users), "count": len(users)} for name, users in found.reactions.items()
        ]
    return body | _thread_fields(records, found)


def _thread_fields(records: Records, found: SlackMessage) -> Json:
    if found.thread_ts:
        root = records.find_message(found.channel, found.thread_ts)
        return {"thread_ts": found.thread_ts} | ({"parent_user_id": root.user} if root else {})
    replies = records.list_replies(found.channel, found.ts)
    if not replies:
        return {}
    return {
        "thread_ts": found.ts,
        "reply_count": len(replies),
        "reply_users": list(dict.fromkeys(reply.user for reply in replies))[:5],
        "reply_users_count": len({reply.user for reply in replies}),
        "latest_reply": replies[-1].ts,
        "is_locked": False,
        "subscribed": False,
    }


_CHANNEL_TYPES = {"channel": "channel", "group": "group", "im": "im"}


def message_event(records: Records, found: SlackMessage) -> Json:
    """Return the ``message_object`` event of a new message."""
    room = records.channels[found.channel]
    body = message_object(records, found)
    for name in ("reply_count", "reply_users", "reply_users_count", "latest_reply", "is_locked", "subscribed"):
        body.pop(name, None)
    return body | {
        "channel": found.channel,
        "event_ts": found.ts,
        "channel_type": _CHANNEL_TYPES[room.kind],
    }


def mention_event(records: Records, found: SlackMessage) -> Json:
    """Return the ``app_mention`` event of a new message."""
    body = message_event(records, found) | {"type": "app_mention"}
    body.pop("channel_type")
    return body


def changed_event(records: Records, before: SlackMessage, after: SlackMessage, ts: str) -> Json:
    """Return the ``message_changed`` event of an edit."""
    return {
        "type": "message",
        "subtype": "message_changed",
        "message": message_object(records, after),
        "previous_message": message_object(records, before),
        "channel": after.channel,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
        "channel_type": _CHANNEL_TYPES[records.channels[after.channel].kind],
    }


def deleted_event(records: Records, before: SlackMessage, ts: str) -> Json:
    """Return the ``message_deleted`` event."""
    return {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": message_object(records, before),
        "channel": before.channel,
        "hidden": True,
        "deleted_ts": before.ts,
        "ts": ts,
        "event_ts": ts,
        "channel_type": _CHANNEL_TYPES[records.channels[before.channel].kind],
    }


def event_callback(event: Json, *, now: float, token: str, ext_shared: bool = False) -> Json:
    """Wrap an event as the Events API delivers it."""
    return {
        "token": token,
        "team_id": TEAM_ID,
        "context_team_id": TEAM_ID,
        "context_enterprise_id": None,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": new_event_id(),
        "event_time": int(now),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM_ID,
                "user_id": BOT_USER,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": ext_shared,
        "event_context": f"4-{secrets.token_urlsafe(24)}",
    }


def command_payload(
    room: Channel, person: Person, text: str, *, token: str, response_url: str, trigger_id: str
) -> Json:
    """Return a slash command's payload; ``text`` begins with the command itself."""
    name, _, rest = text.strip().partition(" ")
    return {
        "token": token,
        "team_id": TEAM_ID,
        "team_domain": TEAM_DOMAIN,
        "channel_id": room.id,
        "channel_name": {"im": "directmessage", "group": "privategroup"}.get(room.kind, room.name),
        "user_id": person.id,
        "user_name": person.name,
        "command": name,
        "text": rest.strip(),
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def interaction_payload(kind: str, person: Person, *, token: str, trigger_id: str) -> Json:
    """Return the common part of all interaction payloads."""
    return {
        "type": kind,
        "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": TEAM_ID},
        "api_app_id": APP_ID,
        "token": token,
        "trigger_id": trigger_id,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def team_object() -> Json:
    """Return the team object of ``team.info``."""
    return {
        "id": TEAM_ID,
        "name": TEAM_NAME,
        "domain": TEAM_DOMAIN,
        "email_domain": "",
        "icon": {"image_default": True},
    }
