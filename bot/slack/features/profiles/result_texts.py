"""Words what a profile makes of a document as Markdown for Slack. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from bot.answering.events import Passage
from bot.answering.outgoing import release_text
from bot.languages.registry import Language
from bot.messages import checklist, extraction
from bot.messages.forms import profiles as texts
from bot.messages.message import Message, render_message
from bot.profiles.checklist import review as reviews
from bot.profiles.document_profiles import DocumentResult
from bot.profiles.extraction import extraction as extractions
from bot.profiles.notes.note import format_section, list_notices
from bot.profiles.profile import choose_text
from bot.slack.wire.text import render

_MAX_ROWS: Final = 300
_TABLE_CHARACTERS: Final = 6_000
"""For the texts of a document in the rows of one message."""
_TEXT_CHARACTERS: Final = (120, 400)
"""The least and the most of one such text that is shown; few texts have more each."""
_MARKUP: Final = re.compile(r"[\\`*_\[\]()~|]")

_Row = tuple[Sequence[str], str, Passage | None]
"""The first cells, a text of the document, and the passage that it stands in."""


def format_result(result: DocumentResult, language: Language, url: str | None) -> str:
    """Return what was found with where it stands, as a table or a note, and what is to be said about it.

    ``url`` leads to the message with the document.
    """
    rows: list[_Row] = []
    match result:
        case extractions.Extraction():
            rows += _list_values(result, language)
            body = _build_table((texts.FIELD, texts.VALUE, texts.WHERE), rows, language, url)
            notices = extractions.list_notices(result)
        case reviews.Review():
            rows += _list_answers(result, language)
            body = _build_table((texts.STATEMENT, texts.ANSWER, texts.CLAUSE, texts.WHERE), rows, language, url)
            notices = reviews.list_notices(result, language)
        case _:
            body = "\n\n".join(format_section(one, result.language, escape_text) for one in result.sections)
            notices = list_notices(result)
    if len(rows) > _MAX_ROWS:
        notices.insert(0, texts.MORE.fill(count=len(rows) - _MAX_ROWS))
    said = "\n".join(render.escape_markdown(render_message(one, language)) for one in notices)
    return f"**{escape_text(result.title, _TEXT_CHARACTERS[0])}**\n\n{body}\n\n{said}"


def _list_values(found: extractions.Extraction, language: Language) -> Iterator[_Row]:
    """Yield a row for each value, and one for each field without any."""
    for field in found.profile.fields:
        title = choose_text(field.title, language)
        values = found.list_values(field.name)
        for one in values:
            text = f"{one.text} = {one.normalised}" if one.normalised else one.text
            yield (title,), text, one.passage
        if not values:
            yield (title,), render_message(extraction.NOTHING, language), None


def _list_answers(found: reviews.Review, language: Language) -> Iterator[_Row]:
    """Yield a row for each clause, and one for each statement without any."""
    for one in found.answers:
        title = choose_text(one.statement.title, language)
        cells = title, render_message(checklist.LABELS[one.label], language)
        for clause in one.clauses:
            yield cells, clause.text, clause.passage
        if not one.clauses:
            yield cells, "", None


def _build_table(head: Sequence[Message], rows: Sequence[_Row], language: Language, url: str | None) -> str:
    """Return the first rows as a table; each text has a link to where it stands."""
    least, most = _TEXT_CHARACTERS
    share = min(most, max(least, _TABLE_CHARACTERS // max(1, len(rows))))
    lines = [[render_message(one, language) for one in head], ["---"] * len(head)]
    for cells, text, passage in rows[:_MAX_ROWS]:
        place = extractions.describe_place(passage, language) if passage is not None else ""
        where = f"[{place}]({url})" if place and url else place
        lines.append([*(escape_text(one, least) for one in cells), escape_text(text, share), where])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escape_text(text: str, most: int | None = None) -> str:
    """Return a text of a document as one line of Markdown, which formats nothing and pings nobody.

    It has at most the first ``most`` characters of the text.
    """
    line = " ".join(release_text(text).split())
    cut = line if most is None or len(line) <= most else f"{line[:most].rstrip()}…"
    cut = cut.replace("://", f":{render.JOINER}//")  # no address becomes a link
    return render.escape_markdown(_MARKUP.sub(r"\\\g<0>", cut))
