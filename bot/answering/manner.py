"""In which language and tone the model answers, as one line at the end of its prompt. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from knowledge.language import Language

Tone = Literal["plain", "friendly", "formal"]
TONES: Final[tuple[Tone, ...]] = get_args(Tone)

_LANGUAGES: Final[Mapping[Language, str]] = {
    "en": "Write the answer in English, whatever the language of the question is.",
    "zh": "无论提问用哪种语言，都请用中文作答。",
}
_TONES: Final[Mapping[tuple[Tone, Language], str]] = {
    ("friendly", "en"): "Write in a friendly and personal tone.",
    ("friendly", "zh"): "语气请亲切友好。",
    ("formal", "en"): "Write in a formal tone.",
    ("formal", "zh"): "语气请正式。",
}


def describe_manner(language: Language | None, tone: Tone, question_language: Language) -> str:
    """Return the line, "" if the model answers plainly in the question's language; ``language`` is None for that."""
    answer_language = language or question_language
    sentences = [
        "" if answer_language == question_language else _LANGUAGES[answer_language],
        _TONES.get((tone, answer_language), ""),
    ]
    return " ".join(filter(None, sentences))
