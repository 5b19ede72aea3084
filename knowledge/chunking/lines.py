"""Iterate over the lines of a text."""

from __future__ import annotations

from collections.abc import Iterator


def iterate_lines(text: str) -> Iterator[str]:
    r"""Yield the items of ``text.split("\n")`` without the list, which needs several times the text's memory."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]
