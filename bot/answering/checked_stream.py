"""Release a model's text sentence by sentence, each once it is checked.

For example, the model writes "You get 25 days. [1] They never expire." The first sentence is released with its
citation as soon as the second one begins. No passage supports the second one, so it is released with a mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

from bot.answering.events import Passage
from bot.answering.extracts.answer_types import classify_question, strip_question_words
from bot.answering.extracts.evidence import lacks_source, says_less
from bot.answering.limits import Limits
from bot.answering.markdown import citations
from bot.answering.markdown.composer import Composer
from bot.answering.markdown.link_policy import collect_allowed_hosts, may_have_links, strip_foreign_links
from bot.answering.markdown.sentences import Piece, Splitter, close_code
from bot.answering.sentence_roles import (
    Role,
    adopted_share,
    cite_code,
    classify_role,
    is_formal,
    is_plain_refusal,
    repeats_question,
)
from bot.answering.support.claims import extract_claims
from bot.answering.support.interfaces import SupportChecker, Verdict
from bot.answering.support.normalisation import strip_preamble
from bot.answering.support.quantities import normalise_text
from bot.languages.registry import Language
from bot.messages import answers
from bot.messages.message import render_message
from knowledge.language import is_cjk

End = Literal["repetition", "length", "unsupported"]
Evidence = Literal["none", "shown", "needed"]
Decision = tuple[Literal["keep", "hold", "drop"], str]
"""What to do with a piece, and its text: ``hold`` shows it only with what follows."""

REPEATS = 3
"""So many repeated sentences end the answer: a small model that loops does not stop by itself."""
HOPELESS = 4
"""So many sentences without a supported one end the answer: an extract says more."""
ADOPTED = 0.4
"""A sentence with so much of it in words that only the question has does not answer a question for a number. Passages
have many numbers. Other questions lost as many right answers by it as wrong ones."""
STRANGE, _BARE_WORDS = 0.55, 2
"""So much of a question for a number in words that no passage has means that none of their numbers answers. It counts
where the answer is a bare number, which does not say of what it is."""
_SHORT_CHARS, _SHORT_ITEM_CHARS = 4, 24
"""Letters of what may be said again: "Yes", 第一; of an item or a row more: "Type: integer"."""
_DROP: Decision = ("drop", "")
_LOOP_CHARS = 240
_LOOP_PERIODS = range(1, 61)

_EMPHASIS = re.compile(r"(\*\*\*|\*\*|\*|__|~~)(?=\S)(.+?)(?<=\S)\1")
_LINK = re.compile(r"\[([^\[\]\n]*)\]\([^()\s]*\)")
_TAG = re.compile(rf"</?(?:think|answer|passage[^<>\n]*)>|<br\s*/?>|\s*{citations.WARNING}\ufe0f?\s*$", re.IGNORECASE)
"""What only Kvasir writes; a model may imitate it."""
_FRAME = re.compile(r"^[ \t]*</?passage\b", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"`{3,}|~{3,}")
_LETTER = re.compile(r"\w")
_FINISHED = re.compile(r"[.!?。！？…:：|)）\]】\"”」』`*]\s*$")


class CheckedStream:
    """Takes what a model writes, and returns checked Markdown.

    The caller passes each piece to ``feed_text``, shows what ``release_sentences`` returns, and at the end what
    ``finish_text`` returns. ``ended`` says why the answer should not go on, None if it should.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        checker: SupportChecker,
        numbering: citations.Numbering,
        *,
        question: str,
        language: Language,
        limits: Limits,
        said: Iterable[str] = (),
        evidence: Evidence = "none",
    ) -> None:
        """Make one for an answer.

        Args:
            passages: what may be cited.
            checker: has the same passages.
            numbering: gives them their displayed numbers.
            question: as the model is asked.
            language: of what is put in the place of the model's words.
            limits: of what the model writes, and what becomes of unsupported sentences.
            said: what the asker wrote: the hosts that it names may be linked to anywhere.
            evidence: "shown" if extracts follow. Then unsupported sentences, and those that say less, are left out.
                With "needed", for a model that cannot judge, those that lack a source are left out, too.

        """
        self._passages = {passage.n: passage for passage in passages}
        self._said = tuple(said)
        self._evidence = evidence
        self._unsupported = "drop" if evidence != "none" and limits.unsupported == "mark" else limits.unsupported
        self._checker = checker
        self._numbering = numbering
        self._question = question
        self._language = language
        self._limits = limits
        self._splitter = Splitter()
        self._pending: list[Piece] = []
        self._checked: list[str] = []
        """Texts to show that no ``release_sentences`` has returned yet; a cancelled one leaves them to the next."""
        self._composer = Composer()
        self._seen: set[str] = set()
        self._repeats = 0
        self._read_chars = 0
        self._recent = ""
        self._looped = False
        self._in_table = False
        self._at_end = False
        self.ended: End | None = None
        self.supported = 0
        self._failed = 0
        self.marked = 0
        """Unsupported sentences that are shown with a warning."""
        self.dropped = 0
        self.contradicted = 0
        """Sentences that are dropped because the passages contradict them."""
        self.refused = False
        """Whether the model wrote that the passages do not have the answer."""

    @property
    def shown_chars(self) -> int:
        """Return the number of characters that are shown."""
        return self._composer.shown_chars

    def feed_text(self, text: str) -> bool:
        """Add what the model has written; return whether ``release_sentences`` has something to do."""
        if self.ended:
            return False
        if len(text) > (left := self._limits.answer_chars - self._read_chars):
            text = text[: max(0, left)]
        self._read_chars += len(text)
        self._recent += text
        self._pending += self._splitter.feed(text)
        if len(self._recent) > 2 * _LOOP_CHARS:
            self._looped = self._looped or ends_in_loop(self._recent)
            self._recent = self._recent[-_LOOP_CHARS:]
        return bool(self._pending) or self._looped or self._read_chars >= self._limits.answer_chars

    async def release_sentences(self) -> list[str]:
        """Return what may be shown of the complete sentences, each with the white space before it.

        Raises:
            KnowledgeError: the embedder failed.

        """
        while self._pending and self.ended not in {"repetition", "unsupported"}:
            if text := await self._place_piece(self._pending.pop(0)):
                self._checked.append(text)
        if not self.ended and self._looped:
            self.ended = "repetition"
        elif not self.ended and self._read_chars >= self._limits.answer_chars:
            self.ended = "length"
        texts, self._checked = self._checked, []
        return texts

    async def finish_text(self, *, cut: bool = False) -> list[str]:
        """Return what may be shown of the rest; ``cut`` says that the model did not get to finish its sentence.

        Raises:
            KnowledgeError: the embedder failed.

        """
        self._checked = await self.release_sentences()
        self._at_end, left = True, self._splitter.flush()
        if (cut or self.ended) and left and self._composer.shown_chars and not _FINISHED.search(left[-1].text):
            left.pop()
        self._pending = left
        return await self.release_sentences()

    async def _place_piece(self, piece: Piece) -> str:
        """Return what to append for a piece, "" if nothing."""
        cited = [n for n in citations.find_cited_numbers(piece.text) if n in self._passages]
        if piece.kind == "code":
            # A model that repeats a passage may read on in its frame, which is ours and no document's.
            text = _FRAME.split(piece.text, maxsplit=1)[0]
        else:
            # Ticks first: what stood in code must not lose it after its links were let pass.
            text = _drop_odd_backtick(strip_preamble(_TAG.sub("", citations.strip_markers(piece.text))))
        piece = replace(piece, text=self._strip_links(text, self._passages))
        role = classify_role(piece, table_open=self._in_table)
        if role == "heading" and piece.kind == "prose" and self._at_end:
            role = "claim"  # a bold line that nothing follows: "**30 days**"
        self._in_table = piece.kind == "table"
        if role == "space":
            self._composer.skip_line(piece)
            return ""
        action, text = await self._decide_piece(piece, role, cited)
        match action:
            case "keep":
                return self._composer.keep_piece(piece, text)
            case "hold":  # it is shown without a citation of its own
                self._composer.hold_piece(replace(piece, text=self._strip_links(text, ())))
            case "drop":
                self._composer.drop_piece(piece)
        return ""

    async def _decide_piece(self, piece: Piece, role: Role, cited: Sequence[int]) -> Decision:
        """Return what becomes of a piece that plays this role and cites these passages."""
        if role == "table_head":
            return "hold", await self._table_head(piece.text)
        if role == "empty" or not _LETTER.search(piece.text) or self._is_repeated(piece, role):
            return _DROP
        if role == "code":
            verdict = Verdict(*cite_code(piece.text, {n: passage.text for n, passage in self._passages.items()}))
            return self._apply_verdict(replace(piece, text=close_code(piece.text)), verdict)
        if role == "claim" and repeats_question(piece.text, self._question):
            return _DROP
        if role in {"heading", "lead_in"} and is_formal(piece.text):
            return "hold", piece.text
        return await self._check_piece(piece, role, cited)

    async def _check_piece(self, piece: Piece, role: Role, cited: Sequence[int]) -> Decision:
        if role == "claim" and not self._composer.shown_chars and self._counts_something_else(piece.text):
            self.refused, self.ended = True, "unsupported"
            return _DROP
        if role == "refusal" and is_plain_refusal(piece.text):
            return self._replace_refusal()
        verdict = await self._checker.check_sentence(text := strip_markdown(piece.text), cited)
        if self._evidence == "needed" and lacks_source(text, self._list_sources(verdict)):
            verdict = Verdict("unsupported", score=verdict.score)
        if role == "claim" or (role == "refusal" and verdict.kind == "supported"):
            return self._apply_verdict(piece, verdict)
        if role == "refusal":
            return self._replace_refusal()
        self.contradicted += verdict.kind == "contradicted"
        if verdict.kind == "supported":
            return "hold", piece.text
        return ("hold", render_message(answers.LEAD_IN, self._language)) if role == "lead_in" else _DROP

    async def _table_head(self, row: str) -> str:
        """Return the head of a table without the cells that no passage supports."""
        cells = row.split("|")
        kept = [
            is_formal(cell) or (await self._checker.check_sentence(strip_markdown(cell))).kind == "supported"
            for cell in cells
        ]
        return "|".join(cell if keep else " " for cell, keep in zip(cells, kept, strict=True))

    def _counts_something_else(self, text: str) -> bool:
        """Return whether the question asks for a number and the sentence can only have a number of something else."""
        if classify_question(self._question) != "number":
            return False
        bare = len(extract_claims(text).words) <= _BARE_WORDS
        return (
            self._adopts_question(strip_question_words(self._question), STRANGE)
            if bare
            else self._adopts_question(text, ADOPTED)
        )

    def _adopts_question(self, text: str, share: float) -> bool:
        """Return whether too many words of a text are in the question alone; two languages do not compare."""
        languages = {is_cjk(one.text) for one in self._passages.values()} | {is_cjk(self._question)}
        return len(languages) == 1 and adopted_share(text, self._question, self._known_text) >= share

    @cached_property
    def _known_text(self) -> str:
        return normalise_text("\n".join(f"{one.title} {one.heading} {one.text}" for one in self._passages.values()))

    def _replace_refusal(self) -> Decision:
        """Replace a refusal with fixed words after the answer; alone, it is dropped."""
        first, self.refused = not self.refused, True
        return (
            ("keep", render_message(answers.NO_MORE, self._language)) if first and self._composer.shown_chars else _DROP
        )

    def _apply_verdict(self, piece: Piece, verdict: Verdict) -> Decision:
        """Count a verdict; return its piece with its citations or warning, or that it is dropped."""
        text = self._strip_links(piece.text, verdict.passages)
        if not _LETTER.search(text):
            return _DROP
        if verdict.kind == "supported":
            self.supported += 1
            if self._evidence != "none" and says_less(text, self._list_sources(verdict), self._question):
                return _DROP
            return "keep", citations.append_suffix(text, self._format_citations(verdict), piece.kind)
        self._failed += 1
        if not self.supported and self._failed >= HOPELESS:
            self.ended = self.ended or "unsupported"
        is_contradicted = verdict.kind == "contradicted"
        if is_contradicted or self._unsupported == "drop":
            self.contradicted += is_contradicted
            self.dropped += not is_contradicted
            return _DROP
        if self._unsupported == "show":
            return "keep", text
        self.marked += 1
        return "keep", citations.append_suffix(text, citations.WARNING, piece.kind)

    def _list_sources(self, verdict: Verdict) -> list[Passage]:
        return [self._passages[n] for n in verdict.passages]

    def _strip_links(self, text: str, cited: Iterable[int]) -> str:
        """Return the text with links only to hosts that the asker or one of the passages names."""
        if not may_have_links(text):
            return text
        return strip_foreign_links(text, collect_allowed_hosts((), self._said).union(*(self._hosts[n] for n in cited)))

    @cached_property
    def _hosts(self) -> Mapping[int, frozenset[str]]:
        return {n: collect_allowed_hosts([passage]) for n, passage in self._passages.items()}

    def _format_citations(self, verdict: Verdict) -> str:
        """Return the markers of what supports a sentence, and, where others contradict it, a remark with the dates."""
        supporting = self._numbering.display_passages(*self._list_sources(verdict))
        markers = citations.format_markers(supporting)
        if not verdict.against:
            return markers
        against = self._numbering.display_passages(*(self._passages[n] for n in verdict.against))
        dates = [f"{passage.as_of:%Y-%m-%d}" if passage.as_of else "" for passage in (supporting[0], against[0])]
        phrase = answers.DISAGREEMENT if all(dates) else answers.DISAGREEMENT_UNDATED
        others = citations.format_markers(against)
        return f"{markers} {render_message(phrase, self._language, date=dates[0], others=others, other_date=dates[1])}"

    def _is_repeated(self, piece: Piece, role: Role) -> bool:
        """Return whether a piece repeats an earlier one, and count it; headings, lead-ins and short items may."""
        key = re.sub(r"[\W_]+", "", piece.text.lower())
        short = _SHORT_ITEM_CHARS if piece.kind in {"item", "table"} else _SHORT_CHARS
        if role in {"heading", "lead_in"} or len(key) < short:
            return False
        repeated = key in self._seen
        self._seen.add(key)
        self._repeats += repeated
        if self._repeats >= REPEATS:
            self.ended = "repetition"
        return repeated


def _drop_odd_backtick(text: str) -> str:
    """Remove a backtick that opens code and never closes it: all that follows, citations too, would be code."""
    text = _FENCE.sub("", text)
    if text.count("`") % 2:
        last = text.rindex("`")
        text = text[:last] + text[last + 1 :]
    return text


def strip_markdown(text: str) -> str:
    """Return a sentence without Markdown's marks, for comparing."""
    text = _LINK.sub(r"\1", text)
    for _ in range(2):
        text = _EMPHASIS.sub(r"\2", text)
    if text.lstrip().startswith("|"):
        text = ", ".join(cell.strip() for cell in text.strip().strip("|").split("|") if cell.strip())
    return text.strip().lstrip("#").strip()


def ends_in_loop(text: str) -> bool:
    """Return whether a text ends in the same few words again and again, without a full stop."""
    tail = text[-_LOOP_CHARS:]
    if len(tail) < _LOOP_CHARS or not _LETTER.search(tail):
        return False
    return any(
        tail[-period:] * (_LOOP_CHARS // period) == tail[-(period * (_LOOP_CHARS // period)) :]
        for period in _LOOP_PERIODS
        if tail[-1] == tail[-1 - period]
    )
