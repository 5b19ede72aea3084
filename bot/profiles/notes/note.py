"""Reads a profile of kind ``note``, writes the sections of a note, and words it for programs and people."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from bot.answering.answer import Answerer
from bot.answering.asker import Asker
from bot.answering.events import Finished, Notice, Passage, Question, Text
from bot.answering.markdown.citations import split_disagreements, strip_displayed
from bot.answering.outgoing import release_text
from bot.answering.retrieval.retriever import Search
from bot.answering.support.claims import content_words
from bot.answering.support.quantities import normalise_text
from bot.languages.registry import LANGUAGES, Language
from bot.messages import answers
from bot.messages import notes as texts
from bot.messages.message import Message, render_message
from bot.profiles.notes.polarity import REPORTING, is_contradicted, is_exchanged
from bot.profiles.notes.transcript import Utterance, list_said, name_lines
from bot.profiles.profile import Profile, ProfileError, choose_text
from engine.interfaces import ANONYMOUS, Requester
from knowledge.interfaces import SearchResult
from knowledge.search.material_passages import MaterialIndex

KIND: Final = "note"
_SECTION_KEYS: Final = ("title", "questions")
_MOST_STRANGE: Final = 0.2
"""At most this share of a sentence's words may be missing from its lines, so that none of four may."""
_MARKER: Final = re.compile(r"\[(\d+)\]")

_ByLanguage = Mapping[Language, str]


@dataclass(frozen=True, slots=True)
class SectionRule:
    """A section of notes: its title, and what the conversation is asked for it, by language."""

    title: _ByLanguage
    questions: _ByLanguage


@dataclass(frozen=True, slots=True)
class NoteRules:
    """What a profile says of its notes."""

    profile: Profile
    sections: tuple[SectionRule, ...]


@dataclass(frozen=True, slots=True)
class NoteSentence:
    """A sentence with the lines that it comes from."""

    text: str
    lines: tuple[str, ...]
    otherwise: tuple[str, ...] = ()
    """The lines that say otherwise."""


@dataclass(frozen=True, slots=True)
class NoteSection:
    """A written section."""

    title: str
    sentences: tuple[NoteSentence, ...]
    left_out: int
    """How many sentences of the model no line supports."""
    notices: tuple[str, ...] = ()
    """Why there is no text of the model, or why it broke off."""


@dataclass(frozen=True, slots=True)
class Note:
    """The note of one conversation."""

    title: str
    """The name of the conversation's file."""
    rules: NoteRules = field(repr=False)
    language: Language
    sections: tuple[NoteSection, ...] = field(repr=False)
    notices: tuple[Message, ...] = ()


def read_note_rules(profile: Profile) -> NoteRules:
    """Return the sections of a profile.

    Raises:
        ProfileError: a key is unknown, or a section is wrong.

    """
    profile.refuse_unknown_keys(profile.table, ("section",), "the file")
    tables = profile.table.get("section")
    if not (isinstance(tables, list) and tables):
        raise ProfileError(f"{profile.path}: write the sections of the note, each with two brackets: [[section]].")
    return NoteRules(profile, tuple(_read_section(profile, table, n) for n, table in enumerate(tables, 1)))


def _read_section(profile: Profile, table: object, n: int) -> SectionRule:
    if not isinstance(table, dict):
        raise ProfileError(f"{profile.path}: section {n} should be a table.")
    profile.refuse_unknown_keys(table, _SECTION_KEYS, f"section {n}")
    for key in _SECTION_KEYS:
        if not _is_by_language(table.get(key)):
            known = ", ".join(LANGUAGES)
            raise ProfileError(
                f'{profile.path}: {key} of section {n} should have a text for "en", and may have others: {known}.'
            )
    return SectionRule(table["title"], table["questions"])


def _is_by_language(value: object) -> bool:
    return (
        isinstance(value, dict)
        and "en" in value
        and set(value) <= set(LANGUAGES)
        and all(isinstance(one, str) and one.strip() for one in value.values())
    )


def search_conversation(index: MaterialIndex) -> Search:
    """Return a search that finds parts of one conversation, the best first, and nothing else."""

    async def search(query: str, *, limit: int, **_: object) -> SearchResult:
        hits = await index.search(query)
        return SearchResult(query, tuple(hits[:limit]), 0.0, answerable=True)

    return search


async def write_sections(
    rules: NoteRules,
    answerer: Answerer,
    said: Sequence[Utterance],
    language: Language,
    requester: Requester = ANONYMOUS,
) -> AsyncGenerator[NoteSection, None]:
    """Yield the sections, each from one request; a sentence that an earlier section has is not repeated.

    ``answerer`` searches the conversation ``said`` alone, and drops unsupported sentences.
    """
    seen: set[str] = set()
    asker = Asker(requester.person, cache_salt=requester.cache_salt, depth="off", language=language)
    for rule in rules.sections:
        question = Question(choose_text(rule.questions, language), asker=asker, id=f"note-{uuid.uuid4().hex}")
        yield await _write_section(choose_text(rule.title, language), question, answerer, said, seen)


