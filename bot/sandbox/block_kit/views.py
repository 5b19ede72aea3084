"""Pure: views as Slack stores them: what is checked, and the fields that Slack adds."""

from __future__ import annotations

import secrets
from typing import Any

from bot.sandbox import limits
from bot.sandbox.block_kit.blocks import check_blocks
from bot.sandbox.state.model import APP_ID, BOT_ID, TEAM_ID, Json, View
from bot.sandbox.state.refusals import build_refusal


def check_view(view: Any, kind: str) -> Json:  # noqa: ANN401 - what the app sends
    """Return a view with checked blocks.

    Raises:
        RefusedCall: ``invalid_arguments``, ``invalid_blocks``.

    """
    if not isinstance(view, dict) or view.get("type") != kind:
        raise build_refusal("invalid_arguments", [f"must be a view of type {kind} [json-pointer:/view/type]"])
    if kind == "modal":
        _check_title(view)
    if len(view.get("private_metadata", "")) > limits.PRIVATE_METADATA:
        raise build_refusal("invalid_arguments", ["must be less than 3001 characters [json-pointer:/view]"])
    blocks = check_blocks(view.get("blocks"), most=limits.BLOCKS_PER_VIEW)
    if kind == "modal" and any(block["type"] == "input" for block in blocks) and not view.get("submit"):
        raise build_refusal("invalid_arguments", ["missing required field: submit [json-pointer:/view]"])
    return {**view, "blocks": blocks}


def _check_title(view: Json) -> None:
    title = view.get("title")
    if not isinstance(title, dict):
        raise build_refusal("invalid_arguments", ["missing required field: title [json-pointer:/view]"])
    for name in ("title", "submit", "close"):
        if len((view.get(name) or {}).get("text", "")) > limits.VIEW_TITLE:
            problem = f"must be less than {limits.VIEW_TITLE + 1} characters [json-pointer:/view/{name}/text]"
            raise build_refusal("invalid_arguments", [problem])


def build_view(view_id: str, user: str, content: Json, *, under: View | None = None) -> View:
    """Return a view with Slack's fields; ``under`` is the view that it lies on."""
    mark = f"{secrets.randbelow(10**10)}.{secrets.token_hex(4)}"
    body = content | {
        "id": view_id,
        "team_id": TEAM_ID,
        "app_id": APP_ID,
        "app_installed_team_id": TEAM_ID,
        "bot_id": BOT_ID,
        "hash": mark,
        "root_view_id": under.body["root_view_id"] if under is not None else view_id,
        "previous_view_id": under.id if under is not None else None,
        "state": {"values": {}},
        "private_metadata": content.get("private_metadata", ""),
        "callback_id": content.get("callback_id", ""),
        "external_id": content.get("external_id", ""),
    }
    return View(view_id, user, "home" if content["type"] == "home" else "modal", body, mark)


def new_view_id() -> str:
    """Return a new view id."""
    return f"V{secrets.token_hex(5).upper()}"
