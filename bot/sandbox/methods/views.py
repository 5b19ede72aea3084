"""``views.*``: Home tabs and modals."""

from __future__ import annotations

import secrets
from typing import Any

from bot.sandbox import limits
from bot.sandbox.limits import TIER_4
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.state.blocks import check_blocks
from bot.sandbox.state.model import APP_ID, BOT_ID, TEAM_ID, Json, View
from bot.sandbox.state.refusals import RefusedCall, build_refusal
from bot.sandbox.state.workspace import new_view_id


def _read_view(call: Call, kind: str) -> Json:
    """Return the call's view after checking it.

    Raises:
        RefusedCall: ``invalid_arguments``, ``invalid_blocks``.

    """
    view: Any = call.args.structure("view", "invalid_arguments")
    if not isinstance(view, dict) or view.get("type") != kind:
        raise build_refusal("invalid_arguments", [f"must be a view of type {kind} [json-pointer:/view/type]"])
    if kind == "modal" and not isinstance(view.get("title"), dict):
        raise build_refusal("invalid_arguments", ["missing required field: title [json-pointer:/view]"])
    return {**view, "blocks": check_blocks(view.get("blocks"), most=limits.BLOCKS_PER_VIEW)}


def _build_view(view_id: str, user: str, content: Json) -> View:
    mark = f"{secrets.randbelow(10**10)}.{secrets.token_hex(4)}"
    body = content | {
        "id": view_id,
        "team_id": TEAM_ID,
        "app_id": APP_ID,
        "app_installed_team_id": TEAM_ID,
        "bot_id": BOT_ID,
        "hash": mark,
        "root_view_id": view_id,
        "previous_view_id": None,
        "state": {"values": {}},
        "private_metadata": content.get("private_metadata", ""),
        "callback_id": content.get("callback_id", ""),
        "external_id": content.get("external_id", ""),
    }
    return View(view_id, user, "home" if content["type"] == "home" else "modal", body, mark)


def publish_home(call: Call) -> Json:
    """Publish a person's Home tab."""
    user = call.workspace.find_person(call.args.required_text("user_id")).id
    content = _read_view(call, "home")
    before = call.workspace.find_home(user)
    _check_hash(call, before)
    view = _build_view(before.id if before else new_view_id(), user, content)
    call.workspace.set_view(view)
    return {"view": view.body}


def _check_hash(call: Call, before: View | None) -> None:
    expected_hash = call.args.optional_text("hash")
    if expected_hash and before and before.hash != expected_hash:
        raise RefusedCall("hash_conflict")


def open_modal(call: Call) -> Json:
    """Open a modal for the person behind the trigger."""
    trigger = call.args.required_text("trigger_id", "invalid_trigger_id")
    content = _read_view(call, "modal")
    user = call.take_trigger(trigger)
    if user is None:
        raise RefusedCall("expired_trigger_id")
    view = _build_view(new_view_id(), user, content)
    call.workspace.set_view(view)
    return {"view": view.body}


def update_view(call: Call) -> Json:
    """Replace a view."""
    view_id, external = call.args.text("view_id"), call.args.text("external_id")
    views = call.workspace.views.values()
    before = next((v for v in views if v.id == view_id or (external and v.body["external_id"] == external)), None)
    if before is None:
        raise RefusedCall("not_found")
    _check_hash(call, before)
    view = _build_view(before.id, before.user, _read_view(call, before.kind))
    call.workspace.set_view(view)
    return {"view": view.body}


METHODS = (
    Method("views.publish", publish_home, TIER_4),
    Method("views.open", open_modal, TIER_4),
    Method("views.update", update_view, TIER_4),
)
