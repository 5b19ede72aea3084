"""Pure: build messages, events and interaction payloads from the workspace's records.

Sources: https://docs.slack.dev/apis/events-api, …/reference/events, …/interactivity/implementing-slash-commands and
…/reference/interaction-payloads/block_actions-payload. The fields of an author in a shared conversation
(``user_team``, ``source_team``, ``user_profile``) are those of https://docs.slack.dev/apis/slack-connect. The outer
``team_id`` follows reports to Slack's Java SDK, and the ``authorizations`` of an organization follow slack-bolt's
tests. None of them was tested on a real workspace.
"""

from __future__ import annotations

import secrets

from bot.sandbox.state.model import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    TEAM_DOMAIN,
    TEAM_ID,
    Json,
    SlackChannel,
    SlackMessage,
    SlackPerson,
)
from bot.sandbox.state.records import Records

_BOT_PROFILE = {"id": BOT_ID, "deleted": False, "name": "Kvasir", "updated": 0, "app_id": APP_ID, "team_id": TEAM_ID}


def message_object(records: Records, found: SlackMessage) -> Json:
    """Return a message object as ``conversations.history`` returns it; a root has the counts of its thread."""
    body: Json = {"type": "message", "ts": found.ts, "text": found.text, "team": TEAM_ID, "user": found.user}
    author = records.people.get(found.user)
    room = records.channels.get(found.channel)
    if author and room and (author.team != TEAM_ID or room.shared_with):
        body |= _author_fields(author)
    if found.bot_id:
        body |= {"bot_id": found.bot_id, "app_id": found.app_id}
        body |= {"bot_profile": _BOT_PROFILE} if found.bot_id == BOT_ID else {}
    optional = {
        "subtype": found.subtype,
        "username": found.username,
        "workflow_id": found.workflow_id,
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


def _author_fields(author: SlackPerson) -> Json:
    profile = {
        "real_name": author.real_name,
        "display_name": author.name,
        "name": author.name,
        "team": author.team,
        "is_restricted": author.role in {"guest", "single_channel_guest"},
        "is_ultra_restricted": author.role == "single_channel_guest",
    }
    return {"team": author.team, "user_team": author.team, "source_team": author.team, "user_profile": profile}


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


def message_event(records: Records, found: SlackMessage) -> Json:
    """Return the ``message`` event of a new message."""
    return message_object(records, found) | {
        "channel": found.channel,
        "event_ts": found.ts,
        "channel_type": records.channels[found.channel].kind,
    }


def mention_event(records: Records, found: SlackMessage) -> Json:
    """Return the ``app_mention`` event of a new message."""
    body = message_event(records, found) | {"type": "app_mention"}
    body.pop("channel_type")
    body.pop("workflow_id", None)  # reported to Slack's Java SDK
    return body


def changed_event(records: Records, before: SlackMessage, after: SlackMessage | None, ts: str) -> Json:
    """Return the ``message_changed`` event of an edit; ``message_deleted`` if there is no message any more."""
    change: Json = {"subtype": "message_deleted", "deleted_ts": before.ts}
    if after:
        change = {"subtype": "message_changed", "message": message_object(records, after)}
    return {
        "type": "message",
        **change,
        "previous_message": message_object(records, before),
        "channel": before.channel,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
        "channel_type": records.channels[before.channel].kind,
    }


def event_callback(records: Records, event: Json, room: SlackChannel | None, *, now: float, token: str) -> Json:
    """Wrap an event of a conversation, or of none, as the Events API delivers it.

    The outer ``team_id`` is the host of the conversation; ``authorizations`` names the installation.
    """
    organization = records.organization
    enterprise = organization.id if organization else None
    is_org_wide = organization is not None and organization.org_wide_install
    return {
        "token": token,
        "team_id": room.host if room else TEAM_ID,
        **({"enterprise_id": enterprise} if enterprise else {}),
        "context_team_id": TEAM_ID,
        "context_enterprise_id": enterprise,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": f"Ev{secrets.token_hex(5).upper()}",
        "event_time": int(now),
        "authorizations": [
            {
                "enterprise_id": enterprise,
                "team_id": None if is_org_wide else TEAM_ID,
                "user_id": BOT_USER,
                "is_bot": True,
                "is_enterprise_install": is_org_wide,
            }
        ],
        "is_ext_shared_channel": room is not None and records.is_shared_externally(room),
        "event_context": f"4-{secrets.token_urlsafe(24)}",
    }


def command_payload(
    records: Records,
    room: SlackChannel,
    person: SlackPerson,
    text: str,
    *,
    token: str,
    response_url: str,
    trigger_id: str,
) -> Json:
    """Return a slash command's payload; ``text`` begins with the command itself."""
    name, _, rest = text.strip().partition(" ")
    organization = records.organization
    enterprise = {"enterprise_id": organization.id, "enterprise_name": organization.name} if organization else {}
    return {
        "token": token,
        "team_id": TEAM_ID,
        "team_domain": TEAM_DOMAIN,
        **enterprise,
        "channel_id": room.id,
        "channel_name": {"im": "directmessage", "group": "privategroup"}.get(room.kind, room.name),
        "user_id": person.id,
        "user_name": person.name,
        "command": name,
        "text": rest.strip(),
        "api_app_id": APP_ID,
        "is_enterprise_install": str(organization is not None and organization.org_wide_install).lower(),
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def interaction_payload(records: Records, kind: str, person: SlackPerson, *, token: str, trigger_id: str) -> Json:
    """Return the common part of all interaction payloads."""
    organization = records.organization
    return {
        "type": kind,
        "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team},
        "api_app_id": APP_ID,
        "token": token,
        "trigger_id": trigger_id,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "enterprise": {"id": organization.id, "name": organization.name} if organization else None,
        "is_enterprise_install": organization is not None and organization.org_wide_install,
    }
