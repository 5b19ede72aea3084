"""Serve the documents behind citations, so that links in answers open on this machine."""

from __future__ import annotations

import asyncio
import html
import itertools
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from markdown_it import MarkdownIt
from markdown_it.token import Token

from knowledge.parsing.formats.markdown import HeadingAnchors

_MAX_BYTES = 20 * 1024 * 1024
_MARKDOWN = {".md", ".markdown"}
_PLAIN = {".txt", ".csv", ".tsv", ".html", ".htm", ".rst", ".adoc"}
"""HTML is shown as its source, so that a document's scripts do not run on this page's origin."""
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<title>{title}</title><link rel="stylesheet" href="/page/document.css"><main>{body}</main></html>'
)


class DocumentPages:
    """Serves the files of named folders, but no hidden files and nothing outside."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = {name: folder.resolve() for name, folder in folders.items()}

    def list_routes(self) -> list[web.RouteDef]:
        """Return the one route."""
        return [web.get("/files/{source}/{path:.+}", self.show_document)]

    async def show_document(self, request: web.Request) -> web.StreamResponse:
        """Return a document: Markdown as a page, other text as text, PDF unchanged, the rest as a download."""
        path = self.find_file(request.match_info["source"], request.match_info["path"])
        if path is None:
            return web.Response(status=404, text="There is no such document.")
        kind = path.suffix.lower()
        if kind in _MARKDOWN:
            text = await asyncio.to_thread(path.read_text, "utf-8", errors="replace")
            page = await asyncio.to_thread(render_markdown, path.name, text)
            return web.Response(text=page, content_type="text/html", charset="utf-8")
        data = await asyncio.to_thread(path.read_bytes)
        if kind in _PLAIN:
            return web.Response(text=data.decode("utf-8", errors="replace"), content_type="text/plain", charset="utf-8")
        if kind == ".pdf":
            return web.Response(body=data, content_type="application/pdf")
        return web.Response(
            body=data, content_type="application/octet-stream", headers={"Content-Disposition": "attachment"}
        )

    def find_file(self, source: str, path: str) -> Path | None:
        """Return the file; None if it is outside the folder, hidden, or too large to show."""
        folder = self._folders.get(source)
        if folder is None or "\0" in path or any(part.startswith(".") for part in path.split("/")):
            return None
        try:
            found = (folder / path).resolve()
            if found.is_relative_to(folder) and found.is_file() and found.stat().st_size <= _MAX_BYTES:
                return found
        except OSError:
            pass
        return None


def render_markdown(name: str, text: str) -> str:
    """Return Markdown as an HTML page: raw HTML is shown as text, and headings have the anchors of citations."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").enable("strikethrough")
    tokens = parser.parse(_remove_front_matter(text))
    _add_anchors(tokens)
    return _PAGE.format(title=html.escape(name), body=parser.renderer.render(tokens, parser.options, {}))


def _add_anchors(tokens: list[Token]) -> None:
    anchors = HeadingAnchors()
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            words = [part.content for part in inline.children or () if part.type in {"text", "code_inline"}]
            opening.attrSet("id", anchors.make_anchor("".join(words)))


def _remove_front_matter(text: str) -> str:
    if text.startswith("---\n") and (end := text.find("\n---\n", 4)) > 0:
        return text[end + 5 :]
    return text
