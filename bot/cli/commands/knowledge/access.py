"""``kvasir access explain``: say whether a person may read a document, and why."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence

from bot.answering.outgoing import release_text
from bot.cli.command_settings import load_command_settings
from bot.cli.people import CommandPerson, find_person
from bot.library_opening import open_configured_library
from bot.terminal.output import print_error, print_json, print_result
from knowledge.access import DocumentAccess
from knowledge.interfaces.audiences import format_reader, holds_reader


async def main(arguments: argparse.Namespace) -> int:
    """Print one explanation for each document of the name; exit status 1 if the person may not read one of them."""
    settings = load_command_settings(arguments)
    async with open_configured_library(settings) as library:
        person = await find_person(settings, library.identities, arguments.person)
        documents = await library.access.find_documents(arguments.document)
    if arguments.json:
        print_json(access_json(person, documents))
    if not documents:
        print_error(
            f"No document has the name or the title “{arguments.document}”. Write source/document as `kvasir search` "
            "shows it, or the whole title."
        )
        return 1
    if not arguments.json:
        for line in explain_access(person, documents):
            print_result(release_text(line))
    return 0 if all(one.may_be_read(person.viewers) for one in documents) else 1


def explain_access(person: CommandPerson, documents: Sequence[DocumentAccess]) -> Iterator[str]:
    """Yield the lines that say for each document whether the person may read it, and what the person holds."""
    for one in documents:
        title = f" “{one.title}”" if one.title else ""
        yield f"{_explain_document(person, one)} ({one.source}/{one.document}{title})"
    yield f"{person.id} holds {_list_readers(person.principals)}."
    if person.problems:
        yield f"Not known now, so perhaps more: {', '.join(person.problems)} did not answer (kvasir doctor)."


def _explain_document(person: CommandPerson, one: DocumentAccess) -> str:
    """Return yes or no with the reason."""
    if one.problem:
        return f"no: {one.problem}"
    if not holds_reader(person.principals, one.configured_readers):
        return f"no: kvasir.toml lets only {_list_readers(one.configured_readers)} read it"
    if not holds_reader(person.principals, one.indexed_readers) and holds_reader(person.principals, one.readers):
        return f"no: the last sync found the readers {_list_readers(one.indexed_readers)}, so sync {one.source} again"
    reasons = one.find_reasons(person.principals)
    if reasons:
        return f"yes: {person.id} reads it as {_list_readers(reasons)}"
    obstacles = one.find_obstacles(person.principals)
    if obstacles:
        return "no: " + "; ".join(f"{each.what} admits {_list_readers(each.readers) or 'nobody'}" for each in obstacles)
    return f"no: the readers are {_list_readers(one.readers)}" if one.readers else "no: nobody may read it"


def _list_readers(readers: Iterable[str]) -> str:
    return ", ".join(sorted(map(format_reader, readers)))


def access_json(person: CommandPerson, documents: Sequence[DocumentAccess]) -> dict[str, object]:
    """Return the explanation for scripts."""
    return {
        "user": person.id,
        "holds": sorted(person.principals),
        "unanswered": list(person.problems),
        "documents": [
            {
                "source": one.source,
                "document": release_text(one.document),
                "title": release_text(one.title),
                "allowed": one.may_be_read(person.viewers),
                "readers": sorted(map(format_reader, one.readers)),
                "indexed": sorted(map(format_reader, one.indexed_readers)),
                "configured": sorted(map(format_reader, one.configured_readers)),
                "as": sorted(map(format_reader, one.find_reasons(person.principals))),
                "why": _explain_document(person, one),
            }
            for one in documents
        ],
    }
