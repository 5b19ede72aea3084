"""A text's lines, one after the other."""

from __future__ import annotations

from collections.abc import Iterator


def iterate_lines(text: str) -> Iterator[str]:
    r"""Yield what ``text.split("\n")`` holds; of a large text that list is several times the text."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]
