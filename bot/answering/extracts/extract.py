"""Choose the few sentences, list items or rows that answer best, without a model or under its answer. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bot.answering.events import Passage
from bot.answering.extracts.answer_types import AnswerType, classify_question, find_answer_spans, find_decisive_span
from bot.answering.extracts.evidence import measure_support
from bot.answering.extracts.passage_parts import Part, cut_part, index_words, split_parts, strip_marks, write_parts
from bot.answering.extracts.sentence_similarities import COMPARED, Similarities
from bot.answering.markdown.citations import Numbering, strip_markers
from bot.answering.markdown.link_policy import collect_allowed_hosts, strip_foreign_links
from bot.answering.markdown.sentences import passage_sentences
from knowledge.language import is_cjk
from knowledge.lexical.terms import query_terms

SOURCES = 3
SOURCE_CHARS = 400
"""The most characters of one source, without its citation and path."""
_PARTS = 3
"""The most sentences, list items or rows of one source."""
_WEIGHTS = np.array([0.3, 2.7, 0.85, 1.4, -0.7, 0.9, 0.3])
"""The weights of the features in ``score_parts``. The second, third and sixth were fitted on XQuAD's English
questions, where nothing introduces a list, so the fourth is half of the second. The others were chosen on every fourth
question of XQuAD and CMRC and on the questions in own words about a gateway: of 27 sets of weights, these show the
most facts. Similarities of another embedder are scaled (``EmbedderCalibration.extract_scale``).
"""
_NEARLY_SOURCE = 2.5
"""A source that scores less by more than this than the best one is left out. On the same questions 0.2 % fewer answers
are shown than with 4, and 1.1 sources instead of 1.4."""
_NEARLY = 4.0
"""A part of a source that scores less by more than this than its best one is left out."""
_RESTS_ON = 2.0
"""What a part gains that has all words of a sentence of the answer above, as much as for two thirds of the question's
words. It was not tuned."""
_SURELY = 0.5
"""How much of the question's weight must be in a part whose words are emphasised."""


def choose_extracts(
    question: str,
    passages: Sequence[Passage],
    numbering: Numbering,
    similarities: Similarities | None = None,
    *,
    answer: str = "",
    is_sure: bool = True,
) -> tuple[str, tuple[Passage, ...]]:
    """Return Markdown with what answers a question best, and the passages that it is from with their displayed numbers.

    A source of which ``answer`` already has every sentence word for word is left out, so the text may be "".

    Args:
        question: as asked.
        passages: best first.
        numbering: gives the passages their displayed numbers.
        similarities: of the question and the sentences, where they are known; else shared words decide.
        answer: what a model wrote above the extracts; parts that it rests on come first.
        is_sure: whether the search is sure that a passage answers; if not, weaker sources are shown, too.

    """
    similar = {
        text: float(value)
        for passage in passages
        if similarities and passage.n in similarities
        for text, value in zip(passage_sentences(passage.text), similarities[passage.n], strict=True)
    }
    parts = ((passage, split_parts(passage.text)) for passage in passages[:COMPARED])
    scored_question = ScoredQuestion(question, [one for one in parts if one[1]], similar, answer)
    ranked = sorted(scored_question.score_parts(), key=lambda one: -one[2].max())
    said, seen = _list_sentences(strip_markers(answer)), frozenset[str]()
    extracts: list[tuple[Passage, str]] = []
    count = 0
    for passage, found, scores in ranked:
        if count == SOURCES or (is_sure and scores.max() <= ranked[0][2].max() - _NEARLY_SOURCE):
            break
        text = _write_extract(scored_question, found, scores, emphasise=is_sure and not (count or answer))
        sentences = _list_sentences(text)
        if sentences <= seen:  # a copy in another file
            continue
        seen, count = seen | sentences, count + 1
        if not sentences <= said:
            extracts.append((numbering.display_passages(passage)[0], text))
    return "\n\n".join(_format_block(*one) for one in extracts), tuple(passage for passage, _ in extracts)


def _list_sentences(text: str) -> frozenset[str]:
    return frozenset(" ".join(strip_marks(sentence).split()) for sentence in passage_sentences(text))


# ── Choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class ScoredQuestion:
    """A question that scores the parts of the passages found for it."""

    def __init__(
        self,
        question: str,
        found: Sequence[tuple[Passage, Sequence[Part]]],
        similar: Mapping[str, float],
        answer: str = "",
    ) -> None:
        self.text = question
        self.type: AnswerType = classify_question(question)
        self._words = frozenset(query_terms(question).split())
        self._answer = [index_words(strip_marks(sentence)) for sentence in passage_sentences(strip_markers(answer))]
        self._found = found
        self._similar = similar
        self._best = max(similar.values(), default=0.0)
        parts = [part.words for _, some in found for part in some]
        counts = Counter(word for words in parts for word in words & self._words)
        self._weights = {word: math.log(1 + (len(parts) + 1) / (count + 0.5)) for word, count in counts.items()}
        self._total = sum(self._weights.values()) or 1.0

    def score_parts(self) -> list[tuple[Passage, Sequence[Part], NDArray[np.float64]]]:
        """Return the passages with their parts and how well each part answers."""
        scored = []
        for rank, (passage, parts) in enumerate(self._found):
            path = index_words(f"{passage.title} {passage.heading}")
            whole = self.measure_share(path.union(*(part.words for part in parts)))
            of_passage = [math.log1p(rank), whole, max(map(self._measure_similarity, parts))]
            features = np.array([[*self._compute_features(part), *of_passage] for part in parts])
            supports = np.array([measure_support(self._answer, part) for part in parts])
            scored.append((passage, parts, features @ _WEIGHTS + _RESTS_ON * supports))
        return scored

    def measure_share(self, words: frozenset[str]) -> float:
        """Return how much of the question is among these words; those that few parts have weigh more."""
        return sum(self._weights.get(word, 0.0) for word in words & self._words) / self._total

    def weigh_text(self, stretch: str) -> float:
        """Return how well a stretch of text answers, words alone considered."""
        return self.measure_share(index_words(stretch)) + 0.5 * bool(find_answer_spans(self.type, stretch, self.text))

    def _compute_features(self, part: Part) -> list[float]:
        answers = bool(find_answer_spans(self.type, strip_marks(part.text), self.text))
        return [
            self._measure_similarity(part),
            self.measure_share(part.words),
            float(answers),
            self.measure_share(index_words(part.lead)),
        ]

    def _measure_similarity(self, part: Part) -> float:
        """Return by how many tenths a part is less similar than the best one, 0 where that is not known."""
        return 10 * (self._similar.get(part.text, self._best) - self._best)


def _write_extract(
    scored_question: ScoredQuestion, parts: Sequence[Part], scores: NDArray[np.float64], *, emphasise: bool
) -> str:
    """Return the extract of one passage: its best parts in their order, as many as there is room for.

    ``emphasise`` puts the words of the best part that answer in bold, where it is clear which they are.
    """
    order = [parts[place] for place in np.argsort(-scores, kind="stable") if scores[place] > scores.max() - _NEARLY]
    best = order[0]
    if len(write_parts([best])) > SOURCE_CHARS:
        return cut_part(best, SOURCE_CHARS, scored_question.weigh_text)
    if scored_question.type == "steps" and best.is_step and (steps := _choose_steps(parts, best)):
        order = steps
    selection: list[Part] = []
    for part in order:
        more = sorted([*selection, part], key=lambda one: one.place)
        if _count_parts(more) > _PARTS or len(write_parts(more)) > SOURCE_CHARS:
            if scored_question.type == "steps":
                break
            continue
        selection = more
    emphasise = emphasise and best.piece.kind != "code" and is_cjk(best.text) == is_cjk(scored_question.text)
    emphasise = emphasise and scored_question.measure_share(best.words) > _SURELY
    span = find_decisive_span(scored_question.type, best.text, scored_question.text) if emphasise else None
    marked = [part.emphasise(span) if part is best and span else part for part in selection]
    extract = write_parts(marked, with_lead=True)
    return next((text for text in (extract, write_parts(marked)) if len(text) <= SOURCE_CHARS), write_parts(selection))


def _choose_steps(parts: Sequence[Part], best: Part) -> list[Part]:
    """Return the steps from the list's first on, if there is room for the best one among them; else from that on."""
    runs = [list(run) for _, run in groupby(parts, lambda part: (part.is_step, part.lead))]
    steps = next(run for run in runs if best in run)
    place = steps.index(best)
    upto = steps[: place + 1]
    return steps if _count_parts(upto) <= _PARTS and len(write_parts(upto)) <= SOURCE_CHARS else steps[place:]


def _count_parts(parts: Sequence[Part]) -> int:
    """Count sentences; of a list, items."""
    return sum(part.begins or not part.is_step for part in parts if part.piece.kind != "code")


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _format_block(passage: Passage, text: str) -> str:
    text = strip_foreign_links(text, collect_allowed_hosts([passage])) if not passage.is_document else text
    lines = "\n".join(f"> {line}".rstrip() for line in text.splitlines())
    return (
        f"**{format_passage_path(passage)}** [{passage.n}]\n{lines}"
        if lines
        else f"**{format_passage_path(passage)}** [{passage.n}]"
    )


def format_passage_path(passage: Passage) -> str:
    """Return where a passage stands, for a person: title, innermost heading and host, without Markdown's marks."""
    heading = passage.heading.rsplit(" › ", 1)[-1]
    parts = [part for part in (passage.title or passage.document, heading) if part]
    path = " › ".join(dict.fromkeys(parts))
    if passage.web is not None:
        return f"{_strip_markup(path) or passage.web.host} ({passage.web.host})"
    return _strip_markup(path) or passage.document


def _strip_markup(path: str) -> str:
    return " ".join(re.sub(r"[*`\[\]<>#|]", "", path.replace("_", " ")).split())
