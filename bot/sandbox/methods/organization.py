"""``auth.teams.list``, and the workspace that calls of an org-wide installation have to name.

Sources: https://docs.slack.dev/enterprise lists the methods that need ``team_id``. The refusal has the fields that a
report to slack-go quotes (issue 1157). None of this was seen on a real organization.
"""

from __future__ import annotations

from bot.sandbox.limits import TIER_2
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.state.model import TEAM_ID, Json, SlackPerson
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


METHODS = (Method("auth.teams.list", list_workspaces, TIER_2),)
