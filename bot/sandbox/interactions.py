"""Slash commands, buttons and modals of people, and the app's answers to a response_url."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bot.sandbox import limits
from bot.sandbox.block_kit.blocks import check_blocks
from bot.sandbox.block_kit.views import build_view, check_view, new_view_id
from bot.sandbox.delivery.outbox import Acknowledgement, DeliveryFailure
from bot.sandbox.hub import Hub
from bot.sandbox.state import wire
from bot.sandbox.state.model import BOT_USER, Json, SlackMessage, SlackPerson, Transport, View
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.streams import join_text
from bot.sandbox.state.workspace import INVITE_ACTION, build_app_message

APP_COMMANDS = ("/ask", "/kb", "/think")


@dataclass(frozen=True, slots=True)
class AppShortcut:
    """A shortcut of the installed app: in the menu of the message box (``global``), or in that of each message."""

    callback_id: str
    name: str
    kind: Literal["global", "message"]


APP_SHORTCUTS = (
    AppShortcut("ask_anything", "Ask Kvasir", "global"),
    AppShortcut("ask_about_message", "Ask Kvasir about this", "message"),
    AppShortcut("extract_values", "Extract, check or note", "message"),
)
_VALUE_FIELDS = {
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
"""Each type of element holds what a person entered in this field."""
_NOT_CONNECTED = ("dispatch_failed", "the app is not connected. Try again in a moment.")
_TIMEOUT = ("operation_timeout", "the app did not answer in time.")


@dataclass(slots=True)
class ResponseUrl:
    """An address where the app may answer for a limited time."""

    person: str
    channel: str
    thread_ts: str | None = None
    message: SlackMessage | None = None
    """``replace_original`` replaces this message, which has the pressed button."""
    ends: float = 0.0
    uses_left: int = limits.RESPONSE_URL_USES


class Interactions:
    """Commands, presses and submissions, and the answers to them."""

    def __init__(self, hub: Hub, base_url: str) -> None:
        self._hub = hub
        self._base_url = base_url
        self._urls: dict[str, ResponseUrl] = {}

    # ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def run_command(self, person: str, channel: str, text: str) -> None:
        """Run a person's slash command; the app answers later.

        Raises:
            RefusedCall: ``channel_not_found``, ``user_not_found``, ``not_in_channel``.

        """
        workspace = self._hub.workspace
        author, room = workspace.find_person(person), workspace.find_channel(channel)
        if author.id not in room.members:
            raise RefusedCall("not_in_channel")
        name, _, rest = text.strip().partition(" ")
        if name == "/invite":
            workspace.add_member(workspace.find_person(rest.strip() or BOT_USER).id, room.id, author.id)
        elif name == "/remove":
            workspace.remove_member(workspace.find_person(rest.strip()).id, room.id)
        elif name in APP_COMMANDS and author.team in workspace.own_teams():  # other companies do not have the app
            self._send_command(author, room.id, text)
        else:
            workspace.post_notice(author.id, room.id, f"`{name}` is not a command here. Try `/kb help`.")

    def _send_command(self, author: SlackPerson, channel: str, text: str) -> None:
        url = ResponseUrl(author.id, channel)
        payload = wire.command_payload(
            self._hub.workspace,
            self._hub.workspace.channels[channel],
            author,
            text,
            token=self._hub.credentials.verification_token,
            response_url=f"{self._base_url}/commands/{self._new_url(url)}",
            trigger_id=self._hub.new_trigger(author.id),
        )

        def post_answer(answer: Json) -> None:
            if answer:
                self.post_response(url, answer)

        self._send_payload(payload, payload["command"], url, post_answer, kind="slash_commands")

    # ── Shortcuts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def run_shortcut(self, person: str, callback_id: str, channel: str, ts: str | None) -> None:
        """Run the shortcut of a message, or with ``ts`` None a global one.

        Raises:
            RefusedCall: ``user_not_found``, ``shortcut_not_found``, ``message_not_found``.

        """
        workspace = self._hub.workspace
        author = workspace.find_person(person)
        kind = "global" if ts is None else "message"
        exists = any(one.callback_id == callback_id and one.kind == kind for one in APP_SHORTCUTS)
        if not exists or author.team not in workspace.own_teams():  # other companies do not have the app
            raise RefusedCall("shortcut_not_found")
        payload: Json = {"callback_id": callback_id, "action_ts": workspace.next_ts()}
        if ts is None:
            payload |= self._build_payload("shortcut", author)
            self._send_payload(payload, "The shortcut", self._create_home_url(author))
            return
        room = workspace.find_channel(channel)
        message = workspace.find_message(room.id, ts)
        if message is None or author.id not in room.members:
            raise RefusedCall("message_not_found")
        url = ResponseUrl(author.id, room.id, message.thread_ts)
        payload |= self._build_payload("message_action", author) | self._describe_message(message, url)
        self._send_payload(payload | {"message_ts": message.ts}, "The shortcut", url)

    # ── Buttons ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def press_button(self, person: str, channel: str, action: Json) -> None:
        """Press a button. ``action`` has ``action_id``, ``block_id``, the element's values, and ``ts`` or ``view_id``.

        Raises:
            RefusedCall: ``message_not_found``, ``not_found``, ``user_not_found``, ``action_not_found``.

        """
        if "view_id" in action:
            self._press_in_view(person, action)
            return
        workspace = self._hub.workspace
        author, room = workspace.find_person(person), workspace.find_channel(channel)
        ts = action["ts"]
        message = workspace.find_message(room.id, ts) or workspace.ephemerals.get((room.id, ts))
        if message is None:
            raise RefusedCall("message_not_found")
        if action.get("action_id") == INVITE_ACTION:
            workspace.add_member(BOT_USER, room.id, author.id)
            workspace.hide_ephemeral(message)
        else:
            self._send_press(author, message, _build_action(message.blocks, action, workspace.next_ts()))

    def _send_press(self, author: SlackPerson, message: SlackMessage, action: Json) -> None:
        url = ResponseUrl(author.id, message.channel, message.thread_ts, message)
        payload = self._build_payload("block_actions", author) | self._describe_message(message, url)
        payload |= {
            "container": {
                "type": "message",
                "message_ts": message.ts,
                "channel_id": message.channel,
                "is_ephemeral": message.ephemeral_to is not None,
            }
            | ({"thread_ts": message.thread_ts} if message.thread_ts else {}),
            "state": {"values": {}},
            "actions": [action],
        }
        self._send_payload(payload, "The button", url)

    def _describe_message(self, message: SlackMessage, url: ResponseUrl) -> Json:
        room = self._hub.workspace.channels[message.channel]
        return {
            "channel": {"id": room.id, "name": room.name or "directmessage"},
            "message": wire.message_object(self._hub.workspace, message),
            "response_url": f"{self._base_url}/actions/{self._new_url(url)}",
        }

    def _press_in_view(self, person: str, action: Json) -> None:
        author, view = self._hub.workspace.find_person(person), self._find_view(action["view_id"])
        payload = self._build_payload("block_actions", author) | {
            "container": {"type": "view", "view_id": view.id},
            "view": view.body | {"state": {"values": action.get("values") or {}}},
            "actions": [_build_action(view.body["blocks"], action, self._hub.workspace.next_ts())],
        }
        self._send_payload(payload, "The button", self._create_home_url(author))

    def submit_view(self, person: str, view_id: str, values: Mapping[str, Json]) -> None:
        """Submit a modal.

        Raises:
            RefusedCall: ``not_found``.

        """
        author, view = self._hub.workspace.find_person(person), self._find_view(view_id)
        payload = self._build_payload("view_submission", author) | {
            "view": view.body | {"state": {"values": values}},
            "response_urls": [],
        }
        apply_answer = functools.partial(self._apply_submission, view)
        self._send_payload(payload, "The form", self._create_home_url(author), apply_answer)

    def _apply_submission(self, view: View, answer: Json) -> None:
        """Apply the app's answer to a submission: show errors, show another view, or close."""
        match answer.get("response_action"):
            case "errors":
                self._hub.workspace.set_view(replace(view, body=view.body | {"errors": answer.get("errors", {})}))
            case "update" | "push" as action if isinstance(answer.get("view"), dict):
                content = check_view(answer["view"], "modal")
                place = view.id if action == "update" else new_view_id()
                under = (
                    self._hub.workspace.views.get(view.body["previous_view_id"] or "") if action == "update" else view
                )
                self._hub.workspace.set_view(build_view(place, view.user, content, under=under))
            case "clear":
                for modal in self._hub.workspace.list_modals(view.user):
                    self._hub.workspace.close_view(modal)
            case _:
                self._hub.workspace.close_view(view)

    def close_view(self, person: str, view_id: str) -> None:
        """Close a modal; send the app an event if the view has ``notify_on_close``."""
        author, view = self._hub.workspace.find_person(person), self._find_view(view_id)
        self._hub.workspace.close_view(view)
        if view.body.get("notify_on_close"):
            payload = self._build_payload("view_closed", author) | {"view": view.body, "is_cleared": False}
            self._send_payload(payload, "The form", self._create_home_url(author))

    def _find_view(self, view_id: str) -> View:
        view = self._hub.workspace.views.get(view_id)
        if view is None:
            raise RefusedCall("not_found")
        return view

    def _create_home_url(self, author: SlackPerson) -> ResponseUrl:
        room = self._hub.workspace.find_direct_channel((author.id, BOT_USER))
        return ResponseUrl(author.id, room.id if room else "")

    def _build_payload(self, kind: str, author: SlackPerson) -> Json:
        token, trigger = self._hub.credentials.verification_token, self._hub.new_trigger(author.id)
        return wire.interaction_payload(self._hub.workspace, kind, author, token=token, trigger_id=trigger)

    def _send_payload(
        self,
        payload: Json,
        name: str,
        url: ResponseUrl,
        handle_answer: Callable[[Json], None] = lambda _answer: None,
        *,
        kind: Transport = "interactive",
    ) -> None:
        """Send the app a payload; show Slack's error about ``name`` to the person if it does not acknowledge it."""

        async def handle_outcome(outcome: Acknowledgement | DeliveryFailure | None) -> None:
            if isinstance(outcome, Acknowledgement):
                handle_answer(outcome.payload or {})
            else:
                error, reason = _TIMEOUT if outcome else _NOT_CONNECTED
                words = f"`{name}` failed with the error `{error}`: {reason}"
                self._hub.workspace.post_notice(url.person, url.channel, words, thread_ts=url.thread_ts)
            await self._hub.settle_and_store()

        self._hub.outbox.send_once(kind, payload, handle_outcome)

    # ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _new_url(self, url: ResponseUrl) -> str:
        now = self._hub.clock.now()
        self._urls = {token: entry for token, entry in self._urls.items() if entry.ends >= now}
        url.ends = now + limits.RESPONSE_URL_LIFETIME_S
        token = secrets.token_urlsafe(24)
        self._urls[token] = url
        return token

    def take_url(self, token: str) -> ResponseUrl:
        """Return the response URL of a token, and count the use.

        Raises:
            RefusedCall: ``expired_url``, ``used_url``.

        """
        url = self._urls.get(token)
        if url is None or url.ends < self._hub.clock.now():
            raise RefusedCall("expired_url")
        if url.uses_left == 0:
            raise RefusedCall("used_url")
        url.uses_left -= 1
        return url

    def post_response(self, url: ResponseUrl, answer: Json) -> None:
        """Post the app's answer: to the one person, to all with ``in_channel``, or in place of the original.

        Raises:
            RefusedCall: ``no_text``, ``invalid_blocks``, ``thread_not_found``.

        """
        workspace = self._hub.workspace
        if answer.get("delete_original") and url.message:
            self._delete_message(url.message)
            return
        blocks = check_blocks(answer["blocks"]) if answer.get("blocks") else []
        text = str(answer.get("text") or join_text(blocks))
        if not text.strip() and not blocks:
            raise RefusedCall("no_text")
        if answer.get("replace_original") and url.message:
            url.message = workspace.replace_message(url.message, replace(url.message, text=text, blocks=blocks))
            return
        root = workspace.find_root(url.channel, answer.get("thread_ts") or url.thread_ts)
        message = replace(build_app_message(url.channel, workspace.next_ts(), text, blocks), thread_ts=root)
        if answer.get("response_type") == "in_channel":
            workspace.post_message(message)
        else:
            workspace.post_ephemeral(replace(message, ephemeral_to=url.person))

    def _delete_message(self, message: SlackMessage) -> None:
        if message.ephemeral_to:
            self._hub.workspace.hide_ephemeral(message)
        else:
            self._hub.workspace.delete_message(message.user, message.channel, message.ts)


def _build_action(blocks: object, action: Json, ts: str) -> Json:
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
    if (field := _VALUE_FIELDS.get(element["type"])) is not None:
        return entry | {field: action.get(field)}
    return entry | {name: element[name] for name in ("text", "value", "style", "url") if name in element}
