"""In which language and tone the model answers, as one line at the end of its prompt. Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

from bot.languages.registry import Language, find_pack

Tone = Literal["plain", "friendly", "formal"]
TONES: Final[tuple[Tone, ...]] = get_args(Tone)


def describe_manner(language: Language | None, tone: Tone, question_language: Language) -> str:
    """Return the line, "" if the model answers plainly in the question's language; ``language`` is None for that."""
    pack = find_pack(language or question_language)
    line = "" if language in {None, question_language} else pack.language_line.format(name=pack.name)
    return " ".join(filter(None, (line, pack.tone_lines.get(tone, ""))))
