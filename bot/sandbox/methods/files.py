"""``files.*`` and ``canvases.*``: what the app uploads and writes."""

from __future__ import annotations

import secrets
from dataclasses import replace

from bot.sandbox.limits import TIER_2, TIER_3, TIER_4
from bot.sandbox.methods.call import Call, Method
from bot.sandbox.state.model import BOT_USER, AppFile, Json
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.workspace import Workspace, build_app_message

_MAX_CANVAS_CHARACTERS = 1_048_576
_LEVELS = {"read", "write"}


def _build_file_object(workspace: Workspace, file: AppFile, base_url: str) -> Json:
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


def _find_file(call: Call, file_id: str) -> AppFile:
    if (file := call.workspace.files.get(file_id)) is None:
        raise RefusedCall("file_not_found")
    return file


def new_file_id() -> str:
    """Return a new id of a file."""
    return f"F{secrets.token_hex(5).upper()}"


def save_file(workspace: Workspace, file: AppFile) -> AppFile:
    """Store a new or changed file."""
    workspace.files[file.id] = file
    workspace.changes.save_record(file)
    return file


def _delete_file(workspace: Workspace, file: AppFile) -> None:
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


def get_upload_url(call: Call) -> Json:
    """Return the address for the content of a new file."""
    name = call.args.required_text("filename")
    length = call.args.get_number("length", 0)
    if length <= 0:
        raise RefusedCall("invalid_arguments")
    file = save_file(call.workspace, AppFile(new_file_id(), name, length=length))
    return {"file_id": file.id, "upload_url": f"{call.base_url}/upload/v1/{file.id}"}


def complete_upload(call: Call) -> Json:
    """Share uploaded files in a conversation, as a message of the app."""
    entries = call.args.get_structure("files") or []
    if not isinstance(entries, list) or not entries:
        raise RefusedCall("invalid_arguments")
    room = call.check_posting(call.find_joined_channel("channel_id"))
    root = call.workspace.find_root(room.id, call.args.get_text("thread_ts"))
    objects = []
    for entry in entries:
        file = _find_file(call, str(entry.get("id")))
        if len(file.text.encode()) != file.length:
            raise RefusedCall("file_not_found")
        file = save_file(
            call.workspace,
            replace(file, title=str(entry.get("title") or file.name), channels=(*file.channels, room.id)),
        )
        objects.append(_build_file_object(call.workspace, file, call.base_url))
    message = build_app_message(room.id, call.workspace.next_ts(), call.args.get_text("initial_comment"))
    call.workspace.post_message(replace(message, thread_ts=root, files=objects))
    return {"files": objects}


def show_file(call: Call) -> Json:
    """Return a file's object."""
    file = _find_file(call, call.args.required_text("file"))
    return {"file": _build_file_object(call.workspace, file, call.base_url)}


def remove_file(call: Call) -> Json:
    """Delete a file of the app."""
    _delete_file(call.workspace, _find_file(call, call.args.required_text("file")))
    return {}


def create_canvas(call: Call) -> Json:
    """Create a canvas that only the app can read yet."""
    content = call.args.get_structure("document_content") or {}
    markdown = content.get("markdown", "")
    if content and (content.get("type") != "markdown" or not isinstance(markdown, str)):
        raise RefusedCall("invalid_arguments")
    if len(markdown) > _MAX_CANVAS_CHARACTERS:
        raise RefusedCall("canvas_creation_failed")
    title = call.args.get_text("title") or "Untitled"
    file = AppFile(new_file_id(), title, title, is_canvas=True, text=markdown, length=len(markdown.encode()))
    return {"canvas_id": save_file(call.workspace, file).id}


def set_canvas_access(call: Call) -> Json:
    """Let the members of channels, or people, read or write a canvas."""
    canvas = _find_canvas(call)
    if call.args.required_text("access_level") not in _LEVELS:
        raise RefusedCall("invalid_arguments")
    channels, users = (
        [one for one in call.args.get_text(name).split(",") if one] for name in ("channel_ids", "user_ids")
    )
    if bool(channels) == bool(users):
        raise RefusedCall("invalid_arguments")
    for channel in channels:
        if call.workspace.find_channel(channel).kind == "im":
            raise RefusedCall("channel_not_found")
    for user in users:
        call.workspace.find_person(user)
    save_file(call.workspace, replace(canvas, channels=(*canvas.channels, *channels), users=(*canvas.users, *users)))
    return {}


def remove_canvas(call: Call) -> Json:
    """Delete a canvas of the app."""
    _delete_file(call.workspace, _find_canvas(call))
    return {}


def _find_canvas(call: Call) -> AppFile:
    canvas = call.workspace.files.get(call.args.required_text("canvas_id"))
    if canvas is None or not canvas.is_canvas:
        raise RefusedCall("canvas_not_found")
    return canvas


METHODS = (
    Method("files.getUploadURLExternal", get_upload_url, TIER_4, ("files:write",)),
    Method("files.completeUploadExternal", complete_upload, TIER_4, ("files:write",)),
    Method("files.info", show_file, TIER_4, ("files:read",)),
    Method("files.delete", remove_file, TIER_3, ("files:write",)),
    Method("canvases.create", create_canvas, TIER_2, ("canvases:write",)),
    Method("canvases.access.set", set_canvas_access, TIER_3, ("canvases:write",)),
    Method("canvases.delete", remove_canvas, TIER_3, ("canvases:write",)),
)
