"""Pure: build Slack's objects of people, conversations, user groups and the workspace.

Sources: https://docs.slack.dev/reference/objects/user-object, …/conversation-object and …/usergroup-object,
https://docs.slack.dev/apis/slack-connect (people of other companies) and https://docs.slack.dev/enterprise.

Not seen on a real workspace, but taken from there: ``enterprise_user`` and the shared fields of conversations. Two
choices are the stricter ones for an app: people of other companies keep their ``profile.email``, and deactivated
accounts stay in ``conversations.members``.
"""

from __future__ import annotations

from bot.sandbox.state.model import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    TEAM_DOMAIN,
    TEAM_ID,
    TEAM_NAME,
    Json,
    SlackChannel,
    SlackPerson,
    UserGroup,
)
from bot.sandbox.state.records import Records

_ADMINS = ("owner", "admin")
_GUEST_ROLES = ("guest", "single_channel_guest")


def user_object(records: Records, person: SlackPerson) -> Json:
    """Return a user object as ``users.info`` returns it; a deactivated account has fewer fields."""
    body: Json = {
        "id": person.id,
        "team_id": person.team,
        "name": person.name,
        "deleted": person.deleted,
        "profile": _build_profile(person),
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": person.updated,
    }
    if not person.deleted:
        body |= {
            "real_name": person.real_name,
            "tz": "Etc/UTC",
            "tz_label": "Coordinated Universal Time",
            "tz_offset": 0,
            "is_admin": person.role in _ADMINS,
            "is_owner": person.role == "owner",
            "is_primary_owner": False,
            "is_restricted": person.role in _GUEST_ROLES,
            "is_ultra_restricted": person.role == "single_channel_guest",
        }
    if person.team not in records.own_teams():
        return body | {"is_stranger": not _shares_channel_with_app(records, person.id)}
    return body | {"locale": person.locale} | _enterprise_fields(records, person)


def _build_profile(person: SlackPerson) -> Json:
    profile = {
        "title": person.title,
        "real_name": person.real_name,
        "real_name_normalized": person.real_name,
        "display_name": person.name,
        "display_name_normalized": person.name,
        "team": person.team,
    }
    if person.email:
        profile["email"] = person.email
    return profile | ({"bot_id": BOT_ID, "api_app_id": APP_ID} if person.id == BOT_USER else {})


def _shares_channel_with_app(records: Records, person: str) -> bool:
    """Return whether the app sees a channel of a person; ``is_stranger`` is false then, in every company."""
    return any({person, BOT_USER} <= set(room.members) for room in records.channels.values())


def _enterprise_fields(records: Records, person: SlackPerson) -> Json:
    organization = records.organization
    if organization is None or person.is_bot:
        return {}
    return {
        "enterprise_user": {
            "id": person.id,
            "enterprise_id": organization.id,
            "enterprise_name": organization.name,
            "is_admin": False,
            "is_owner": False,
            "is_primary_owner": False,
            "teams": [person.team],
        }
    }


def without_email(user: Json) -> Json:
    """Return a user object as an app without ``users:read.email`` gets it."""
    return user | {"profile": {name: value for name, value in user["profile"].items() if name != "email"}}


def channel_object(records: Records, found: SlackChannel, viewer: str = BOT_USER) -> Json:
    """Return a conversation object as the ``conversations.*`` methods return it."""
    if found.kind == "im":
        other = next((member for member in found.members if member != viewer), viewer)
        return {
            "id": found.id,
            "created": found.created,
            "is_im": True,
            "is_org_shared": False,
            "user": other,
            "is_user_deleted": other in records.people and records.people[other].deleted,
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
        "is_channel": found.kind != "group",
        "is_group": found.kind == "group",
        "is_im": False,
        "is_mpim": found.kind == "mpim",
        "is_private": found.kind != "channel",
        "is_archived": found.archived,
        "is_general": found.name == "general",
        "is_member": viewer in found.members,
        "topic": {"value": found.topic, "creator": "", "last_set": 0},
        "purpose": {"value": found.topic, "creator": "", "last_set": 0},
        "num_members": len(found.members),
    } | _sharing_fields(records, found)


def _sharing_fields(records: Records, found: SlackChannel) -> Json:
    teams, own = [found.host, *found.shared_with], records.own_teams()
    is_external = records.is_shared_externally(found)
    body: Json = {
        "is_shared": len(teams) > 1,
        "is_ext_shared": is_external,
        "is_org_shared": len(teams) > 1 and not is_external,
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "pending_connected_team_ids": [],
        "shared_team_ids": teams,
        "conversation_host_id": found.host,
        "connected_team_ids": [team for team in teams if team not in own],
        "internal_team_ids": [team for team in teams if team in own] if len(teams) > 1 else [],
    }
    return body | ({"enterprise_id": records.organization.id} if records.organization else {})


def group_object(group: UserGroup, *, with_users: bool = True) -> Json:
    """Return a user group as ``usergroups.list`` returns it."""
    body: Json = {
        "id": group.id,
        "team_id": TEAM_ID,
        "is_usergroup": True,
        "is_subteam": True,
        "name": group.name,
        "description": "",
        "handle": group.handle,
        "is_external": False,
        "date_create": group.created,
        "date_update": group.updated,
        "date_delete": group.updated if group.disabled else 0,
        "auto_type": None,
        "auto_provision": False,
        "enterprise_subteam_id": "",
        "created_by": "",
        "updated_by": "",
        "deleted_by": None,
        "prefs": {"channels": [], "groups": []},
        "user_count": len(group.users),
    }
    return body | ({"users": list(group.users)} if with_users else {})


def team_object(records: Records) -> Json:
    """Return the team object of ``team.info``."""
    body: Json = {
        "id": TEAM_ID,
        "name": TEAM_NAME,
        "domain": TEAM_DOMAIN,
        "email_domain": "",
        "icon": {"image_default": True},
    }
    organization = records.organization
    return body | ({"enterprise_id": organization.id, "enterprise_name": organization.name} if organization else {})
