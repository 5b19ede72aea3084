"""Pure: what a person enters into the elements of a view, and the action that a press sends, as Slack words them."""

from __future__ import annotations

from typing import Final

from bot.sandbox.state.model import Json
from bot.sandbox.state.refusals import RefusedCall

VALUE_FIELDS: Final = {
    "plain_text_input": "value",
    "number_input": "value",
    "static_select": "selected_option",
    "radio_buttons": "selected_option",
    "overflow": "selected_option",
    "multi_static_select": "selected_options",
    "checkboxes": "selected_options",
    "users_select": "selected_user",
    "multi_users_select": "selected_users",
    "conversations_select": "selected_conversation",
    "multi_conversations_select": "selected_conversations",
    "channels_select": "selected_channel",
    "datepicker": "selected_date",
}
"""The field that holds what a person entered, for each type of element."""


def build_action(blocks: object, action: Json, ts: str) -> Json:
    """Return the ``actions`` entry of a press, with the element's values, as Slack sends it.

    Raises:
        RefusedCall: ``action_not_found`` if the blocks have no such element.

    """
    for block in blocks if isinstance(blocks, list | tuple) else ():
        parts = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        for element in (part for part in parts if isinstance(part, dict)):
            same_id = element.get("action_id") == action["action_id"]
            if same_id and action.get("block_id") in {None, block.get("block_id")}:
                return _build_entry(element, action) | {"block_id": block.get("block_id"), "action_ts": ts}
    raise RefusedCall("action_not_found")


def _build_entry(element: Json, action: Json) -> Json:
    entry: Json = {"type": element["type"], "action_id": element["action_id"]}
    if element["type"] == "feedback_buttons":
        button = element.get(f"{action.get('value', 'positive')}_button") or {}
        return entry | {"value": button.get("value", action.get("value", "")), "text": button.get("text")}
    if (field := VALUE_FIELDS.get(element["type"])) is not None:
        return entry | {field: action.get(field)}
    return entry | {name: element[name] for name in ("text", "value", "style", "url") if name in element}
