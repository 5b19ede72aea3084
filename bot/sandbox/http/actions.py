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

PersonAction = Callable[[str, Json, str], Json | None]
"""Takes a person's id, a request, and the id of the channel that the request names ("" for none)."""


class PersonActions:
    """Acts as a person."""

    def __init__(self, hub: Hub, interactions: Interactions, uploads: Uploads) -> None:
        self._workspace = hub.workspace
        self._interactions = interactions
        self._uploads = uploads

    def list_actions(self) -> dict[str, PersonAction]:
        """Return the actions by their names in requests."""
        workspace, interactions = self._workspace, self._interactions
        return {
            "say": self.say_text,
            "edit": lambda person, body, room: {
                "ts": workspace.edit_message(person, room, body["ts"], body["text"]).ts
            },
            "delete": lambda person, body, room: workspace.delete_message(person, room, body["ts"]),
            "react": lambda person, body, room: workspace.change_reaction(
                person, room, body["ts"], body["name"], add=not body.get("remove", False)
            ),
            "command": lambda person, body, room: interactions.run_command(person, room, body["text"]),
            "press": lambda person, body, room: interactions.press_button(person, room, body),
            "submit": lambda person, body, _room: interactions.submit_view(person, body["view_id"], body["values"]),
            "shortcut": lambda person, body, room: interactions.run_shortcut(
                person, body["callback_id"], room, body.get("ts")
            ),
            "close": lambda person, body, _room: interactions.close_view(person, body["view_id"]),
            "home": self.open_home,
            "stop": lambda person, body, room: workspace.stop_session(person, room, body["thread_ts"]),
        }

    def say_text(self, person: str, body: Json, room: str) -> Json:
        """Say ``text``, with ``files`` (name and base64 of each)."""
        contents = [(str(file["name"]), base64.b64decode(file["base64"])) for file in body.get("files") or ()]
        if any(len(data) > limits.UPLOAD_BYTES for _, data in contents):
            raise RefusedCall("file_too_large")
        files = [self._uploads.store_file(name, data, person) for name, data in contents]
        message = self._workspace.say_text(person, room, body["text"], body.get("thread_ts"), files)
        return {"ts": message.ts, "channel": message.channel}

    def open_home(self, person: str, body: Json, looked_at: str) -> Json:
        """Open the app's Home (or ``tab``) while looking at ``channel``; return what is published there."""
        self._workspace.open_home(person, body.get("tab", "home"), looked_at)
        view = self._workspace.find_home(person)
        return {"view": view.body if view else None}
