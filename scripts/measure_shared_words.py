"""Measure how many of a question's words stand in the passage that answers it.

A question in people's own words shares few words with the answer; one that was written with the text in view shares
many. The words are the terms of the search, without function words and single characters of Chinese. Of the sections
that are marked as answering a question, the one with most of its words counts. A public question has one paragraph.
Sections are longer than those paragraphs, so the share is also measured in a stretch of equal length around the answer.

    KVASIR_EVAL_DIR=… scripts/measure_shared_words.py
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.language import is_cjk
from knowledge.lexical.terms import index_terms, is_sentence_word, query_terms
from scripts.answer_scores import Item, facts_share
from scripts.eval_sets import folder_or_exit, load_question_sets
from scripts.own_words import SETS, find_body, find_sections, read_documents, read_questions

PUBLIC = {"xquad_en": "en", "xquad_zh": "zh", "cmrc2018": "zh"}
"""The sets to compare with, and their languages."""
REFERENCES = {"en": "xquad_en", "zh": "xquad_zh"}


@dataclass(frozen=True, slots=True)
class SharedWords:
    """The shares of the questions of one set, from 0 to 1."""

    name: str
    lang: str
    sections: list[float]
    """Of the words that stand in the marked section or in the paragraph."""
    stretches: list[float]
    """Of the words that stand in a stretch of ``chars`` characters around the answer; the same for a paragraph."""
    chars: int


def list_content_terms(question: str) -> list[str]:
    """Return the terms of a question without function words and single characters of Chinese."""
    return [
        term
        for term in query_terms(question).split()
        if not is_sentence_word(term) and not (len(term) == 1 and is_cjk(term))
    ]


def measure_shared(question: str, passage: str) -> float | None:
    """Return the share of a question's content terms that stand in a passage; None if it has none."""
    terms = list_content_terms(question)
    if not terms:
        return None
    passage_terms = set(index_terms(passage).split())
    return sum(term in passage_terms for term in terms) / len(terms)


def choose_section(item: Item, sections: Sequence[str]) -> str:
    """Return the section with most of a question's words, of those that state most of its facts."""
    return max(sections, key=lambda text: (facts_share(item, text) or 0.0, measure_shared(item.question, text) or 0.0))


def cut_around_facts(item: Item, section: str, chars: int) -> str:
    """Return the stretch of so many characters with most of the question's words, of those around a stated fact."""
    found = (
        match.start() + (len(match[0]) - chars) // 2
        for fact in item.facts
        for pattern in fact
        for match in re.finditer(pattern, section, re.IGNORECASE)
    )
    starts = {max(0, min(start, len(section) - chars)) for start in found} or {0}
    return max(
        (section[start : start + chars] for start in sorted(starts)),
        key=lambda text: measure_shared(item.question, text) or 0.0,
    )


def measure_public(eval_dir: Path) -> Iterator[SharedWords]:
    """Yield the shares of each public set of questions."""
    for one in load_question_sets(eval_dir):
        if one.name in PUBLIC:
            shares = [measure_shared(question.text, one.passages[question.passage]) for question in one.questions]
            chars = round(statistics.median(len(text) for text in one.passages.values()))
            yield SharedWords(one.name, PUBLIC[one.name], drop_missing(shares), drop_missing(shares), chars)


def measure_own_words(eval_dir: Path, chars: Mapping[str, int]) -> Iterator[SharedWords]:
    """Yield the shares of each file of questions; ``chars`` is the length of a stretch in each language."""
    for asked in SETS.values():
        documents = read_documents(asked.body, find_body(asked.body, eval_dir)) if not asked.lang else {}
        for file in asked.files if documents else ():
            sections, stretches = [], []
            rows = [row for row in read_questions(file) if row["passages"]]
            for row in rows:
                named = [text for mark in row["passages"] for text in find_sections(mark, row["lang"], documents)]
                if not named:
                    sys.exit(f"{file}: no page has the marks of {row['id']}.")
                item = Item(row["id"], file, row["lang"], row["question"], facts=tuple(map(tuple, row["facts"])))
                section = choose_section(item, named)
                sections.append(measure_shared(item.question, section))
                stretches.append(measure_shared(item.question, cut_around_facts(item, section, chars[item.lang])))
            lang = rows[0]["lang"]
            yield SharedWords(file, lang, drop_missing(sections), drop_missing(stretches), chars[lang])


def drop_missing(shares: Iterable[float | None]) -> list[float]:
    """Return the shares of the questions that have content terms."""
    return [share for share in shares if share is not None]


def main() -> None:
    """Print a table."""
    eval_dir = folder_or_exit()
    public = {one.name: one for one in measure_public(eval_dir)}
    references = {lang: public[name] for lang, name in REFERENCES.items()}
    own = measure_own_words(eval_dir, {lang: one.chars for lang, one in references.items()})
    print(
        "Words of the question in the passage that answers it, in percent: in the marked section or paragraph, and in"
    )
    print("the stretch around the answer that is as long as XQuAD's median paragraph of the language\n")
    titles = "".join(f"{name:>10}{'median':>8}{'of XQuAD':>10}" for name in ("section", "stretch"))
    print(f"{'set':14}{'questions':>10}{titles}")
    for one in (*public.values(), *own):
        columns = "".join(
            f"{100 * fmean(shares):>10.1f}{100 * statistics.median(shares):>8.1f}"
            f"{100 * fmean(shares) / fmean(references[one.lang].sections):>10.0f}"
            for shares in (one.sections, one.stretches)
        )
        print(f"{one.name:14}{len(one.sections):>10}{columns}")


if __name__ == "__main__":
    main()
