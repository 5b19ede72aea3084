"""``kvasir search``: show the passages that a question finds, as text or as JSON."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bot import logs
from bot.app import open_configured_library
from bot.cli.output import print_error, print_json, print_result
from bot.cli.standard_input import check_question, read_questions
from bot.config.settings import load_settings
from bot.errors import InvalidLine
from bot.messages.errors import describe_error
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Hit, SearchResult
from knowledge.library import Library

_QUOTE = 300


async def main(arguments: argparse.Namespace) -> int:
    """Search once, or once for each line of standard input."""
    settings = load_settings(os.environ, Path.cwd(), config=arguments.config)
    logs.configure_logging(secrets=settings.secrets, level=logs.WARNING)
    async with open_configured_library(settings) as library:
        if arguments.query == "-":
            return await _search_each_line(library, arguments.limit)
        found = await library.search(arguments.query, limit=arguments.limit, join=False)
        if arguments.json:
            print_json(search_json(found))
        else:
            print_result(search_text(found))
    return 0


async def _search_each_line(library: Library, limit: int) -> int:
    """Search for one question a line, in order, each as one flushed JSON line, which may hold an error."""
    failed = 0
    async for query in read_questions():
        try:
            print_json(search_json(await library.search(check_question(query), limit=limit, join=False)))
        except (InvalidLine, KnowledgeError) as error:
            print_json({"query": query, "error": describe_error(error), "hits": []})
            failed += 1
    if failed:
        print_error(f"{failed} line(s) could not be searched; the JSON has the reasons.")
    return 1 if failed else 0


def search_json(found: SearchResult) -> dict[str, object]:
    """Return a search's result in the shape that scripts rely on."""
    return {"query": found.query, "hits": [_hit_json(hit) for hit in found.hits], "seconds": round(found.seconds, 6)}


def _hit_json(hit: Hit) -> dict[str, object]:
    return {
        "source": hit.source,
        "document": hit.document,
        "title": hit.title,
        "heading": hit.heading,
        "url": hit.url,
        "text": hit.text,
        "score": round(hit.score, 6),
        "as_of": hit.synced_at.isoformat(),
    }


def search_text(found: SearchResult) -> str:
    """Return a search's result as text."""
    if not found.hits:
        return "Nothing was found. `kvasir status` shows the sources; `kvasir sync` reads them."
    lines: list[str] = []
    for n, hit in enumerate(found.hits, 1):
        path = " › ".join(part for part in (hit.title, hit.heading) if part)
        quote = " ".join(hit.text.split())
        origin = f"{hit.source}: {hit.document}, {hit.score:.2f}, as of {hit.synced_at:%Y-%m-%d}"
        lines += [f"{n}. {path}  ({origin})", f"   {quote[:_QUOTE]}"]
    if not found.answerable:
        lines.append("None of these seems to answer the question.")
    return "\n".join(lines)
