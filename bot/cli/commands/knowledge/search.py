"""``kvasir search``: show the passages that a question finds, as text or as JSON."""

from __future__ import annotations

import argparse

from bot.answering.outgoing import release_text
from bot.cli.command_settings import load_command_settings
from bot.cli.people import find_person
from bot.cli.standard_input import answer_each_line, decode_line, parse_question
from bot.library_opening import open_configured_library
from bot.messages.errors import describe_error
from bot.terminal.output import print_note, print_outcome
from knowledge.interfaces import ANY_MEMBER, Hit, SearchResult
from knowledge.tables import describe_tables

_QUOTE = 300


async def main(arguments: argparse.Namespace) -> int:
    """Search once, or once for each line of standard input."""
    settings = load_command_settings(arguments)
    async with open_configured_library(settings) as library:

        async def search(query: str) -> SearchResult:
            viewers = ANY_MEMBER
            if arguments.person is not None:
                viewers = (await find_person(settings, library.identities, arguments.person)).viewers
            return await library.search(query, limit=arguments.limit, viewers=viewers, join=False)

        if arguments.query == "-":

            async def answer_line(line: bytes) -> dict[str, object]:
                return search_json(await search(parse_question(line)))

            return await answer_each_line(answer_line, lambda line: {"query": decode_line(line), "hits": []})
        found = await search(arguments.query)
        if found.trouble is not None:
            print_note(describe_error(found.trouble))
        print_outcome(search_json(found), search_text(found), json=arguments.json)
    return 0


def search_json(found: SearchResult) -> dict[str, object]:
    """Return a search's result in the shape that scripts rely on."""
    return {"query": found.query, "hits": [_hit_json(hit) for hit in found.hits], "seconds": round(found.seconds, 6)}


def _hit_json(hit: Hit) -> dict[str, object]:
    return {
        "source": hit.source,
        "document": release_text(hit.document),
        "title": release_text(hit.title),
        "heading": release_text(hit.heading),
        "url": hit.url,
        "text": release_text(hit.text),
        "score": round(hit.score, 6),
        "as_of": hit.synced_at.isoformat(),
    }


def search_text(found: SearchResult) -> str:
    """Return a search's result as text."""
    if not found.hits:
        return "Nothing was found. `kvasir status` shows the sources; `kvasir sync` reads them."
    lines: list[str] = []
    for n, hit in enumerate(found.hits, 1):
        path = " › ".join(release_text(part) for part in (hit.title, hit.heading) if part)
        quote = " ".join(describe_tables(release_text(hit.text)).split())
        origin = f"{hit.source}: {hit.document}, {hit.score:.2f}, as of {hit.synced_at:%Y-%m-%d}"
        lines += [f"{n}. {path}  ({origin})", f"   {quote[:_QUOTE]}"]
    if not found.related:
        lines.append("None of these has anything to do with the question.")
    return "\n".join(lines)
