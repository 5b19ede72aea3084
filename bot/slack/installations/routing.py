"""Finds out which installation of the app something from Slack is for. Pure.

Only one of several installations gets an event of a channel that companies share. ``authorizations`` names it, and the
outer ``team_id`` may be another company's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot.slack.incoming.events import get_object

Body = Mapping[str, Any]
_REMOVALS = {"app_uninstalled", "tokens_revoked"}


def list_installations(body: Body) -> tuple[str, ...]:
    """Return the ids of the workspaces and organizations that something may be for, the likeliest first.

    The end of an installation is for one alone: that of a workspace does not end the installation of its organization.
    """
    found = tuple(dict.fromkeys(one for one in _find_ids(body) if one))
    return found[:1] if get_object(body, "event").get("type") in _REMOVALS else found


def _find_ids(body: Body) -> Iterator[str]:
    authorizations = body.get("authorizations")
    for authorization in authorizations if isinstance(authorizations, list) else ():
        if isinstance(authorization, dict):
            yield from _order_ids(authorization, _get_id(authorization, "team_id"))
    view = get_object(body, "view")
    yield _get_id(view, "app_installed_team_id")
    # A button's message knows the workspace of its app, although a person of another one may press the button.
    of_message = _get_id(get_object(get_object(body, "message"), "bot_profile"), "team_id")
    if body.get("type") == "block_actions" and not _is_org_wide(body):
        yield of_message
    yield from _order_ids(body, _get_id(body, "team_id") or _get_id(get_object(body, "team"), "id"))
    yield of_message


def _order_ids(body: Body, team: str) -> tuple[str, str]:
    """Return the workspace and the organization, whichever the app is installed in first."""
    enterprise = _get_id(body, "enterprise_id") or _get_id(get_object(body, "enterprise"), "id")
    return (enterprise, team) if _is_org_wide(body) else (team, enterprise)


def _is_org_wide(body: Body) -> bool:
    return body.get("is_enterprise_install") in {True, "true"}


def _get_id(body: Body, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
