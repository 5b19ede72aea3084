"""``views.*``: Home tabs and modals."""

from __future__ import annotations

from bot.sandbox import limits
from bot.sandbox.block_kit.views import build_view, check_view, new_view_id
from bot.sandbox.limits import TIER_4
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.state.model import Json, View
from bot.sandbox.state.refusals import RefusedCall


def _read_view(call: Call, kind: str) -> Json:
    return check_view(call.args.get_structure("view"), kind)


def publish_home(call: Call) -> Json:
    """Publish a person's Home tab."""
    user = call.workspace.find_person(call.args.required_text("user_id")).id
    content = _read_view(call, "home")
    before = call.workspace.find_home(user)
    _check_hash(call, before)
    return _set_view(call, build_view(before.id if before else new_view_id(), user, content))


def _set_view(call: Call, view: View) -> Json:
    call.workspace.set_view(view)
    return {"view": view.body}


def _check_hash(call: Call, before: View | None) -> None:
    expected_hash = call.args.get_text("hash")
    if expected_hash and before and before.hash != expected_hash:
        raise RefusedCall("hash_conflict")


def _read_modal(call: Call) -> tuple[str, Json]:
    """Return the person behind the trigger, and the modal's content."""
    trigger = call.args.required_text("trigger_id", "invalid_trigger_id")
    content = _read_view(call, "modal")
    user = call.take_trigger(trigger)
    if user is None:
        raise RefusedCall("expired_trigger_id")
    return user, content


def open_modal(call: Call) -> Json:
    """Open a modal for the person behind the trigger."""
    user, content = _read_modal(call)
    return _set_view(call, build_view(new_view_id(), user, content))


def push_modal(call: Call) -> Json:
    """Lay a modal on the one that the trigger's person has open."""
    user, content = _read_modal(call)
    stack = call.workspace.list_modals(user)
    if not stack:
        raise RefusedCall("view_not_found")
    if len(stack) >= limits.VIEWS_PER_STACK:
        raise RefusedCall("push_limit_reached")
    return _set_view(call, build_view(new_view_id(), user, content, under=stack[-1]))


def update_view(call: Call) -> Json:
    """Replace a view."""
    view_id, external = call.args.get_text("view_id"), call.args.get_text("external_id")
    views = call.workspace.views.values()
    before = next((v for v in views if v.id == view_id or (external and v.body["external_id"] == external)), None)
    if before is None:
        raise RefusedCall("not_found")
    _check_hash(call, before)
    under = call.workspace.views.get(before.body["previous_view_id"] or "")
    return _set_view(call, build_view(before.id, before.user, _read_view(call, before.kind), under=under))


METHODS = (
    Method("views.publish", publish_home, TIER_4),
    Method("views.open", open_modal, TIER_4),
    Method("views.push", push_modal, TIER_4),
    Method("views.update", update_view, TIER_4),
)