async def _write_section(
    title: str, question: Question, answerer: Answerer, said: Sequence[Utterance], seen: set[str]
) -> NoteSection:
    shown, notices, end = list[str](), list[Notice](), Finished("unknown", (), {})
    async with aclosing(answerer.answer(question)) as events:
        async for event in events:
            if isinstance(event, Text) and not event.is_extract:
                shown.append(event.markdown)
            elif isinstance(event, Notice):
                notices.append(event)
            elif isinstance(event, Finished):
                end = event
    parts = {passage.n: passage for passage in end.cited}
    sentences: list[NoteSentence] = []
    left_out = end.removed_count
    for text in shown if end.route == "engine" else ():
        sentence, remarks = split_disagreements(text)
        cited, opposed = _list_cited(sentence, parts), _list_cited(remarks, parts)
        words = " ".join(release_text(strip_displayed(sentence)).split()).lstrip("-*• ")
        if not cited or words.casefold() in seen:
            continue
        exchanges = [list_said(said, passage.heading) for passage in cited]
        if not stands_in(words, [one for exchange in exchanges for one in exchange]):
            left_out += 1
            continue
        seen.add(words.casefold())
        places = dict.fromkeys(find_lines(words, exchange) for exchange in exchanges)
        others = dict.fromkeys(find_lines(words, list_said(said, passage.heading)) for passage in opposed)
        sentences.append(NoteSentence(words, tuple(places), tuple(others)))
    explained = tuple(one.text for one in notices if one.is_cut or end.route != "engine")
    return NoteSection(title, tuple(sentences), left_out, explained)


def _list_cited(text: str, parts: Mapping[int, Passage]) -> list[Passage]:
    return [parts[n] for found in _MARKER.findall(text) if (n := int(found)) in parts]


def find_lines(sentence: str, said: Sequence[Utterance]) -> str:
    """Return the fewest lines in a row that have all words of a sentence that are said, with the answer to a question.

    ``said`` is the exchange that supports the sentence.
    """
    wanted = content_words(normalise_text(sentence)) - REPORTING
    found = [wanted & content_words(normalise_text(one.text)) for one in said]
    start, end = find_shortest(found)
    if end < len(said) and "?" in normalise_text(said[end - 1].text):  # also ？
        end += 1
    return name_lines(said[start].first, said[end - 1].last)


def find_shortest(found: Sequence[frozenset[str]]) -> tuple[int, int]:
    """Return the first shortest range of sets that together have the words of all, in linear time."""
    counts, start, best = Counter[str](), 0, (0, len(found))
    needed = len(frozenset().union(*found))
    for end, words in enumerate(found, 1):
        counts.update(words)
        while start < end - 1 and all(counts[word] > 1 for word in found[start]):
            counts.subtract(found[start])
            start += 1
        if len(counts) == needed and end - start < best[1] - best[0]:
            best = (start, end)
    return best


def stands_in(sentence: str, said: Sequence[Utterance]) -> bool:
    """Return whether a sentence that the checker supports has the words of what was said, and says nothing else."""
    return (
        uses_words_of(sentence, "\n".join(f"{one.speaker}: {one.text}" for one in said))
        and not is_contradicted(sentence, said)
        and not is_exchanged(sentence, said)
    )


def uses_words_of(sentence: str, said: str) -> bool:
    """Return whether nearly all words of a sentence are said, besides those that only report.

    The checker compares meanings, so that it takes "allergic to aspirin" for what a patient says of penicillin. Of 247
    sentences of other visits' notes (ACI-Bench, six visits) it kept 63, and with this rule three.
    """
    words = content_words(normalise_text(sentence)) - REPORTING
    return bool(words) and len(words - content_words(normalise_text(said))) <= len(words) * _MOST_STRANGE


def list_notices(note: Note) -> list[Message]:
    """Return what is to be said about a note."""
    return [*note.notices, texts.CHECK]


def build_note_json(note: Note) -> dict[str, object]:
    """Return a note for programs."""
    return {
        "file": release_text(note.title),
        "profile": note.rules.profile.name,
        "sections": [
            {
                "title": section.title,
                "sentences": [
                    {"text": one.text, "lines": list(one.lines), "otherwise": list(one.otherwise)}
                    for one in section.sentences
                ],
                "left_out": section.left_out,
                "notices": list(section.notices),
            }
            for section in note.sections
        ],
        "notices": [render_message(one, "en") for one in list_notices(note)],
    }


def format_section(section: NoteSection, language: Language, escape: Callable[[str], str] = str) -> str:
    """Return a section as Markdown, with how many sentences were left out; ``escape`` escapes a plain text."""
    lines = [f"- {escape(one.text)} {_format_lines(one, language)}" for one in section.sentences]
    remarks = [escape(one) for one in section.notices]
    if not (lines or remarks):
        remarks.append(render_message(texts.NOTHING_SAID, language))
    if section.left_out:
        remarks.append(render_message(texts.LEFT_OUT, language, count=section.left_out))
    said = ["\n".join(lines)] if lines else []
    return "\n\n".join([f"## {escape(section.title)}", *said, *(f"_{one}_" for one in remarks)])


def _format_lines(sentence: NoteSentence, language: Language) -> str:
    lines, others = f"[{'; '.join(sentence.lines)}]", "; ".join(sentence.otherwise)
    return f"{lines} {render_message(answers.DISAGREEMENT_UNDATED, language, others=others)}" if others else lines
