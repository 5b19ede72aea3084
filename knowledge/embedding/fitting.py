"""Fit the constants of an embedder for which nothing was measured, from those of the default embedder.

Cosines of two models lie in other ranges. Both models embed the same texts: questions in English and Chinese, the
passages that answer them, and other ways to ask them. The mean cosine of pairs that belong together, and that of pairs
that do not, are two points of a line from one range to the other. Each constant of the default embedder, which was
fitted on thousands of questions, moves along that line. Where a model does not separate such pairs across languages, or
in Chinese, its cosines reject and support nothing there.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Final

import numpy as np

from knowledge.embedding.calibration import (
    UNCALIBRATED,
    WORDS_ALONE,
    EmbedderCalibration,
    LogisticWeights,
    OfferThresholds,
    RelatedLimits,
    SearchCalibration,
    SimilarityScale,
    SupportCalibration,
    SupportWeights,
)
from knowledge.embedding.local_e5.calibration import CALIBRATION
from knowledge.interfaces import Embedder, Matrix

_LEAST_SEPARATION: Final = 0.9
"""The default embedder has 0.97 to 1.0. By chance it is 0.5, as across languages for a model of English alone."""
_LEXICAL: Final = (0.05, 0.9)
_NEVER: Final = -1.0
"""A limit that every cosine exceeds."""


@dataclass(frozen=True, slots=True)
class CosineSpan:
    """The mean cosines of pairs of texts."""

    unrelated: float
    related: float
    separation: float
    """How often a pair that belongs together has a higher cosine than one of the same text with another."""

    @property
    def separates(self) -> bool:
        """Return whether cosines say which texts belong together."""
        return self.separation >= _LEAST_SEPARATION


@dataclass(frozen=True, slots=True)
class EmbedderSpans:
    """The cosines of an embedder: of questions with passages, and of questions with each other."""

    english: CosineSpan
    chinese: CosineSpan
    across: CosineSpan
    """Questions and passages in two languages."""
    alike: CosineSpan
    alike_chinese: CosineSpan
    alike_across: CosineSpan


SPANS: Final = EmbedderSpans(
    english=CosineSpan(0.1726, 0.5419, 1.0),
    chinese=CosineSpan(0.2241, 0.6013, 1.0),
    across=CosineSpan(0.14, 0.369, 0.9917),
    alike=CosineSpan(0.792, 0.8631, 0.9667),
    alike_chinese=CosineSpan(0.8325, 0.8967, 0.9917),
    alike_across=CosineSpan(0.7481, 0.8331, 1.0),
)
"""Those of multilingual-e5-small, whose constants are moved; a test measures them."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Converts cosines: that of the reference is ``offset + factor * cosine``."""

    offset: float
    factor: float

    def convert(self, reference: float) -> float:
        """Return the cosine that means as much as one of the reference."""
        return min(1.0, (reference - self.offset) / self.factor)


@functools.cache
def load_texts() -> tuple[Mapping[str, Mapping[str, str]], ...]:
    """Return the committed texts: by language, each subject has a passage, its question and another way to ask it."""
    text = resources.files(__package__).joinpath("calibration_texts.json").read_text(encoding="utf-8")
    return tuple(json.loads(text))


async def measure_spans(embedder: Embedder) -> EmbedderSpans:
    """Return the cosines of an embedder on the committed texts, in about a second.

    Raises:
        EmbedderError: the texts cannot be embedded.

    """
    texts = load_texts()

    def list_texts(kind: str, language: str) -> list[str]:
        return [subject[language][kind] for subject in texts]

    passages = {one: await embedder.embed_passages(list_texts("passage", one)) for one in ("en", "zh")}
    questions = {
        one: np.stack([await embedder.embed_query(text) for text in list_texts("question", one)])
        for one in ("en", "zh")
    }
    asked = {one: await embedder.embed_symmetric(list_texts("question", one)) for one in ("en", "zh")}
    again = {one: await embedder.embed_symmetric(list_texts("again", one)) for one in ("en", "zh")}
    return EmbedderSpans(
        english=_compare([(questions["en"], passages["en"])]),
        chinese=_compare([(questions["zh"], passages["zh"])]),
        across=_compare([(questions["zh"], passages["en"]), (questions["en"], passages["zh"])]),
        alike=_compare([(asked["en"], again["en"])]),
        alike_chinese=_compare([(asked["zh"], again["zh"])]),
        alike_across=_compare([(asked["en"], asked["zh"])]),
    )


