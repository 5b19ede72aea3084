"""``auth.*``, ``users.*``, ``usergroups.*``, ``bots.info``, ``team.info``, ``apps.connections.open``.

Sources: https://docs.slack.dev/enterprise lists the methods that need ``team_id``. The refusal has the fields that a
report to slack-go quotes (issue 1157). None of this was seen on a real organization.
"""

from __future__ import annotations

from bot.sandbox.limits import SPECIAL, TIER_2, TIER_3, TIER_4, Tier
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.state import directory
from bot.sandbox.state.demo import BOT
from bot.sandbox.state.model import APP_ID, BOT_ID, BOT_USER, TEAM_ID, TEAM_NAME, Json, SlackPerson
from bot.sandbox.state.refusals import RefusedCall


def read_workspace(call: Call) -> str | None:
    """Return the workspace that a call is about; None for a token of one workspace, which ignores ``team_id``.

    Raises:
        RefusedCall: ``missing_argument``, ``team_access_not_granted``.

    """
    organization = call.workspace.organization
    if organization is None or not organization.org_wide_install:
        return None
    team = call.args.get_text("team_id")
    if not team:
        raise RefusedCall("missing_argument", arg="team_id")
    if team not in organization.teams:
        raise RefusedCall("team_access_not_granted")
    return team


def is_listed(call: Call, person: SlackPerson, team: str | None) -> bool:
    """Return whether the list of a workspace has a person; people of other companies are in that of the first one."""
    organization = call.workspace.organization
    siblings = organization.teams if organization else ()
    return team is None or person.team == team or (team == TEAM_ID and person.team not in siblings)


def list_workspaces(call: Call) -> Json:
    """List the workspaces that the token may access."""
    organization = call.workspace.organization
    teams = organization.teams if organization is not None and organization.org_wide_install else (TEAM_ID,)
    return call.build_page([{"id": team, "name": team} for team in teams], "teams")


def test_authentication(call: Call) -> Json:
    """Return whose token this is; one of an org-wide installation has no workspace."""
    organization = call.workspace.organization
    is_org_wide = organization is not None and organization.org_wide_install
    return {
        "url": f"{call.base_url}/",
        "team": None if is_org_wide else TEAM_NAME,
        "user": BOT.name,
        "team_id": None if is_org_wide else TEAM_ID,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        **({"enterprise_id": organization.id} if organization else {}),
        "is_enterprise_install": is_org_wide,
    }


def open_connection(call: Call) -> Json:
    """Return the address of a websocket for Socket Mode."""
    return {"url": call.new_socket_url()}


def _describe_person(call: Call, person: SlackPerson) -> Json:
    user = directory.user_object(call.workspace, person)
    if not call.args.get_flag("include_locale"):
        user.pop("locale", None)
    return user if "users:read.email" in call.scopes else directory.without_email(user)


def get_user(call: Call) -> Json:
    """Describe a person."""
    person = call.workspace.find_person(call.args.required_text("user", "user_not_found"))
    return {"user": _describe_person(call, person)}


def find_user_by_email(call: Call) -> Json:
    """Describe the person of an e-mail address."""
    email = call.args.required_text("email", "users_not_found").lower()
    for person in call.workspace.people.values():
        if person.email.lower() == email and not person.deleted and person.team in call.workspace.own_teams():
            return {"user": _describe_person(call, person)}
    raise RefusedCall("users_not_found")


def list_users(call: Call) -> Json:
    """List all people, the deactivated ones too."""
    team = read_workspace(call)
    listed = [person for person in call.workspace.people.values() if is_listed(call, person, team)]
    people = [_describe_person(call, person) for person in listed]
    return call.build_page(people, "members") | {"cache_ts": int(call.workspace.now())}


def list_groups(call: Call) -> Json:
    """List the user groups; all of them belong to the first workspace."""
    groups = call.workspace.groups.values() if read_workspace(call) in {None, TEAM_ID} else ()
    visible_groups = [group for group in groups if call.args.get_flag("include_disabled") or not group.disabled]
    with_users = call.args.get_flag("include_users")
    return {"usergroups": [directory.group_object(group, with_users=with_users) for group in visible_groups]}


def list_group_users(call: Call) -> Json:
    """List the members of a user group."""
    read_workspace(call)
    group = call.workspace.find_group(call.args.required_text("usergroup", "no_such_subteam"))
    if group.disabled and not call.args.get_flag("include_disabled"):
        raise RefusedCall("no_such_subteam")
    return {"users": list(group.users)}


def get_bot(call: Call) -> Json:
    """Describe the app's bot."""
    if call.args.get_text("bot", BOT_ID) != BOT_ID:
        raise RefusedCall("bot_not_found")
    bot = {"id": BOT_ID, "deleted": False, "name": BOT.real_name, "updated": 0, "app_id": APP_ID, "user_id": BOT_USER}
    return {"bot": bot | {"icons": {}}}


def get_team(call: Call) -> Json:
    """Describe the workspace."""
    return {"team": directory.team_object(call.workspace)}


_SOCKETS = Tier(60)
"""Slack lists the method in tier 1, but lets apps reconnect; the sandbox allows one call a second."""
METHODS = (
    Method("auth.test", test_authentication, SPECIAL),
    Method("auth.teams.list", list_workspaces, TIER_2),
    Method("apps.connections.open", open_connection, _SOCKETS, ("connections:write",), caller="app"),
    Method("users.info", get_user, TIER_4, ("users:read",)),
    Method("users.list", list_users, TIER_2, ("users:read",)),
    Method("users.lookupByEmail", find_user_by_email, TIER_3, ("users:read.email",)),
    Method("usergroups.list", list_groups, TIER_2, ("usergroups:read",)),
    Method("usergroups.users.list", list_group_users, TIER_2, ("usergroups:read",)),
    Method("bots.info", get_bot, TIER_3, ("users:read",)),
    Method("team.info", get_team, TIER_3, ("team:read",)),
)
