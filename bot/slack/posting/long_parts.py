"""Finds the long parts of rendered Markdown, and what to show in their place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from bot.answering.events import Passage
from bot.languages.registry import Language
from bot.messages import long_answers
from bot.messages.message import render_message
from bot.slack.wire.text.cutting import find_open_fence, make_closing_fence, split_head
from bot.slack.wire.text.render import JOINER, encode_link_target, escape_markdown
from bot.slack.wire.text.rich_text import PARSER, read_plain_text

LONG_ANSWER = 12_000
"""A longer answer, in characters, is shown as a document."""
LONG_CODE_LINES = 60
LONG_CODE = 4_000
"""Code with more characters or lines is shown as a file."""
_SHOWN_CODE_LINES = 12
_SHOWN_CODE = 1_000
_MAX_SUMMARY = 1_200
_MAX_HEADINGS = 12
_MAX_TITLE = 120
_DEEP_HEADING = re.compile(r"#{4,6}(?= )")
_UNSAFE_LABEL = re.compile(r"([\\\[\]*_`~])")
_EXTENSIONS = {
    "bash": "sh", "javascript": "js", "markdown": "md", "python": "py", "ruby": "rb", "rust": "rs", "shell": "sh",
    "typescript": "ts", "yaml": "yml",
}  # fmt: skip


class LongCode(NamedTuple):
    """A code block that is too long for a message."""

    text: str
    """The code, without the marks that keep Slack from pinging people."""
    name: str
    start: int
    end: int
    """Where its block begins and ends in the text, in lines."""
    lines: int


def find_long_code(markdown: str, *, is_first: bool = True, is_last: bool = True) -> list[LongCode]:
    """Return the long code blocks of a message that are in no list or quote.

    A block at the start or the end of one of several messages may be a part of a longer one, which stays.
    """
    codes: list[LongCode] = []
    if "```" not in markdown and "~~~" not in markdown:
        return codes
    end = len(markdown.rstrip().split("\n"))
    for token in PARSER.parse(markdown):
        count = token.content.count("\n")
        is_long = len(token.content) > LONG_CODE or count > LONG_CODE_LINES
        if token.type != "fence" or token.level != 0 or token.map is None or not is_long:
            continue
        if (is_first or token.map[0] > 0) and (is_last or token.map[1] < end):
            name = f"code-{len(codes) + 1}.{_choose_extension(token.info)}"
            codes.append(LongCode(token.content.replace(JOINER, ""), name, token.map[0], token.map[1], count))
    return codes


def _choose_extension(info: str) -> str:
    language = (info.split() or [""])[0].lower()
    extension = _EXTENSIONS.get(language, language)
    return extension if extension.isalnum() and extension.isascii() and len(extension) <= 8 else "txt"  # noqa: PLR2004 - an extension


def shorten_code(markdown: str, code: LongCode, url: str, language: Language) -> str:
    """Return a text with the beginning of a code block, and a link to the file with all of it."""
    lines = markdown.split("\n")
    opening, *inside = lines[code.start : code.end]
    head, _ = split_head("\n".join(inside[:_SHOWN_CODE_LINES]), _SHOWN_CODE)
    beginning = f"{opening}\n{head}"
    beginning += make_closing_fence(find_open_fence(beginning) or "```", beginning)
    link = make_link(code.name, url)
    sentence = render_message(long_answers.CODE_IN_FILE, language, count=code.lines, link=link)
    return "\n".join([*lines[: code.start], beginning, "", sentence, *lines[code.end :]])


def build_summary(markdown: str, sentence: str, language: Language) -> str:
    """Return the first paragraph and the headings of a long answer, and the sentence that says where all of it is."""
    headings: list[str] = []
    paragraph = ""
    tokens = PARSER.parse(markdown)
    for before, token in pairwise(tokens):
        if token.type == "inline" and before.type == "heading_open":
            headings.append(read_plain_text(token.content))
        elif token.type == "inline" and before.type == "paragraph_open" and not paragraph:
            paragraph = split_head(token.content, _MAX_SUMMARY)[0].strip()
    parts = [f"- {_escape_label(heading)}" for heading in headings[:_MAX_HEADINGS]]
    contents = "\n".join([render_message(long_answers.CONTENTS, language), *parts]) if parts else ""
    return "\n\n".join(part for part in (paragraph, contents, sentence) if part)


def build_document(markdown: str, cited: Iterable[Passage], language: Language) -> str:
    """Return a long answer as Markdown of its own, with its sources at the end."""
    lines = [_format_source(passage) for passage in cited]
    heading = f"## {render_message(long_answers.SOURCES, language)}"
    whole = _flatten_headings(markdown.strip())
    return "\n\n".join([whole, heading, "\n".join(lines)]) + "\n" if lines else f"{whole}\n"


def _flatten_headings(markdown: str) -> str:
    """Return a text whose headings have three levels, as a canvas has."""
    lines = markdown.split("\n")
    for token in PARSER.parse(markdown):
        if token.type == "heading_open" and token.map:
            lines[token.map[0]] = _DEEP_HEADING.sub("###", lines[token.map[0]])
    return "\n".join(lines)


def _format_source(passage: Passage) -> str:
    path = " › ".join(part for part in (passage.title or passage.document, passage.heading) if part)
    is_web = (passage.url or "").startswith(("http://", "https://"))
    return f"- \\[{passage.n}\\] " + (make_link(path, passage.url or "") if is_web else _escape_label(path))


def build_title(question: str, language: Language) -> str:
    """Return the title of the document with the answer to a question."""
    words = " ".join(question.split())
    short = words if len(words) <= _MAX_TITLE else words[: _MAX_TITLE - 1] + "…"
    return render_message(long_answers.TITLE, language, question=short)


def make_link(label: str, url: str) -> str:
    """Return a Markdown link with a plain label."""
    return f"[{_escape_label(label)}]({encode_link_target(url)})"


def _escape_label(label: str) -> str:
    return escape_markdown(_UNSAFE_LABEL.sub(r"\\\1", " ".join(label.split())))
