"""Extract the main text of an unknown page with trafilatura.

Runs in the parsing process, so a page that crashes a library fails alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Final
from urllib.parse import urljoin

from knowledge.dates import parse_iso_date

_LONGEST = 3_000_000
"""The most characters of a page: trafilatura takes seconds for a longer one."""
_LONGEST_NAME = 300

_RUN = 8
"""Letters of a run that is searched in the main text."""
_SHARE = 0.85
_NO_LETTERS = re.compile(r"[\W_]+")

MAIN_TEXT: Final = "main-text=yes"
"""A parameter of ``text/html`` in ``DocumentContent.media_type``: a web page of which only the main text counts."""


def load_extractor() -> None:
    """Load trafilatura, and what it prepares at its first page."""
    extract_main_text("<html><body><article><h1>A page</h1><p>with some text.</p></article></body></html>")
    extract_metadata("<html><head><title>A page</title></head></html>", "https://a.test/")


def extract_main_text(html: str) -> str | None:
    """Return the words of a page's main text without markup, or None."""
    if len(html) > _LONGEST:
        return None
    import trafilatura  # noqa: PLC0415 - for the parsing process alone

    return trafilatura.extract(html, output_format="txt", include_comments=False, include_tables=True)


def extract_metadata(html: str, url: str) -> tuple[str | None, datetime | None, str | None]:
    """Return a page's author, date and address from its meta tags, its JSON-LD or its first lines."""
    from trafilatura.metadata import extract_metadata  # noqa: PLC0415 - for the parsing process alone

    fields = extract_metadata(html[:_LONGEST], default_url=url, extensive=False)
    author = " ".join(fields.author.split())[:_LONGEST_NAME] if fields.author else None
    return author, parse_iso_date(fields.date or ""), urljoin(url, fields.url) if fields.url else None


def make_main_text_test(text: str) -> Callable[[str], bool]:
    """Return a function that tells whether most of a block is in a main text, ignoring blanks and marks."""
    words = _keep_letters(text)
    lines = {_keep_letters(line) for line in text.splitlines()}

    @cache
    def find_runs() -> set[str]:
        return {words[start : start + _RUN] for start in range(len(words) - _RUN + 1)}

    def block_belongs(block: str) -> bool:
        letters = _keep_letters(block)
        if len(letters) < _RUN:
            return bool(letters) and letters in lines
        if letters in words:
            return True
        found = sum(letters[start : start + _RUN] in find_runs() for start in range(len(letters) - _RUN + 1))
        return found >= _SHARE * (len(letters) - _RUN + 1)

    return block_belongs


def _keep_letters(text: str) -> str:
    return _NO_LETTERS.sub("", text.lower())
