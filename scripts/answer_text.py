"""Normalise and compare texts of answers: containment, refusals, markers. Pure functions.

Dates, numbers and scripts are normalised in English and Chinese. So ``March 2, 1999`` equals ``1999-03-02``, ``三百``
equals ``300``, and ``3.5 million`` equals ``3500000``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

MOST_WORDS = 120
"""Later words of an answer do not count; two Chinese characters count as a word."""
_LONG = 6
"""A reference with so many tokens need not be repeated literally."""
_SHARE = 0.8
"""The share of a long reference's tokens, in order, that an equivalent answer has."""
_REPEATED = 0.6
"""The share of a question's tokens from which an answer without other tokens only repeats it."""
MARK = "⚠"

_MONTHS = tuple("january february march april may june july august september october november december".split())  # noqa: SIM905
_MONTH = "(" + "|".join(f"{name}|{name[:3]}" for name in _MONTHS) + r")\.?"
_ONES = tuple(
    (  # noqa: SIM905
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen"
    ).split()
)
_MONTH_TOKEN, _DAY_TOKEN = 0xE000, 0xE100
"""Private characters for a month and for a day of a month."""
_NUMBERS = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}

_CJK = "\u3400-\u9fff"
_TOKEN = re.compile(rf"[{_CJK}\ue000-\ue1ff]|\d+(?:\.\d+)?|[^\W\d_{_CJK}]+")
_MARKER = re.compile(r"[\[【](\d{1,3}(?:\s*[,，、;]\s*\d{1,3})*)[\]】]")
_SENTENCE_END = re.compile(r"(?<=[。！？!?])(?!\s*⚠)|(?<=\.)(?=\s)(?!\s*⚠)|(?<=⚠)|\n+")


def tokens_of(text: str) -> list[str]:
    """Return comparable tokens: words in lower case, numbers in digits, dates by their parts, CJK characters alone."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _MARKER.sub(" ", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = _plain_numbers(_plain_dates(_chinese_numbers(text)))
    text = text.replace("%", " percent ").replace("&", " and ")
    text = re.sub(r"(?<=[a-z])['’]s\b", "", text)
    return [_canonical(token) for token in _TOKEN.findall(text) if token not in {"the", "a", "an"}]


def contains(reference: str, text: str) -> bool:
    """Return whether a text has a reference or its equivalent.

    The tokens of a reference must follow each other. Of one with many tokens, most must stand in the same order, with
    all its numbers.
    """
    expected, held = tokens_of(reference), tokens_of(text)
    if not expected:
        return False
    if _follow(expected, held):
        return True
    if len(expected) < _LONG:
        return False
    numbers = [token for token in expected if token[0].isdigit()]
    return all(number in held for number in numbers) and _common(expected, held) >= _SHARE * len(expected)


def repeats(question: str, text: str) -> bool:
    """Return whether a text only repeats the question."""
    question_tokens, said = set(tokens_of(question)), set(tokens_of(text))
    return said <= question_tokens and len(said) >= _REPEATED * len(question_tokens)


def first_words(text: str, most: int = MOST_WORDS) -> str:
    """Return the first words of a text."""
    left = 2 * most
    for match in _TOKEN.finditer(text):
        left -= 1 if re.match(rf"[{_CJK}]", match[0]) else 2
        if left < 0:
            return text[: match.start()]
    return text


def count_words(text: str) -> int:
    """Return the number of words; two Chinese characters count as one."""
    tokens = _TOKEN.findall(_MARKER.sub(" ", text))
    chinese = sum(1 for token in tokens if re.match(rf"[{_CJK}]", token))
    return len(tokens) - chinese + (chinese + 1) // 2


def split_sentences(text: str) -> list[str]:
    """Return the sentences of an answer; a mark belongs to the sentence before it."""
    return [piece.strip() for piece in _SENTENCE_END.split(text) if piece and piece.strip()]


def without_marked(text: str) -> str:
    """Return an answer without the sentences that are marked as unsupported."""
    if MARK not in text:
        return text
    return "\n".join(sentence for sentence in split_sentences(text) if MARK not in sentence)


def cited_numbers(text: str) -> list[int]:
    """Return the numbers of the cited passages, in order of appearance."""
    found = [int(number) for match in _MARKER.findall(text) for number in re.findall(r"\d+", match)]
    return list(dict.fromkeys(found))


_REFUSALS = re.compile(
    r"\b(i|we) (do not|don['’]?t|cannot|can['’]?t) (know|answer|find|determine|provide)"
    r"|\b(passages?|documents?|context|text|information|documentation|sources?)\b[^.]{0,40}"
    r"\b(do|does|did|is|are|was|were) ?(not|n['’]t)\b"
    r"|\bnot (mentioned|provided|specified|stated|given|available|included|described|covered|found|answered)\b"
    r"|\b(no|any) (information|mention|details?|answer|passage|document)\b"
    r"|\bfound nothing\b|\bunable to (answer|find|determine)|\bnot possible to (answer|determine)"
    r"|不知道|不清楚|无法(回答|确定|得知|得出|找到|从|判断|提供)|不能(回答|确定)"
    r"|(没有|并未|未|没)(直接|明确|具体|有)?(被)?(提到|提及|提供|说明|给出|包含|涉及|列出|指出|找到|描述|介绍|相关|关于|任何|记载|回答)"
    r"|似乎没有|未知",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Return whether one of the first two sentences says that the answer is unknown."""
    return bool(_REFUSALS.search(" ".join(split_sentences(unicodedata.normalize("NFKC", text))[:2])))


