"""Compares what a sentence of a note affirms and denies with what was said about the same words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from bot.answering.support.claims import content_words
from bot.answering.support.quantities import Mention, find_numbers, normalise_text
from bot.profiles.notes.transcript import Utterance

REPORTING: Final = content_words(
    "patient doctor reports reported denies denied states stated says said notes noted mentions mentioned complains "
    "describes presents shows showed reveals experiencing experiences history currently includes including plans "
    "患者 医生 自述 表示 否认 提到 目前"
)
"""Words with which a note reports what was said."""
_SCOPE_WORDS: Final = 6  # so far a negation reaches in what was said: transcripts may have no commas
_LONG_WORDS: Final = 25  # of a longer stretch without a full stop nobody knows what it asks and what it says
_NO_DENIAL: Final = re.compile(  # what has a negation and denies nothing
    r"\bnot (?:sure|certain|only|just|too|so|as|that|like)\b|\b(?:or|why) not\b"
    r"|有没有|有无|是不是|能不能|会不会|不适|不舒服|不良|无力"
)
_DENIAL: Final = re.compile(
    r"\b(?:den(?:y|ies|ied|ying)|no|not|never|without|neither|nor|none|cannot|negative for|absence of|free of)\b|n't\b"
    r"|否认|没有|没|无|未|不"
)
_UNSURE: Final = re.compile(  # what may say a denial in other words
    r"\b(?:unable|difficult|trouble|fail|stop|quit|resolv|gone|forg[eo]t|lack|avoid|hardly|barely|rarely|refus|declin|miss"
    r"|instead|problem|maybe|if|whether|former|used to)|n't know|无法|难以|停|忘|可能|如果"
)
_CLAUSE_END: Final = re.compile(  # where a negation ends; a comma in a list does not end it
    r"[.;!?。；]|\b(?:but|however|except|although|though|because|which)\b|但|不过|然而|只是|就是|,\s*[我你他她您]"
    r"|(?:,|\b(?:and|so|then)\b)(?:\s|\band\b){0,4}\b(?:i|you|he|she|it|we|they|there|that|this|my|your|his|her|patient|has|had"
    r"|is|was|does|reports|endorses|admits|states|notes|presents|normal)\b"
)
_ITEM_END: Final = re.compile(r"[,、]|\b(?:and|or)\b|[和或及]")
_SENTENCE: Final = re.compile(r"[^.?!。]+[.?!。]?")
_OPEN_QUESTION: Final = re.compile(
    r"(?:\W|\b(?:and|so|but|okay|um|uh|then)\b)*(?:what|how|when|where|which|who|why)\b|.*(?:什么|怎么|哪|多久|几)"
)
_YES: Final = re.compile(r"\W*(?:yes|yeah|yep|yup|i do\b|i have\b|i am\b|有|是|对|嗯)")
_NO: Final = re.compile(
    r"\W*(?:(?:no|nope|nah|negative|mm-mm|uh-uh|not|never|none|nothing)\b|i (?:do|did|have|am)(?: not|\s?n't)"
    r"|i (?:quit|stopped|used to)\b|没|不|无)"
)

_ALLERGIC_TO: Final = re.compile(r"\ballerg(?:ic|y|ies) to\b(.*)|对(.{1,20}?)过敏")


def is_contradicted(sentence: str, said: Sequence[Utterance]) -> bool:
    """Return whether a sentence denies what was only affirmed, or affirms what was only denied.

    Of 860 sentences of notes that fit lines of their visits (ACI-Bench) it refused 12, two of them rightly. Of 445 that
    were turned into their opposite by a rule, often a clumsy one, it refused 194. Some words of no were added later.
    """
    spoken: dict[bool | None, set[str]] = {True: set(), False: set(), None: set()}
    for affirms, part in _list_spoken(said):
        spoken[affirms] |= content_words(part)
    for affirms, part in _split_by_polarity(normalise_text(sentence)):
        own = spoken[None] if affirms is None else spoken[None] | spoken[affirms]
        for words in (content_words(item) - REPORTING for item in _ITEM_END.split(part)):
            if affirms is not None and words & spoken[not affirms] - own and (affirms or not words & own):
                return True
    return False


def _list_spoken(said: Sequence[Utterance]) -> Iterator[tuple[bool | None, str]]:
    """Yield the parts of what was said with whether they were affirmed, denied, or may be either."""
    for one, answer in zip(said, [*(other.text for other in said[1:]), ""], strict=True):
        sentences = _SENTENCE.findall(normalise_text(one.text))
        for n, sentence in enumerate(sentences, 1):
            # A transcript without full stops may lack question marks, too.
            reply = normalise_text(answer) if n == len(sentences) and sentence[-1] not in ".!。" else ""
            for affirms, part in _split_by_polarity(sentence, _SCOPE_WORDS):
                yield _resolve_answer(sentence, reply, affirms), part


def _resolve_answer(sentence: str, answer: str, affirms: bool | None) -> bool | None:  # noqa: FBT001
    """Return what was said of a part of a sentence, which may be a question that yes or no answers."""
    if affirms is None or _OPEN_QUESTION.match(sentence) or (affirms and len(sentence.split()) > _LONG_WORDS):
        return None
    if _NO.match(answer):
        return False
    return None if sentence.endswith("?") and not (affirms and _YES.match(answer)) else affirms


def _split_by_polarity(text: str, scope: int = 1_000) -> Iterator[tuple[bool | None, str]]:
    """Yield the parts of a text with whether they are affirmed, denied, or may be either.

    A negation reaches ``scope`` words far, at most to the end of its clause.
    """
    for clause in _CLAUSE_END.split(_NO_DENIAL.sub(" ", text)):
        denial = _DENIAL.search(clause)
        if denial is None or _UNSURE.search(clause):
            yield None if _UNSURE.search(clause) else True, clause
        else:
            *affirmed, subject = _ITEM_END.split(clause[: denial.start()])  # "nausea was not reported"
            words = _DENIAL.sub(" ", clause[denial.end() :]).split()
            unclear = [subject, ",", *words[scope:]]
            yield from ((True, " , ".join(affirmed)), (None, " ".join(unclear)), (False, " ".join(words[:scope])))


def is_exchanged(sentence: str, said: Sequence[Utterance]) -> bool:
    """Return whether numbers are in another order than they were said, or beside another word that was said.

    The same holds for what somebody is allergic to. Words and numbers that were not said are left to other rules.
    """
    text, own = normalise_text("\n".join(one.text for one in said)), [*_list_numbers(normalise_text(sentence))]
    spoken, heard = content_words(text), [*_list_numbers(text)]
    places = [[n for n, other in enumerate(heard) if other[0].agrees_with(one[0])] for one in own]
    for (_, beside, _), found in zip(own, places, strict=True):
        if found and beside & spoken and not any(beside & heard[n][2] for n in found):
            return True
    if any(first and second and first[0] > second[-1] for first, second in pairwise(places)):
        return True
    sentences = _SENTENCE.findall(text)
    asked = [n for n, one in enumerate(sentences) if "allerg" in one or "过敏" in one]
    near = {place for n in asked for place in range(n, n + (3 if sentences[n].endswith("?") else 1))}  # the answer
    allergies = content_words(" ".join(one for n, one in enumerate(sentences) if n in near))
    named = content_words(" ".join(map("".join, _ALLERGIC_TO.findall(normalise_text(sentence)))))
    return bool(asked) and not named & spoken <= allergies


def _list_numbers(text: str) -> Iterator[tuple[Mention, frozenset[str], frozenset[str]]]:
    """Yield each number with the word before it, and with all words between the numbers around it in its sentence."""
    numbers = [one for one in find_numbers(text) if not one.each]
    for n, one in enumerate(numbers):
        before = text[numbers[n - 1].end if n else 0 : one.start]
        behind = text[one.end : numbers[n + 1].start if n + 1 < len(numbers) else None]
        words = [found for token in before.split() if (found := content_words(token) - REPORTING)]
        yield one, words[-1] if words else frozenset(), content_words(f"{before} {behind.partition('. ')[0]}")
