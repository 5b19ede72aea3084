"""What Kvasir needs to write in one language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguagePack:
    """A language: its name, how it is recognised, its texts for people, and what a model is asked in it.

    Attributes:
        code: as the locales of Slack begin, ``de`` for ``de-DE``; at most 8 characters.
        name: in the language itself, so that people find it.
        detect: returns whether a text without code and links is in the language.
        translations: of English texts of ``bot/messages``. Those into Chinese stand next to them, as ``Message.zh``.
        instructions: how a model answers from passages. ``brief_instructions`` are those of a small model.
        length_lines: by the length that a person chose. They follow the question and are not repeated with earlier
            turns, so the cached part of a prompt stays the same.
        language_line: asks for an answer in this language to a question in another one.
        tone_lines: by the tone that a channel chose.
        picture_line: asks a vision model to answer from the pictures, too.
        quote_head: stands above what somebody else wrote.
        judge_claim: asks a model whether passages state a claim, and ``judge_answer`` whether they answer a question.
            Each is answered with one of ``yes_no``.
        passage_names: of one passage, and of several, whose numbers are joined by ``passage_separator``.
        refusal: is found in a sentence that says that the passages do not hold the answer.
        rewrite_question: asks a model for a follow-up in words that can be understood alone.
        follow_up: is found in a question that continues the one before: "and in Spain?".
        own_words: with more meaningful words before it, a pointer ("it") refers to them and not to the conversation.

    """

    code: str
    name: str
    detect: Callable[[str], bool]

    translations: Mapping[str, str]
    list_separator: str
    clause_separator: str
    sentence_separator: str

    instructions: str
    brief_instructions: str
    question_label: str
    length_lines: Mapping[str, str]
    language_line: str
    tone_lines: Mapping[str, str]
    picture_line: str
    quote_head: str
    app_author: str
    unknown_author: str

    judge_claim: str
    judge_answer: str
    yes_no: tuple[str, str]
    passage_names: tuple[str, str]
    passage_separator: str
    refusal: re.Pattern[str]

    rewrite_question: str
    follow_up: re.Pattern[str]
    own_words: int
