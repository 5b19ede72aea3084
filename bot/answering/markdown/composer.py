"""Join the pieces of an answer that are kept so that dropped ones leave no gap. Pure."""

from __future__ import annotations

import re

from bot.answering.markdown.sentences import Piece

_NUMBERED = re.compile(r"(\s*)(\d{1,3})([.)、]\s*)")


class Composer:
    """Returns the text to append for each kept piece, with its white space, list marker and lead-in."""

    def __init__(self) -> None:
        self._gap = ""
        self._lead = ""
        self._pending: list[Piece] = []
        self._dropped_since_pending = False
        self._numbers: dict[str, int] = {}
        """The last number shown in the list at hand, by its indentation."""
        self.shown_chars = 0

    def keep_piece(self, piece: Piece, text: str) -> str:
        """Return what to append so that ``text``, the final form of the piece, follows the text so far."""
        out = "".join(
            self._place_piece(pending, pending.text) for pending in self._pending if self._leads_to(pending, piece)
        )
        self._pending = []
        return out + self._place_piece(piece, text)

    def _leads_to(self, pending: Piece, piece: Piece) -> bool:
        """Return whether what is pending leads to a piece; a lead-in without its list does not."""
        if pending.kind == "table":
            return piece.kind == "table"
        return pending.kind in {"heading", "blank"} or not self._dropped_since_pending or piece.kind != "prose"

    def hold_piece(self, piece: Piece) -> None:
        """Wait with what only introduces something: a heading, a lead-in, the head of a table."""
        if piece.kind == "heading":
            self._drop_headings(_find_level(piece))
        if self._dropped_since_pending:
            self._pending = [pending for pending in self._pending if pending.kind in {"heading", "blank"}]
        self._pending.append(piece)
        self._dropped_since_pending = False

    def skip_line(self, piece: Piece) -> None:
        """Skip an empty line."""
        if self._pending:
            self._pending.append(piece)
        else:
            self._widen_gap("\n\n" if piece.kind == "blank" else piece.tail)

    def drop_piece(self, piece: Piece) -> None:
        """Skip a piece that is not shown; its list marker goes to the next sentence of its line."""
        self._dropped_since_pending = True
        self._lead = "" if piece.ends_line else self._lead or piece.lead
        self._widen_gap(piece.tail)

    def _drop_headings(self, level: int) -> None:
        """Drop the headings that this one ends, with what stands under them; an empty line between stays."""
        blank: Piece | None = None
        while self._pending and not (self._pending[-1].kind == "heading" and _find_level(self._pending[-1]) < level):
            popped = self._pending.pop()
            blank = popped if popped.kind == "blank" else blank
        if blank and self._pending:
            self._pending.append(blank)

    def _place_piece(self, piece: Piece, text: str) -> str:
        if piece.kind == "blank":
            self._widen_gap("\n\n")
            return ""
        lead = self._renumber_lead(piece.lead or self._lead)
        if piece.kind in {"heading", "prose"} and not lead.strip():
            self._numbers.clear()
        starts_line = bool(lead.strip()) or piece.kind in {"heading", "table", "code"}
        gap = self._gap if self.shown_chars else ""
        if starts_line and gap and "\n" not in gap:
            gap = "\n"
        self._lead, self._gap = "", piece.tail
        self.shown_chars += len(gap + lead + text)
        return gap + lead + text

    def _renumber_lead(self, lead: str) -> str:
        """Close the gap that a dropped item leaves in a numbered list."""
        match = _NUMBERED.fullmatch(lead)
        if not match:
            return lead
        number = min(int(match[2]), self._numbers.get(match[1], 0) + 1)
        self._numbers[match[1]] = number
        return f"{match[1]}{number}{match[3]}"

    def _widen_gap(self, gap: str) -> None:
        """Let the gap before the next piece be the wider of two: a paragraph, a line, a space."""
        breaks = min(2, max(self._gap.count("\n"), gap.count("\n")))
        self._gap = "\n" * breaks or self._gap or gap


def _find_level(heading: Piece) -> int:
    return len(heading.text) - len(heading.text.lstrip("#"))
