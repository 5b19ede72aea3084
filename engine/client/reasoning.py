"""Separate thinking from content, also if the server has separated it already; never awaits.

SGLang's parser separates both. But it leaves newlines before the answer, keeps stray tags in odd outputs, and sends all
text as thinking if the closing tag never comes. A server without a parser separates nothing.
"""

from __future__ import annotations

from typing import Literal

from engine.interfaces import ContentDelta, ReasoningDelta

_TAGS = ("<think>", "</think>")
_LONGEST_TAG = max(map(len, _TAGS))

Piece = ReasoningDelta | ContentDelta


class ReasoningDecoder:
    """Turns the pieces of one answer into thinking and content."""

    def __init__(self, *, thinks: bool, opens_think: bool = False, split_by_server: bool = True) -> None:
        """Configure what the model and the server do.

        The text of a model that does not think stays as it is, tags included. ``opens_think``: the template ends with
        the opening tag, so unseparated text starts inside the thinking. If the server sends thinking separately, it
        wins over the settings.
        """
        self._thinks = thinks
        self._thinking = _TagScanner()
        self._content = _TagScanner(inside=thinks and opens_think and not split_by_server)
        self._thoughts: list[str] = []
        self._has_content = False
        self._has_thoughts = False

    def decode(self, reasoning: str, content: str) -> list[Piece]:
        """Return the pieces of one delta; a possible beginning of a tag is kept for the next one."""
        pieces: list[Piece] = []
        if reasoning:
            self._content.close_thinking()
            pieces += self._build_deltas([(True, text) for _, text in self._thinking.feed(reasoning)])
        if content:
            pieces += self._build_deltas(self._content.feed(content) if self._thinks else [(False, content)])
        return pieces

    def flush(self, finish_reason: Literal["stop", "length", "abort"]) -> list[Piece]:
        """Return the last pieces. If all text was thinking and the model stopped by itself, it also is the answer."""
        pieces = self._build_deltas([(True, text) for _, text in self._thinking.flush()])
        pieces += self._build_deltas(self._content.flush())
        if not self._has_content and finish_reason == "stop" and (answer := "".join(self._thoughts).strip()):
            pieces.append(ContentDelta(answer))
            self._has_content = True
        return pieces

    def _build_deltas(self, parts: list[tuple[bool, str]]) -> list[Piece]:
        """Return the deltas of parts, without the newlines before the first thought and before the answer."""
        pieces: list[Piece] = []
        for inside, part in parts:
            text = part if (self._has_thoughts if inside else self._has_content) else part.lstrip("\r\n")
            if not text:
                continue
            if inside:
                self._has_thoughts = True
                if not self._has_content:
                    self._thoughts.append(text)
                pieces.append(ReasoningDelta(text))
            else:
                self._has_content = True
                self._thoughts.clear()
                pieces.append(ContentDelta(text))
        return pieces


class _TagScanner:
    """Removes tags from text in pieces, and says for each part whether it is inside the thinking."""

    def __init__(self, *, inside: bool = False) -> None:
        self._inside = inside
        self._partial_tag = ""

    def close_thinking(self) -> None:
        self._inside = False

    def feed(self, text: str) -> list[tuple[bool, str]]:
        text = self._partial_tag + text
        parts: list[tuple[bool, str]] = []
        while (found := _find_first_tag(text)) is not None:
            at, tag = found
            parts.append((self._inside, text[:at]))
            self._inside = tag == "<think>"
            text = text[at + len(tag) :]
        keep = _count_partial_tag(text)
        self._partial_tag = text[len(text) - keep :]
        return [*parts, (self._inside, text[: len(text) - keep])]

    def flush(self) -> list[tuple[bool, str]]:
        text, self._partial_tag = self._partial_tag, ""
        return [(self._inside, text)] if text else []


def _find_first_tag(text: str) -> tuple[int, str] | None:
    return min(((at, tag) for tag in _TAGS if (at := text.find(tag)) >= 0), default=None)


def _count_partial_tag(text: str) -> int:
    """Return the length of the longest end of ``text`` that begins a tag."""
    for length in range(min(len(text), _LONGEST_TAG - 1), 0, -1):
        if any(tag.startswith(text[-length:]) for tag in _TAGS):
            return length
    return 0
