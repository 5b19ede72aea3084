"""Refuse HTML that would take a parser hours, before it is parsed.

At each start tag, a parser may look through all open elements, and at each attribute through the others of its tag.
So the time grows with the square of nesting and of attributes. A pass over the tags estimates these steps in linear
time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from selectolax.lexbor import LexborHTMLParser

from knowledge.errors import DocumentTooLarge

_MAX_STEPS: Final = 300_000_000
"""A page of 50 MB with ordinary nesting needs a third of them, and lexbor takes about a second for all."""
_SMALL_CHARACTERS, _LONG_TAG_CHARACTERS = 20_000, 400
"""A page of the first size cannot need more steps; the attributes of tags below the second are not counted."""

_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|textarea|title)\b.*?(?:</\1|\Z)|<(/?)([a-z][^\s/>]{0,40}+)([^>]*+)",
    re.DOTALL | re.IGNORECASE,
)
"""A comment, an element whose content has no tags, or a tag: whether it ends an element, its name, its attributes."""
_ATTRIBUTE = re.compile(r"""[^\s=/]++(?:\s*+=\s*+(?:"[^"]*"|'[^']*'|\S*+))?""")
_NEVER_OPEN: Final = frozenset({
    "area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr", "a", "body", "dd", "dt", "head", "html", "li", "nobr", "optgroup", "option", "p", "rp", "rt", "tbody", "td",
    "tfoot", "th", "thead", "tr",
})  # fmt: skip
"""Elements without content, and those that the next one of their kind ends: pages often omit their end tags."""
_FORMATTING: Final = frozenset({"b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"})
"""These do not end with the element around them, but begin again in the next one."""
_DRAWINGS: Final = frozenset({"svg", "math"})  # only in these an element may end with its own tag (``<path/>``)
_BARRIERS: Final = _DRAWINGS | {
    "applet", "caption", "desc", "foreignobject", "marquee", "object", "table", "template",
}  # fmt: skip
"""No end tag inside one of these ends an element around it."""


def parse_markup(html: str, document: str) -> LexborHTMLParser:
    """Parse HTML.

    Raises:
        DocumentTooLarge: its elements are nested too deeply for its size, or a tag has too many attributes.

    """
    if len(html) > _SMALL_CHARACTERS:
        steps = 0
        for more in _estimate_steps(html):
            steps += more
            if steps > _MAX_STEPS:
                raise DocumentTooLarge(
                    f"{document} has too many elements inside each other, or attributes in one tag. "
                    "Simplify it, or exclude it."
                )
    return LexborHTMLParser(html)


def _estimate_steps(html: str) -> Iterator[int]:
    """Yield for each tag about how many elements and attributes a parser looks at."""
    elements = _OpenElements()
    for found in _TAG.finditer(html):
        ends, name, attributes = found.group(2, 3, 4)
        if name is None:
            continue
        yield elements.depth + 1
        if ends:
            elements.end_element(name.lower())
        else:
            elements.begin_element(name.lower(), is_whole=attributes.endswith("/"))
            if len(attributes) > _LONG_TAG_CHARACTERS:
                yield sum(1 for _ in _ATTRIBUTE.finditer(attributes)) ** 2


@dataclass(slots=True)
class _Level:
    """The open elements inside a barrier, without those inside an inner barrier."""

    barrier: str = ""
    names: list[str] = field(default_factory=list)  # all but those for formatting, in their order
    counts: Counter[str] = field(default_factory=Counter)


class _OpenElements:
    """About the elements that a parser keeps open."""

    def __init__(self) -> None:
        self.depth = 0
        self._levels = [_Level()]
        self._barriers: Counter[str] = Counter()

    def begin_element(self, name: str, *, is_whole: bool) -> None:
        level = self._levels[-1]
        if name in _NEVER_OPEN or (is_whole and level.barrier in _DRAWINGS):
            return
        self.depth += 1
        if name in _BARRIERS:
            self._barriers[name] += 1
            self._levels.append(_Level(name))
            return
        level.counts[name] += 1
        if name not in _FORMATTING:
            level.names.append(name)

    def end_element(self, name: str) -> None:
        """End an element and those inside it, if it is open in this level."""
        level = self._levels[-1]
        if name in _BARRIERS:
            while self._barriers[name] and self._end_level() != name:
                pass
        elif level.counts[name] and name in _FORMATTING:
            level.counts[name] -= 1
            self.depth -= 1
        elif level.counts[name]:
            last = ""
            while last != name:
                last = level.names.pop()
                level.counts[last] -= 1
                self.depth -= 1

    def _end_level(self) -> str:
        level = self._levels.pop()
        self._barriers[level.barrier] -= 1
        self.depth -= level.counts.total() + 1
        return level.barrier
