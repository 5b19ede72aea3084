"""``auth.test``, ``users.*``, ``bots.info``, ``team.info``, ``apps.connections.open``."""

from __future__ import annotations

from bot.sandbox.limits import SPECIAL, TIER_1, TIER_2, TIER_3, TIER_4, Tier
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.state import wire
from bot.sandbox.state.model import APP_ID, BOT, BOT_ID, BOT_USER, TEAM_ID, TEAM_NAME, Json
from bot.sandbox.state.refusals import Refused


def auth_test(call: Call) -> Json:
    """Say whose token this is."""
    return {
        "url": f"{call.base_url}/",
        "team": TEAM_NAME,
        "user": BOT.name,
        "team_id": TEAM_ID,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def connections_open(call: Call) -> Json:
    """Return the address of a websocket for Socket Mode."""
    return {"url": call.new_socket_url()}


def user_info(call: Call) -> Json:
    """Describe somebody."""
    return {"user": wire.user(call.workspace.person(call.args.required("user", "user_not_found")))}


def user_list(call: Call) -> Json:
    """List everybody."""
    people = [wire.user(person) for person in call.workspace.people.values()]
    return call.page(people, "members") | {"cache_ts": int(call.workspace.now())}


def bot_info(call: Call) -> Json:
    """Describe the app's bot."""
    if call.args.text("bot", BOT_ID) != BOT_ID:
        raise Refused("bot_not_found")
    bot = {"id": BOT_ID, "deleted": False, "name": BOT.real_name, "updated": 0, "app_id": APP_ID, "user_id": BOT_USER}
    return {"bot": bot | {"icons": {}}}


def team_info(_call: Call) -> Json:
    """Describe the workspace."""
    return {"team": wire.team()}


_SOCKETS = Tier(TIER_1.calls * 60)
"""Slack gives this method tier 1 and lets an app reconnect all the same; a call a second is let pass."""
METHODS = (
    Method("auth.test", auth_test, SPECIAL),
    Method("apps.connections.open", connections_open, _SOCKETS, ("connections:write",), caller="app"),
    Method("users.info", user_info, TIER_4, ("users:read",)),
    Method("users.list", user_list, TIER_2, ("users:read",)),
    Method("bots.info", bot_info, TIER_3, ("users:read",)),
    Method("team.info", team_info, TIER_3, ("team:read",)),
)
