"""The files and canvases of the app: created, shared and deleted through the Web API."""

from __future__ import annotations

from dataclasses import replace

from bot.sandbox.state.model import BOT_USER, AppFile, Json
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.workspace import Workspace


def build_file_object(workspace: Workspace, file: AppFile, base_url: str) -> Json:
    """Return Slack's object of a file; https://docs.slack.dev/reference/objects/file-object."""
    address = f"{base_url}/docs/{file.id}"
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title or file.name,
        "mimetype": "application/vnd.slack-docs" if file.is_canvas else "text/plain",
        "filetype": "quip" if file.is_canvas else file.name.rpartition(".")[2].lower(),
        "user": BOT_USER,
        "size": len(file.text.encode()),
        "mode": "quip" if file.is_canvas else "snippet",
        "is_external": False,
        "permalink": address,
        "url_private": address,
        "url_private_download": address,
        "channels": list(file.channels),
        "created": int(workspace.now()),
    }


def find_file(workspace: Workspace, file_id: str, otherwise: str) -> AppFile:
    """Return a file of the app.

    Raises:
        RefusedCall: ``otherwise``.

    """
    if (file := workspace.files.get(file_id)) is None:
        raise RefusedCall(otherwise)
    return file


def save_file(workspace: Workspace, file: AppFile) -> AppFile:
    """Store a new or changed file."""
    workspace.files[file.id] = file
    workspace.changes.save_record(file)
    return file


def delete_file(workspace: Workspace, file: AppFile) -> None:
    """Delete a file; a message that has nothing else goes with it."""
    del workspace.files[file.id]
    workspace.changes.delete_record(file)
    for channel in file.channels:
        for message in list(workspace.messages.get(channel, {}).values()):
            remaining = [one for one in message.files if one["id"] != file.id]
            if len(remaining) == len(message.files):
                continue
            if remaining or message.text:
                workspace.replace_message(message, replace(message, files=remaining))
            else:
                workspace.delete_message(BOT_USER, message.channel, message.ts)
