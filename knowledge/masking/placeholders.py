"""Put placeholders in the place of private text, such as ``[PERSON-1]``, and turn them back in a stream."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from knowledge.masking.findings import PRIVATE, Kind
from knowledge.masking.names import NameIndex
from knowledge.masking.recogniser import DEFAULT_RECOGNISER, ROUNDS, Recogniser

_PLACEHOLDER = re.compile(r"\[([A-Z]{2,12}-\d{1,5})\]")
_BEGINNING = re.compile(r"\[(?:[A-Z]{1,12}(?:-\d{0,5})?)?\Z")


class Placeholders:
    """The placeholders of one request. Equal texts have one placeholder, numbered in the order of appearance."""

    def __init__(
        self, recogniser: Recogniser = DEFAULT_RECOGNISER, kinds: Collection[Kind] = PRIVATE,
        names: NameIndex | None = None,
    ) -> None:  # fmt: skip
        self._recogniser = recogniser
        self._kinds = kinds
        self._names = names
        self._placeholders: dict[str, str] = {}
        self._originals: dict[str, str] = {}
        self._taken: set[str] = set()
        self._counts: dict[Kind, int] = {}

    def hide_texts(self, texts: Sequence[str]) -> list[str]:
        """Return texts with placeholders; none is used that a text has already."""
        self._taken.update(name for text in texts for name in _PLACEHOLDER.findall(text))
        return [self._hide_text(text) for text in texts]

    def _hide_text(self, text: str, rounds: int = ROUNDS) -> str:
        parts: list[str] = []
        end = 0
        for one in self._recogniser.find(text, self._kinds, self._names) if rounds else ():
            parts.append(self._hide_text(text[end : one.start], rounds - 1))
            parts.append(self._find_placeholder(one.kind, text[one.start : one.end]))
            end = one.end
        return "".join([*parts, self._hide_text(text[end:], rounds - 1)]) if parts else text

    def _find_placeholder(self, kind: Kind, original: str) -> str:
        while (name := self._placeholders.get(original)) is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"{kind}-{self._counts[kind]}"
            if name not in self._taken:
                self._placeholders[original] = name
                self._originals[name] = original
        return f"[{name}]"

    def restore_text(self, text: str) -> str:
        """Return a text with the originals; placeholders that nobody made stay."""
        return _PLACEHOLDER.sub(lambda found: self._originals.get(found[1], found[0]), text)


class PlaceholderDecoder:
    """Turns placeholders back in a text that comes in pieces."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._restore: Final = placeholders.restore_text
        self._kept = ""

    def decode(self, piece: str) -> str:
        """Return what is complete: the beginning of a placeholder waits for the next piece."""
        text = self._kept + piece
        beginning = _BEGINNING.search(text)
        cut = beginning.start() if beginning else len(text)
        self._kept = text[cut:]
        return self._restore(text[:cut])

    def flush(self) -> str:
        """Return the rest at the end of the text."""
        kept, self._kept = self._kept, ""
        return kept
