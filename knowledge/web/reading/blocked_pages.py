"""Detect pages that show a login, consent, paywall, cookie notice, robot check or empty script shell instead of text.

Pure. A page with a long main text is never blocked; the shorter the text, the less evidence is needed. The evidence
is in ``blocked_pages.toml``, for pages in English, Chinese and German.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser

from knowledge.errors import UnreadableReason
from knowledge.parsing.formats.markup import parse_markup

_LONG = 2_000
_MIDDLE = 900
_SHORT = 350
_EMPTY = 150
_NOTHING = 40
"""Sizes of a text in letters; a Chinese, Japanese or Korean character counts as three letters."""
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_CJK_SIZE = 3
_VISIBLE = 4_000
"""Characters of the visible page that are searched for evidence."""
_MARKUP = 300_000
_INVISIBLE_TAGS = ["script", "style", "template", "noscript", "svg"]
_SCRIPT_ROOTS = "#root, #app, #__next, #__nuxt, #svelte, app-root, [ng-app], [data-reactroot]"
"""Elements that scripts fill."""


@dataclass(frozen=True, slots=True)
class _BlockingSigns:
    """The evidence for one kind of blocked page."""

    reason: str
    title: re.Pattern[str] | None
    """The beginning of a title or first heading. It counts if the main text is not long and there is other evidence, or
    hardly any text. A page of a manual may be called "Sign in", too."""
    markup: re.Pattern[str] | None
    """Counts like a title."""
    words: re.Pattern[str]
    """These count if enough different ones occur: ``words_in_short`` with a short main text, else ``words_in_long``."""
    words_in_short: int
    words_in_long: int
    words_suffice: bool
    """Whether words are enough evidence on a page of a source."""
    max_text: int | None
    """A page of a source with this much text, including navigation, is not blocked."""


def find_blocking_reason(html: str, text: str, *, of_source: bool = False) -> str | None:
    """Return why a page has no text to read, given its main text; None if it has some.

    A page of a source (``of_source``) needs stronger evidence. A mistake costs the live web one page, but removes a
    document of a source. Besides, every page of a site may have a banner or a footer.
    """
    size = measure_text(text)
    if size >= _LONG:
        return None
    page = _extract_visible_page(html[:_MARKUP])
    for signs in _load_signs():
        if _matches_signs(signs, size, page) and (not of_source or _matches_surely(signs, size, page)):
            return signs.reason
    needs_scripts = max(size, measure_text(page.body)) < page.minimum_text
    return UnreadableReason.SCRIPTS.value if needs_scripts else None


def measure_text(text: str) -> int:
    """Return the size of a text in letters."""
    return len(text) + (_CJK_SIZE - 1) * len(_CJK.findall(text))


@dataclass(frozen=True, slots=True)
class _VisiblePage:
    markup: str
    titles: tuple[str, ...]
    body: str
    """The visible text, including navigation."""
    minimum_text: int
    """A page with less text than this is filled by scripts."""


def _extract_visible_page(html: str) -> _VisiblePage:
    tree = parse_markup(html, "The page")
    minimum_text = _minimum_text(tree)
    tree.strip_tags(_INVISIBLE_TAGS)
    titles = tuple(_join_words(node.text(deep=True)) for node in tree.css("title, h1")[:3])
    body = _join_words(tree.body.text(deep=True, separator=" ")) if tree.body is not None else ""
    return _VisiblePage(html, titles, body[:_VISIBLE], minimum_text)


def _minimum_text(tree: LexborHTMLParser) -> int:
    if tree.css_first("script") is None:
        return 0
    fallback = " ".join(node.text(deep=True) for node in tree.css("noscript"))
    is_shell = tree.css_first(_SCRIPT_ROOTS) is not None or "javascript" in fallback.lower()
    return _EMPTY if is_shell else _NOTHING


def _matches_signs(signs: _BlockingSigns, size: int, page: _VisiblePage) -> bool:
    words = len({match.group().lower() for match in signs.words.finditer(page.body)})
    if words >= (signs.words_in_short if size < _SHORT else signs.words_in_long):
        return True
    if size >= _MIDDLE:
        return False
    has_title, has_markup = _has_title(signs, page), _has_markup(signs, page)
    return has_title + has_markup + (words > 0) + (size < _EMPTY) > 1 and (has_title or has_markup)


def _matches_surely(signs: _BlockingSigns, size: int, page: _VisiblePage) -> bool:
    if signs.max_text is not None and measure_text(page.body) >= signs.max_text:
        return False
    return signs.words_suffice or _has_markup(signs, page) or (size < _EMPTY and _has_title(signs, page))


def _has_title(signs: _BlockingSigns, page: _VisiblePage) -> bool:
    return signs.title is not None and any(signs.title.match(title) for title in page.titles)


def _has_markup(signs: _BlockingSigns, page: _VisiblePage) -> bool:
    return signs.markup is not None and signs.markup.search(page.markup) is not None


@cache
def _load_signs() -> tuple[_BlockingSigns, ...]:
    tables = tomllib.loads((Path(__file__).parent / "blocked_pages.toml").read_text(encoding="utf-8"))["blocked"]
    return tuple(
        _BlockingSigns(
            table["reason"],
            _compile_any(table.get("title", [])),
            _compile_any(table.get("markup", [])),
            re.compile("|".join(table["words"]), re.IGNORECASE),
            table.get("words_in_short", 1),
            table.get("words_in_long", 3),
            table.get("words_suffice", True),
            table.get("max_text"),
        )
        for table in tables
    )


def _compile_any(phrases: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(phrases), re.IGNORECASE) if phrases else None


def _join_words(text: str) -> str:
    return " ".join(text.split())
