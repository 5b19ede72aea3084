"""Files that people attach to messages, for the app with its token; and files of the app, for people."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from bot.sandbox.http.documents import render_markdown
from bot.sandbox.hub import Hub
from bot.sandbox.methods.files import new_file_id, save_file
from bot.sandbox.state.model import Json
from bot.sandbox.state.refusals import RefusedCall

_ID = re.compile(r"F[0-9A-F]{10}")


class Uploads:
    """The files of a workspace; messages hold https://docs.slack.dev/reference/objects/file-object."""

    def __init__(self, hub: Hub, folder: Path, base_url: str) -> None:
        self._hub = hub
        self._folder = folder
        self._base_url = base_url

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.get("/files-pri/{team}-{id}/download/{name}", self.serve_file),
            web.post("/upload/v1/{id}", self.store_upload),
            web.get("/docs/{id}", self.show_file),
        ]

    def store_file(self, name: str, data: bytes, user: str) -> Json:
        """Store a file and return its Slack file object."""
        file_id = new_file_id()
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / file_id).write_bytes(data)
        url = f"{self._base_url}/files-pri/T-{file_id}/download/{quote(name, safe='')}"
        return {
            "id": file_id,
            "name": name,
            "title": name,
            "mimetype": mimetypes.guess_type(name)[0] or "application/octet-stream",
            "filetype": name.rpartition(".")[2].lower(),
            "user": user,
            "size": len(data),
            "mode": "hosted",
            "is_external": False,
            "url_private": url.replace("/download/", "/"),
            "url_private_download": url,
            "created": int(self._hub.workspace.now()),
        }

    async def serve_file(self, request: web.Request) -> web.StreamResponse:
        """Serve a file to the app; without the right to it, redirect to the sign-in page, as Slack does."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            is_app = self._hub.is_bot_token(token)
        except RefusedCall:
            is_app = False
        if not is_app or "files:read" not in self._hub.scopes:
            return web.Response(status=302, headers={"Location": f"{self._base_url}/?redir=files"})
        path = self._folder / request.match_info["id"]
        if not _ID.fullmatch(path.name) or not path.is_file():
            return web.Response(status=404, text="There is no such file.")
        return web.Response(body=await asyncio.to_thread(path.read_bytes), content_type="application/octet-stream")

    async def store_upload(self, request: web.Request) -> web.Response:
        """Store the content of a file of the app."""
        data = await request.read()
        file = self._hub.workspace.files.get(request.match_info["id"])
        if file is None or file.channels or len(data) != file.length:
            return web.Response(status=400, text="The size is not the one that was announced.")
        save_file(self._hub.workspace, replace(file, text=data.decode("utf-8", errors="replace")))
        await self._hub.settle_and_store()
        return web.Response(text=f"OK - {len(data)}")

    async def show_file(self, request: web.Request) -> web.Response:
        """Show a canvas or a Markdown file as a page, and any other file as text."""
        file = self._hub.workspace.files.get(request.match_info["id"])
        if file is None:
            return web.Response(status=404, text="There is no such file.")
        if file.is_canvas or file.name.endswith(".md"):
            heading = f"# {file.title}\n\n" if file.is_canvas else ""
            page = render_markdown(file.title, heading + file.text)
            return web.Response(text=page, content_type="text/html", charset="utf-8")
        return web.Response(text=file.text, content_type="text/plain", charset="utf-8")
