"""The constants that search and answering need of an embedder, as one record.

Cosines of two models do not compare, so each ``EmbedderSpec`` has a record of its own. The constants of a search also
belong to BM25 with k1 = 1.2 and b = 0.75 over the terms of ``knowledge.lexical.terms``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class LogisticWeights:
    """The weights of a logistic regression that estimates whether a passage answers a question."""

    cosine: float
    """The weight of 0.1 of the cosine."""
    over: float
    """The weight of 0.1 of cosine over the background."""
    bm25: float
    """The weight of the share of the ideal BM25."""
    bm25_root: float
    """The weight of that share's square root. In a collection about one subject, common words weigh little."""
    bias: float


WORDS_ALONE: Final = LogisticWeights(cosine=0.0, over=0.0, bm25=5.8, bm25_root=0.0, bias=-3.2)
"""Where there are no cosines, or nobody knows what they mean."""


@dataclass(frozen=True, slots=True)
class RelatedLimits:
    """What a passage needs to have anything to do with a question (``fusion.is_related``)."""

    cosine: float
    """The least cosine in a store of 10,000 passages."""
    cjk: float
    """The same for a question and a passage in Chinese, whose vectors are closer to each other."""
    per_decade: float
    """It grows by so much where the store is ten times larger: the more passages, the nearer the nearest by chance."""
    across: float
    """It is so much less than ``cosine`` in another language."""
    share: float
    """Without that cosine, the least share of the ideal BM25: the passage has rare words of the question."""


@dataclass(frozen=True, slots=True)
class SearchCalibration:
    """The constants of a search; ``scripts/eval_retrieval.py`` measures them."""

    lexical_weights: tuple[float, float]
    """The least and greatest share of the terms in a score: if hardly any term is in the store, and if all are."""
    other_language: float
    """A passage's score is multiplied by it if the question is in another language."""
    one_language: LogisticWeights
    across_languages: LogisticWeights
    background: float
    """The expected cosine of a question with any passage, until there are measured ones."""
    answerable: float
    """The least confidence of an answerable question (``fusion.estimate_best_confidence``)."""
    related: RelatedLimits
    alike: float
    """Copies of a passage differ in their cosine by at most this much."""


@dataclass(frozen=True, slots=True)
class SimilarityScale:
    """What the cosines of an embedder mean.

    Of unrelated texts, 98 % are less similar than ``similar`` and ``similar_across``. Above, similarity says nothing
    more: a sentence with one word changed is more similar to its passage than a good paraphrase.
    """

    similar: float
    similar_across: float
    unlike: float
    """Expected of sentences that share no words."""


@dataclass(frozen=True, slots=True)
class SupportWeights:
    """A linear model of how well a passage supports a sentence. From a logit of zero on it counts as supported."""

    bias: float
    of: Mapping[str, float]
    """The weights by the names of ``bot.answering.support.features``. A feature without a weight counts nothing."""


@dataclass(frozen=True, slots=True)
class SupportCalibration:
    """The constants of the support check; ``scripts/eval_support.py --fit --most 500`` prints its weights."""

    scale: SimilarityScale
    same: SupportWeights
    """The weights of a sentence and a passage in one language."""
    across: SupportWeights


@dataclass(frozen=True, slots=True)
class OfferThresholds:
    """The least cosine of questions of which the verified answer of one is offered for the other."""

    same_language: float
    across_languages: float


@dataclass(frozen=True, slots=True)
class EmbedderCalibration:
    """The constants of one embedder."""

    search: SearchCalibration
    support: SupportCalibration
    offers: OfferThresholds | None
    """None: no verified answer is offered for a similar question. ``scripts/eval_verified.py`` measures them."""
    extract_scale: float
    """The factor that makes a difference of cosines mean as much as the weights of ``bot.answering.extracts`` assume.
    0: sentences are not compared. ``scripts/eval_extracts.py`` measures it."""


_AGAINST: Final = dict.fromkeys(
    ("number", "identifier", "name", "binding", "denial", "negation", "opposite", "swapped", "renamed"), -5.0
)

UNCALIBRATED: Final = EmbedderCalibration(
    search=SearchCalibration(
        lexical_weights=(0.2, 0.5),
        other_language=1.0,
        one_language=WORDS_ALONE,
        across_languages=WORDS_ALONE,
        background=0.0,
        answerable=0.3,
        related=RelatedLimits(cosine=-1.0, cjk=-1.0, per_decade=0.0, across=0.0, share=0.5),
        alike=2.0,
    ),
    support=SupportCalibration(
        scale=SimilarityScale(similar=1.0, similar_across=1.0, unlike=0.0),
        same=SupportWeights(-9.0, {"overlap": 10.0, **_AGAINST}),
        across=SupportWeights(-1.0, _AGAINST),
    ),
    offers=None,
    extract_scale=0.0,
)
"""The constants of an embedder for which nothing was measured; chosen, not measured. Cosines order, words decide:

- Search: vectors still find and order passages. No cosine rejects one, because each sentence of an answer is checked
  and a wrong "I do not know" is the worse error. The confidence comes from words alone, so it is never high across
  languages.
- Support: nine tenths of a sentence's words must be in a passage, and any strange fact outweighs them. Across languages
  words say nothing, so only the judge can support a sentence. Its logit is just above the one from which it is asked.
- Offers: off, because a wrong offer looks like an owner's answer.
- Extracts: shared words alone choose them, as where the embedder fails.
"""

OUTDATED: Final = replace(UNCALIBRATED)
"""The same constants, where another version of ``FITTING_VERSION`` fitted the stored ones."""

FITTING_VERSION: Final = 1
"""Increase it if other constants are fitted: with another form of ``EmbedderCalibration``, another algorithm, other
texts, or other constants of the default embedder."""
