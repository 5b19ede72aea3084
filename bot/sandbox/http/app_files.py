"""Takes the content of the app's files, and shows its files and canvases to people."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from bot.sandbox.http.documents import render_markdown
from bot.sandbox.hub import Hub
from bot.sandbox.state.files import save_file
from bot.sandbox.state.model import AppFile


class AppFiles:
    """The addresses of the app's files."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [web.post("/upload/v1/{id}", self.store_upload), web.get("/docs/{id}", self.show_file)]

    def _find_file(self, request: web.Request) -> AppFile | None:
        return self._hub.workspace.files.get(request.match_info["id"])

    async def store_upload(self, request: web.Request) -> web.Response:
        """Store the content of a file."""
        data = await request.read()
        file = self._find_file(request)
        if file is None or file.channels or len(data) != file.length:
            return web.Response(status=400, text="The size is not the one that was announced.")
        save_file(self._hub.workspace, replace(file, text=data.decode("utf-8", errors="replace")))
        await self._hub.settle_and_store()
        return web.Response(text=f"OK - {len(data)}")

    async def show_file(self, request: web.Request) -> web.Response:
        """Show a canvas or a Markdown file as a page, and any other file as text."""
        file = self._find_file(request)
        if file is None:
            return web.Response(status=404, text="There is no such file.")
        if file.is_canvas or file.name.endswith(".md"):
            heading = f"# {file.title}\n\n" if file.is_canvas else ""
            page = render_markdown(file.title, heading + file.text)
            return web.Response(text=page, content_type="text/html", charset="utf-8")
        return web.Response(text=file.text, content_type="text/plain", charset="utf-8")