# ── Numbers and dates ────────────────────────────────────────────────────────────────────────────────────────────────


def _canonical(token: str) -> str:
    if token[0].isdigit():
        whole, _, rest = token.partition(".")
        rest = rest.rstrip("0")
        return (whole.lstrip("0") or "0") + (f".{rest}" if rest else "")
    return token


def _plain_dates(text: str) -> str:
    """Return a text with each date as year, month token and day token, if present."""
    day = r"(\d{1,2})(?:st|nd|rd|th)?"
    for pattern, order in (
        (r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b", "ymd"),
        (r"(\d{1,4}) *年(?: *(\d{1,2}) *月(?: *(\d{1,2}) *[日号])?)?", "ymd"),
        (r"(\d{1,2}) *月(?: *(\d{1,2}) *[日号])?", "md"),
        (rf"\b{_MONTH} {day},? +(\d{{4}})\b", "mdy"),
        (rf"\b{day} (?:of )?{_MONTH},? +(\d{{4}})\b", "dmy"),
        (rf"\b{_MONTH},? +(\d{{4}})\b", "my"),
        (rf"\b{_MONTH} {day}\b", "md"),
        (rf"\b{day} (?:of )?{_MONTH}\b", "dm"),
    ):
        text = re.sub(pattern, lambda match, order=order: _date(dict(zip(order, match.groups(), strict=True))), text)  # type: ignore[misc]
    return text


def _date(parts: Mapping[str, str | None]) -> str:
    year, month, day = parts.get("y") or "", parts.get("m"), parts.get("d")
    number = None if month is None else int(month) if month.isdigit() else _month_number(month)
    dates = [
        year,
        "" if number is None else chr(_MONTH_TOKEN + number),
        "" if day is None else chr(_DAY_TOKEN + int(day)),
    ]
    return f" {' '.join(part for part in dates if part)} "


def _month_number(name: str) -> int:
    return 1 + next(place for place, full in enumerate(_MONTHS) if full.startswith(name[:3]))


def _plain_numbers(text: str) -> str:
    """Return a text with English number words and scaled digits as digits."""
    words = "|".join((*_NUMBERS, *_SCALES))
    text = re.sub(rf"\b(?:{words})(?:(?:[ -]| and )(?:{words}))*\b", lambda m: _value_of_words(m[0]), text)
    return re.sub(rf"(\d+(?:\.\d+)?)[ -]({'|'.join(_SCALES)})\b", lambda m: _plain(float(m[1]) * _SCALES[m[2]]), text)


def _value_of_words(phrase: str) -> str:
    words = [word for word in re.split(r"[ -]", phrase) if word != "and"]
    if words[0] in _SCALES:
        return phrase
    total = current = 0
    for word in words:
        if word in _NUMBERS:
            current += _NUMBERS[word]
        elif word == "hundred":
            current = max(1, current) * 100
        else:
            total, current = total + max(1, current) * _SCALES[word], 0
    return str(total + current)


def _chinese_numbers(text: str) -> str:
    """Return a text with Chinese numbers as digits, and ``百分之`` as percent."""
    text = re.sub(r"百分之([\d.]+|[零〇一二三四五六七八九十百两点]+)", lambda m: f"{_chinese_decimal(m[1])}%", text)
    text = re.sub(r"(\d+(?:\.\d+)?) *([万亿])", lambda m: _plain(float(m[1]) * _MYRIADS[m[2]]), text)
    return re.sub(r"[零〇一二三四五六七八九十百千万亿两]+", lambda m: _chinese_value(m[0]), text)


def _chinese_decimal(text: str) -> str:
    whole, _, rest = text.partition("点")
    if not rest:
        return whole if whole[0].isdigit() else _chinese_value(whole)
    return f"{_chinese_value(whole)}.{''.join(str(_DIGITS.get(char, '')) for char in rest)}"


def _chinese_value(numeral: str) -> str:
    """Return a numeral as digits; 万 or 百 alone stays unchanged."""
    if not any(char in _DIGITS or char == "十" for char in numeral):
        return numeral
    if not any(char in _UNITS or char in _MYRIADS for char in numeral):
        return "".join(str(_DIGITS[char]) for char in numeral)
    total = section = digit = 0
    for char in numeral:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char in _UNITS:
            section, digit = section + (digit or 1) * _UNITS[char], 0
        else:
            total, section, digit = (total + section + digit) * _MYRIADS[char], 0, 0
    return str(total + section + digit)


def _plain(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _follow(expected: Sequence[str], held: Sequence[str]) -> bool:
    size = len(expected)
    return any(held[start : start + size] == list(expected) for start in range(len(held) - size + 1))


def _common(expected: Sequence[str], held: Iterable[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(expected) + 1)
    for token in held:
        before = 0
        for place, one in enumerate(expected, 1):
            before, row[place] = row[place], before + 1 if one == token else max(row[place], row[place - 1])
    return row[-1]
