"""Quote what other people wrote, so that a model cannot take it for the asker's words or for anybody else's. Pure.

Only the asker's message of a turn is an instruction. What other people, guests and apps wrote is quoted. Each of their
lines begins with ``| ``, so none can look like a question, a frame or somebody else's line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bot.answering.events import Quote
from bot.answering.markdown.link_policy import strip_invisible_characters
from bot.languages.pack import LanguagePack
from bot.languages.registry import choose_language, find_pack

_CONTROL = re.compile(
    r"""
    [<>\[](?:
        (?<=<)(?:
            (?=[|｜])
            | (?=/?(?:think|answer|s|unk|pad|bos|eos|mask|passage|tool_calls?|tool_response|tools|file_sep|repo_name|
                reponame|filename|gh_stars|issue_\w+|jupyter_\w+|empty_output|endoftext|end_of_text|begin_of_text|
                start_of_turn|end_of_turn|image|vision_\w+|box_\w+|fim_\w+)\b[^<>\n]{0,40}>)
            | (?=\s*/?\s*passage\b)  # our own frame, however it is broken over lines
            | <(?=/?SYS>>)
        )
        | (?<=[|｜]>)
        | (?<=\[)(?=/?INST\])
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""It begins with a set of characters, because such a pattern is searched fast."""
_MARK = "| "

_NAME_CHARS = 40
_NAME_MARKS = " .'’-_"
_COLON_LETTERS = "ːˑ"
"""Letters that look like a colon."""
_ROLES = re.compile(
    r"(?:.*[._'’-])?(?:kvasir|system|assistant|user|developer|tool|question|answer|passage|instructions?)(?:[._'’-].*)?"
    r"|.*(?:系统|系統|助手|用户|用戶|问题|問題|指令|段落).*"
)
_NO_NAME = re.compile(r"\d{4,}|.*\d[-._]\d.*|.*\d[年月日].*|www\..*")
_ALPHABETS = ("LATIN", "CYRILLIC", "GREEK")


def neutralise_control_tokens(text: str) -> str:
    """Return the text without anything that a vocabulary could read as a control token or as our own framing.

    ``<|im_end|>``, ``<｜User｜>``, ``</think>`` and their like keep their look and lose their effect: the brackets
    become ‹ and ›, which no control token has. Invisible characters, which could break such a token up, are removed.
    """
    return _CONTROL.sub(lambda match: "›" if match[0] == ">" else "‹", strip_invisible_characters(text))


def neutralise_name(name: str) -> str:
    """Return a display name as a few words that can only be a name; "" if nothing remains.

    It loses invisible characters, colons and other marks, dates, addresses, and words that name a role ("system").
    """
    visible = strip_invisible_characters(unicodedata.normalize("NFKC", name[: 4 * _NAME_CHARS]))
    plain = "".join(char if _is_name_character(char) else " " for char in visible)
    return " ".join(filter(_is_name_word, plain.split()))[:_NAME_CHARS].strip()


def format_quotes(quotes: Sequence[Quote]) -> str:
    """Return what other people wrote as a part of a prompt, "" for nothing."""
    pack = find_pack(choose_language("\n".join(quote.text for quote in quotes)))
    return "\n".join(_format_quote(quote, pack) for quote in quotes)


def quote_lines(text: str) -> list[str]:
    """Return the lines of a text, each marked as quoted; every character that ends a line for somebody ends one."""
    return [f"{_MARK}{line}".rstrip() for line in neutralise_control_tokens(text).splitlines()]


def _format_quote(quote: Quote, pack: LanguagePack) -> str:
    name = neutralise_name(quote.author)
    author = name or pack.unknown_author
    if quote.is_app and name:
        author = pack.app_author.format(name=name)
    return "\n".join((pack.quote_head.format(author=author), *quote_lines(quote.text)))


def _is_name_character(char: str) -> bool:
    letter = char.isalnum() or unicodedata.category(char).startswith("M")
    return (letter and char not in _COLON_LETTERS) or char in _NAME_MARKS


def _is_name_word(word: str) -> bool:
    """Return whether a word of a display name may stand for a person: it plays no role and mixes no alphabets."""
    folded = unicodedata.normalize("NFKD", word.casefold())
    bare = "".join(char for char in folded if not unicodedata.combining(char))
    alphabets = {unicodedata.name(char, "").partition(" ")[0] for char in bare if char.isalpha()}
    mixed = len(alphabets.intersection(_ALPHABETS)) > 1
    return not (mixed or _ROLES.fullmatch(bare) or _NO_NAME.fullmatch(bare))
