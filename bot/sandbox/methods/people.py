"""``auth.test``, ``users.*``, ``bots.info``, ``team.info``, ``apps.connections.open``."""

from __future__ import annotations

from bot.sandbox.limits import SPECIAL, TIER_1, TIER_2, TIER_3, TIER_4, Tier
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.state import wire
from bot.sandbox.state.model import APP_ID, BOT, BOT_ID, BOT_USER, TEAM_ID, TEAM_NAME, Json
from bot.sandbox.state.refusals import RefusedCall


def test_authentication(call: Call) -> Json:
    """Return whose token this is."""
    return {
        "url": f"{call.base_url}/",
        "team": TEAM_NAME,
        "user": BOT.name,
        "team_id": TEAM_ID,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def open_connection(call: Call) -> Json:
    """Return the address of a websocket for Socket Mode."""
    return {"url": call.new_socket_url()}


def get_user(call: Call) -> Json:
    """Describe a person."""
    user = wire.user_object(call.workspace.find_person(call.args.required_text("user", "user_not_found")))
    if not call.args.flag("include_locale"):
        del user["locale"]
    return {"user": user}


def list_users(call: Call) -> Json:
    """List all people."""
    people = [wire.user_object(person) for person in call.workspace.people.values()]
    return call.build_page(people, "members") | {"cache_ts": int(call.workspace.now())}


def get_bot(call: Call) -> Json:
    """Describe the app's bot."""
    if call.args.text("bot", BOT_ID) != BOT_ID:
        raise RefusedCall("bot_not_found")
    bot = {"id": BOT_ID, "deleted": False, "name": BOT.real_name, "updated": 0, "app_id": APP_ID, "user_id": BOT_USER}
    return {"bot": bot | {"icons": {}}}


def get_team(_call: Call) -> Json:
    """Describe the workspace."""
    return {"team": wire.team_object()}


_SOCKETS = Tier(TIER_1.calls * 60)
"""Slack lists the method in tier 1, but lets apps reconnect; the sandbox allows one call a second."""
METHODS = (
    Method("auth.test", test_authentication, SPECIAL),
    Method("apps.connections.open", open_connection, _SOCKETS, ("connections:write",), caller="app"),
    Method("users.info", get_user, TIER_4, ("users:read",)),
    Method("users.list", list_users, TIER_2, ("users:read",)),
    Method("bots.info", get_bot, TIER_3, ("users:read",)),
    Method("team.info", get_team, TIER_3, ("team:read",)),
)
