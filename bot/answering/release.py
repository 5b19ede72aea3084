"""Let a model's text out sentence by sentence, each once it is checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from bot.answering import citations
from bot.answering.compose import Composer
from bot.answering.events import Passage
from bot.answering.foreign import hosts, without_foreign_links
from bot.answering.roles import code_is_quoted, role_of
from bot.answering.sentences import Piece, Splitter
from bot.answering.verification.claims import content_words
from bot.answering.verification.interfaces import AnswerVerifier
from bot.answering.verification.quantities import normal

End = Literal["repetition", "length", "unsupported"]

REPEATS = 3
"""So many sentences said again end the answer: a small model that loops does not stop by itself."""
_HOPELESS = 3
_IN_ITS_WORDS = 0.8
_LOOP_CHARS = 240
_LOOP_TIMES = 4
_LOOP_PERIOD_MAX = 160

_EMPHASIS = re.compile(r"(\*\*\*|\*\*|\*|__|~~)(?=\S)(.+?)(?<=\S)\1")
_LINK = re.compile(r"\[([^\[\]\n]*)\]\([^()\s]*\)")
_TAG = re.compile(r"</?(?:think|answer|passage[^<>\n]*)>|<br\s*/?>", re.IGNORECASE)
_FRAME = re.compile(r"^[ \t]*</?passage\b", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"`{3,}|~{3,}")
_LETTER = re.compile(r"\w")
_FINISHED = re.compile(r"[.!?。！？…:：|)）\]】\"”」』`*]\s*$")


class Release:
    """What a model writes goes in, checked Markdown comes out.

    ``take`` it as it comes and ``check`` what that gives; at the end, ``check`` what ``last`` gives.

    ``ended`` says whether the answer should not go on, and why.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        verifier: AnswerVerifier,
        *,
        limit_chars: int,
        copies: str | None = None,
        said: Iterable[str] = (),
    ) -> None:
        """Make one for an answer.

        Args:
            passages: what may be cited.
            verifier: has the same passages.
            limit_chars: of what the model writes.
            copies: the question, if the model is too small to say things in words of its own: then only sentences in
                the passages' words are let out that say more than the question, and the first few that do not end it.
            said: what people wrote in the conversation: the hosts that they named may be linked to.

        """
        self._copies = content_words(normal(copies)) if copies is not None else None
        self._passages = {passage.n: passage for passage in passages}
        self._hosts = hosts(passages, said)
        self._all_text = "\n".join(passage.text for passage in passages)
        self._verifier = verifier
        self._limit_chars = limit_chars
        self._splitter = Splitter()
        self._composer = Composer()
        self._said: set[str] = set()
        self._repeats = 0
        self._read_chars = 0
        self._recent = ""
        self._looped = False
        self._in_table = False
        self.ended: End | None = None
        self.cited: set[int] = set()
        self.kept = 0
        self.dropped = 0
        self.declined = False

    @property
    def shown_chars(self) -> int:
        """Return the length of what was let out."""
        return self._composer.shown_chars

    def take(self, text: str) -> list[Piece]:
        """Take what the model wrote next; return the sentences that are complete, to be checked by ``check``."""
        if self.ended:
            return []
        text = text[: max(0, self._limit_chars - self._read_chars)]
        self._read_chars += len(text)
        self._recent += text
        if len(self._recent) > 2 * _LOOP_CHARS:
            self._recent = self._recent[-_LOOP_CHARS:]
            self._looped = loops(self._recent)
        return self._splitter.feed(text)

    async def check(self, pieces: Iterable[Piece]) -> list[str]:
        """Return what of these sentences may be shown, each with the white space before it.

        Raises:
            KnowledgeError: the embedder failed.

        """
        shown = await self._through(pieces)
        self.settle()
        return shown

    def settle(self) -> None:
        """Decide whether the answer should end here."""
        if self.ended is None and self._looped:
            self.ended = "repetition"
        elif self.ended is None and self._read_chars >= self._limit_chars:
            self.ended = "length"

    def last(self, *, cut: bool = False) -> list[Piece]:
        """Return what is left at the text's end; ``cut`` says that the model did not get to finish its sentence."""
        if self.ended in {"repetition", "unsupported"}:
            return []
        left = self._splitter.flush()
        if (cut or self.ended) and left and self._composer.shown_chars and not _FINISHED.search(left[-1].text):
            left.pop()
        return left

    async def _through(self, pieces: Iterable[Piece]) -> list[str]:
        shown = []
        for piece in pieces:
            if self.ended in {"repetition", "unsupported"}:
                break
            if text := await self._piece(piece):
                shown.append(text)
        return shown

    async def _piece(self, piece: Piece) -> str:
        """Return what to append for a piece, "" if nothing."""
        bare = _TAG.sub("", citations.strip(piece.text))
        # Ticks first: what stood in code must not lose it after its links were let pass.
        bare = without_foreign_links(bare if piece.kind == "code" else _even_ticks(bare), self._hosts)
        piece_bare = Piece(piece.kind, piece.lead, bare, piece.tail)
        role = role_of(piece_bare, table_open=self._in_table)
        self._in_table = piece.kind == "table"
        if role == "space":
            self._composer.space(piece)
            return ""
        if role == "bridge":
            self._composer.hold(piece_bare)
            return ""
        if role == "empty" or not _LETTER.search(bare) or self._again(bare):
            self._composer.drop(piece)
            return ""
        if role == "code":
            return self._code(piece)
        if role == "decline":
            self.declined = True
            return self._composer.keep(piece_bare, bare)
        return await self._claim(piece_bare, citations.numbers(piece.text))

    async def _claim(self, piece: Piece, cited: Sequence[int]) -> str:
        known = [n for n in cited if n in self._passages]
        verdict = await self._verifier.verify(plain(piece.text), known)
        if verdict.kind != "supported" or not self._copied(plain(piece.text), verdict.passages):
            self.dropped += 1
            self._composer.drop(piece)
            if self._copies is not None and not self.kept and self.dropped >= _HOPELESS:
                self.ended = "unsupported"
            return ""
        self.kept += 1
        self.cited.update(verdict.passages)
        text = citations.mark(piece.text, verdict.passages, table_row=piece.kind == "table")
        return self._composer.keep(piece, text)

    def _copied(self, text: str, passages: Sequence[int]) -> bool:
        """Tell whether a sentence of a very small model is in the words of its passages and adds to the question."""
        if self._copies is None:
            return True
        words = content_words(normal(text))
        known = {word for n in passages for word in content_words(normal(self._passages[n].text))}
        return len(words & known) >= _IN_ITS_WORDS * len(words) and not words <= self._copies

    def _code(self, piece: Piece) -> str:
        # Whoever repeats a passage may read on in its frame, which is ours and nobody's document.
        text = without_foreign_links(_FRAME.split(piece.text, maxsplit=1)[0], self._hosts)
        if not code_is_quoted(text, self._all_text):
            self.dropped += 1
            self._composer.drop(piece)
            return ""
        self.kept += 1
        of = next((n for n, passage in self._passages.items() if code_is_quoted(text, passage.text)), None)
        fence, text = text.lstrip()[:3], text.rstrip()
        closed = text.endswith(fence) and "\n" in text
        text = text if closed else f"{text}\n{fence}"
        if of is not None:
            self.cited.add(of)
            text += f"\n[{of}]"  # a fence ends its line
        return self._composer.keep(piece, text)

    def _again(self, text: str) -> bool:
        """Tell whether this was said before, and count it."""
        key = re.sub(r"[\W_]+", "", text.lower())
        if len(key) < 4:  # noqa: PLR2004 - "Yes", 第一 may well come twice
            return False
        if key not in self._said:
            self._said.add(key)
            return False
        self._repeats += 1
        if self._repeats >= REPEATS:
            self.ended = "repetition"
        return True


def _even_ticks(text: str) -> str:
    """Take out the backticks that open code and never close it: they would swallow the text behind, markers and all."""
    text = _FENCE.sub("", text)
    if text.count("`") % 2:
        last = text.rindex("`")
        text = text[:last] + text[last + 1 :]
    return text


def plain(text: str) -> str:
    """Return a sentence without Markdown's marks, for comparing."""
    text = _LINK.sub(r"\1", text)
    for _ in range(2):
        text = _EMPHASIS.sub(r"\2", text)
    if text.lstrip().startswith("|"):
        text = ", ".join(cell.strip() for cell in text.strip().strip("|").split("|") if cell.strip())
    return text.strip().lstrip("#").strip()


def loops(text: str) -> bool:
    """Tell whether a text ends in the same few words over and over, without a full stop to tell them apart."""
    tail = text[-_LOOP_CHARS:]
    if len(tail) < _LOOP_CHARS or not _LETTER.search(tail):
        return False
    return any(
        tail[-period:] * (_LOOP_CHARS // period) == tail[-(period * (_LOOP_CHARS // period)) :]
        for period in range(1, min(_LOOP_PERIOD_MAX, _LOOP_CHARS // _LOOP_TIMES) + 1)
    )