def _compare(pairs: Sequence[tuple[Matrix, Matrix]]) -> CosineSpan:
    cosines = [left @ right.T for left, right in pairs]
    others = ~np.eye(len(cosines[0]), dtype=bool)
    return CosineSpan(
        unrelated=round(float(np.mean([one[others] for one in cosines])), 4),
        related=round(float(np.mean([one.diagonal() for one in cosines])), 4),
        separation=round(float(np.mean([(one.diagonal()[:, None] > one)[others] for one in cosines])), 4),
    )


async def fit_calibration(embedder: Embedder) -> EmbedderCalibration | None:
    """Return the constants of an embedder; None if it does not separate English texts.

    Raises:
        EmbedderError: the texts cannot be embedded.

    """
    return move_calibration(await measure_spans(embedder), CALIBRATION, SPANS)


def move_calibration(
    spans: EmbedderSpans, reference: EmbedderCalibration, reference_spans: EmbedderSpans
) -> EmbedderCalibration | None:
    """Return the constants of a reference for an embedder; None if that does not separate English texts."""
    if not spans.english.separates or not spans.alike.separates:
        return None
    line = _draw_line(spans.english, reference_spans.english)
    support, offers = reference.support, reference.offers
    # One limit holds for both languages, so it is the one of the language in which texts are nearer to each other.
    alike = max(
        _draw_line(spans.alike, reference_spans.alike),
        _draw_line(spans.alike_chinese, reference_spans.alike_chinese),
        key=lambda one: one.convert(support.scale.similar),
    )
    alike_across = _draw_line(spans.alike_across, reference_spans.alike_across)
    knows_both = spans.alike_across.separates
    return EmbedderCalibration(
        search=_fit_search(spans, reference.search, reference_spans),
        support=SupportCalibration(
            scale=SimilarityScale(
                similar=alike.convert(support.scale.similar),
                similar_across=alike_across.convert(support.scale.similar_across) if knows_both else 1.0,
                unlike=alike.convert(support.scale.unlike),
            ),
            same=_move_support(support.same, alike),
            across=_move_support(support.across, alike_across) if knows_both else UNCALIBRATED.support.across,
        ),
        # A wrong offer looks like an owner's answer, and one threshold holds for English and Chinese.
        offers=OfferThresholds(
            alike.convert(offers.same_language), alike_across.convert(offers.across_languages) if knows_both else 1.0
        )
        if offers is not None and spans.alike_chinese.separates
        else None,
        extract_scale=reference.extract_scale * line.factor,
    )


def _fit_search(
    spans: EmbedderSpans, reference: SearchCalibration, reference_spans: EmbedderSpans
) -> SearchCalibration:
    line = _draw_line(spans.english, reference_spans.english)
    chinese = _draw_line(spans.chinese, reference_spans.chinese)
    across = _draw_line(spans.across, reference_spans.across)
    limits, knows_both = reference.related, spans.across.separates
    cosine = line.convert(limits.cosine)
    return replace(
        reference,
        lexical_weights=tuple(  # type: ignore[arg-type]  # two of two
            _weigh_words(one, spans.english, reference_spans.english) for one in reference.lexical_weights
        ),
        one_language=_move_logistic(reference.one_language, line),
        across_languages=_move_logistic(reference.across_languages, across) if knows_both else WORDS_ALONE,
        background=line.convert(reference.background),
        related=RelatedLimits(
            cosine=cosine,
            cjk=chinese.convert(limits.cjk) if spans.chinese.separates else _NEVER,
            per_decade=limits.per_decade / line.factor,
            across=cosine - across.convert(limits.cosine - limits.across) if knows_both else 0.0,
            share=limits.share,
        ),
        alike=reference.alike / line.factor,
    )


def _draw_line(span: CosineSpan, reference: CosineSpan) -> _Line:
    """Return the line through both pairs of means. Without a distance of the means, it is as flat as one of 0.01."""
    factor = (reference.related - reference.unrelated) / max(0.01, span.related - span.unrelated)
    return _Line(reference.unrelated - factor * span.unrelated, factor)


def _weigh_words(weight: float, span: CosineSpan, reference: CosineSpan) -> float:
    """Return the weight of words whose odds are less where cosines, as shares of the best one, differ less."""
    spread = (1 - span.unrelated / span.related) / (1 - reference.unrelated / reference.related)
    odds = weight / (1 - weight) * spread
    return float(np.clip(odds / (1 + odds), *_LEXICAL))


def _move_logistic(weights: LogisticWeights, line: _Line) -> LogisticWeights:
    return replace(
        weights,
        cosine=weights.cosine * line.factor,
        over=weights.over * line.factor,
        bias=weights.bias + weights.cosine * line.offset / 0.1,
    )


def _move_support(weights: SupportWeights, line: _Line) -> SupportWeights:
    similarity = weights.of["similarity"]
    return SupportWeights(
        weights.bias + similarity * line.offset, {**weights.of, "similarity": similarity * line.factor}
    )
