"""What a person does in the workspace, on the page or through the control API."""

from __future__ import annotations

import base64
from collections.abc import Callable

from bot.sandbox import limits
from bot.sandbox.http.uploads import Uploads
from bot.sandbox.hub import Hub
from bot.sandbox.interactions import Interactions
from bot.sandbox.state.model import Json
from bot.sandbox.state.refusals import RefusedCall

FindChannel = Callable[[Json], str]
"""Returns the id of the channel that a request names."""
PersonAction = Callable[[str, Json, FindChannel], Json | None]
"""Arguments: the person's id, the request, and how its channel is found. Returns the answer, if it has one."""


class PersonActions:
    """Acts as a person."""

    def __init__(self, hub: Hub, interactions: Interactions, uploads: Uploads) -> None:
        self._workspace = hub.workspace
        self._interactions = interactions
        self._uploads = uploads

    def list_actions(self) -> dict[str, PersonAction]:
        """Return the actions by their names in requests."""
        return {
            "say": self.say_text,
            "edit": self.edit_message,
            "delete": self.delete_message,
            "react": self.change_reaction,
            "command": self.run_command,
            "press": self.press_button,
            "submit": self.submit_view,
            "shortcut": self.run_shortcut,
            "close": self.close_view,
            "home": self.open_home,
            "stop": self.stop_session,
        }

    def say_text(self, person: str, body: Json, find_channel: FindChannel) -> Json:
        """Say ``text``, with ``files`` (name and base64 of each)."""
        room = find_channel(body)
        contents = [(str(file["name"]), base64.b64decode(file["base64"])) for file in body.get("files") or ()]
        if any(len(data) > limits.UPLOAD_BYTES for _, data in contents):
            raise RefusedCall("file_too_large")
        files = [self._uploads.store_file(name, data, person) for name, data in contents]
        message = self._workspace.say_text(person, room, body["text"], body.get("thread_ts"), files)
        return {"ts": message.ts, "channel": message.channel}

    def edit_message(self, person: str, body: Json, find_channel: FindChannel) -> Json:
        """Edit what the person said."""
        return {"ts": self._workspace.edit_message(person, find_channel(body), body["ts"], body["text"]).ts}

    def delete_message(self, person: str, body: Json, find_channel: FindChannel) -> None:
        """Delete what the person said."""
        self._workspace.delete_message(person, find_channel(body), body["ts"])

    def change_reaction(self, person: str, body: Json, find_channel: FindChannel) -> None:
        """React with ``name``; ``remove`` takes it back."""
        add = not body.get("remove", False)
        self._workspace.change_reaction(person, find_channel(body), body["ts"], body["name"], add=add)

    def run_command(self, person: str, body: Json, find_channel: FindChannel) -> None:
        """Type a slash command."""
        self._interactions.run_command(person, find_channel(body), body["text"])

    def press_button(self, person: str, body: Json, find_channel: FindChannel) -> None:
        """Press a button of the message ``channel``, ``ts``, or of the view ``view_id``."""
        if "view_id" in body:
            self._interactions.press_in_view(person, body["view_id"], body)
        else:
            self._interactions.press_button(person, find_channel(body), body["ts"], body)

    def submit_view(self, person: str, body: Json, _: FindChannel) -> None:
        """Submit the modal ``view_id`` with ``values``."""
        self._interactions.submit_view(person, body["view_id"], body["values"])

    def run_shortcut(self, person: str, body: Json, find_channel: FindChannel) -> None:
        """Run the shortcut ``callback_id``, of the message ``channel``, ``ts`` if that is given."""
        if "ts" in body:
            self._interactions.run_message_shortcut(person, body["callback_id"], find_channel(body), body["ts"])
        else:
            self._interactions.run_shortcut(person, body["callback_id"])

    def close_view(self, person: str, body: Json, _: FindChannel) -> None:
        """Close the modal ``view_id``."""
        self._interactions.close_view(person, body["view_id"])

    def open_home(self, person: str, body: Json, find_channel: FindChannel) -> Json:
        """Open the app's Home (or ``tab``) while looking at ``channel``; return what is published there."""
        looked_at = find_channel(body) if body.get("channel") else ""
        self._workspace.open_home(person, body.get("tab", "home"), looked_at)
        view = self._workspace.find_home(person)
        return {"view": view.body if view else None}

    def stop_session(self, person: str, body: Json, find_channel: FindChannel) -> None:
        """Press Stop under the thread ``thread_ts``."""
        self._workspace.stop_session(person, find_channel(body), body["thread_ts"])
