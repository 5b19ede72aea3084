"""Finds out which installation of the app something from Slack is for. Pure.

Only one of several installations gets an event of a channel that companies share. ``authorizations`` names it, and the
outer ``team_id`` may be another company's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bot.slack.wire.events import find_mentioned_users, get_object, get_text

Body = Mapping[str, Any]


class SharedMessage(NamedTuple):
    """A message in a channel of several companies."""

    channel: str
    thread_ts: str
    mentioned: frozenset[str]


_REMOVALS = {"app_uninstalled", "tokens_revoked"}


def list_installations(body: Body) -> tuple[str, ...]:
    """Return the ids of the workspaces and organizations that something may be for, the likeliest first.

    The end of an installation is for one alone: that of a workspace does not end the installation of its organization.
    """
    found = tuple(dict.fromkeys(one for one in _find_ids(body) if one))
    return found[:1] if get_object(body, "event").get("type") in _REMOVALS else found


def read_shared_message(body: Body) -> SharedMessage | None:
    """Return what an event says about a message in a channel that companies share, None for every other event.

    Slack sends it once, although several of them may have the app, and names any one of these.
    """
    event = get_object(body, "event")
    if body.get("is_ext_shared_channel") is not True or event.get("type") not in {"message", "app_mention"}:
        return None
    message = get_object(event, "message") or get_object(event, "previous_message") or event
    thread_ts = get_text(message, "thread_ts") or get_text(message, "ts")
    return SharedMessage(get_text(event, "channel"), thread_ts, find_mentioned_users(get_text(message, "text")))


def _find_ids(body: Body) -> Iterator[str]:
    authorizations = body.get("authorizations")
    for authorization in authorizations if isinstance(authorizations, list) else ():
        if isinstance(authorization, dict):
            yield from _order_ids(authorization, get_text(authorization, "team_id"))
    view = get_object(body, "view")
    yield get_text(view, "app_installed_team_id")
    # A button's message knows the workspace of its app, although a person of another one may press the button.
    of_message = get_text(get_object(get_object(body, "message"), "bot_profile"), "team_id")
    if body.get("type") == "block_actions" and not _is_org_wide(body):
        yield of_message
    yield from _order_ids(body, get_text(body, "team_id") or get_text(get_object(body, "team"), "id"))
    yield of_message


def _order_ids(body: Body, team: str) -> tuple[str, str]:
    """Return the workspace and the organization, whichever the app is installed in first."""
    enterprise = get_text(body, "enterprise_id") or get_text(get_object(body, "enterprise"), "id")
    return (enterprise, team) if _is_org_wide(body) else (team, enterprise)


def _is_org_wide(body: Body) -> bool:
    return body.get("is_enterprise_install") in {True, "true"}
