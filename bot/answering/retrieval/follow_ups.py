"""Make a follow-up question searchable: "and in Spain?" means nothing to a search without the question before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from bot.answering.events import Exchange
from bot.answering.markdown.citations import strip_markers
from bot.languages.registry import LANGUAGES, detect_language, find_pack
from knowledge.language import IDEOGRAPH
from knowledge.masking import MASK, mask_secrets
from knowledge.search.query import separate_filters

Mask = Callable[[str], str]
"""Returns a text with masks for secrets and personal data."""

_JOINED_CHARS = 600
_NAMING_CHARS = 60
"""Characters of the beginning of an answer, which names what it is about."""
_NAME_WORDS = 3
_CHAIN = 3
_OUTSIDE_CHARS = 200
"""Characters of earlier questions in a web query: a search engine must not see a whole thread."""

_POINTERS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|that|this|these|those|there|he|him|his|she|her|former|latter|above|instead"
    r"|(?:the|which|that|this|another|other|first|second|third|last|next) ones?)\b"
    r"|[它他她]|这(?:个|些|样|种|里|儿|一|项|条|两)?|那(?:个|些|样|种|里|儿|一|项|条|两)|其(?:中|他|它|余)?|上面|前者|后者|同样|该",
    re.IGNORECASE,
)
_NOT_POINTERS = re.compile(
    r"\b(?:is|are|was|were) there\b|\bthere (?:is|are|was|were)\b|\bthis (?:week|month|year|quarter)\b"
    r"|\b(?:so|such) that\b|\binstead of\b|\bthe same\b|这(?:周|个?月|年|次|季度)"
    # "requests that come", "a path that ends": of a noun, not of what was said
    r"|(?<=\w )that (?:\w+[^\Ws]s|are|was|were|has|have|had|can|will|would|should|do|did|match|come|go|need|use|run)\b",
    re.IGNORECASE,
)
_DEFINES = re.compile(
    r"^(?:what|who|where) (?:is|are|was|were) (?!it\b|that\b|this\b)|(?:是什么|是谁|在哪里?|什么意思)[？?。]?$",
    re.IGNORECASE,
)
_MARKS = re.compile(r"[*_`>#|]+|<[^<>\s]*>")
_OPENER = re.compile(
    r"^(?:and|or|but|also|then|so|ok(?:ay)?|same|what about|how about|what if)\b[\s,]*(?:(?:what|how) about\b\s*)?",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(r"\b(?:with|to|in|by|from|for|on|into|via|using|through|as|at)\b", re.IGNORECASE)
_LATIN_NAME = re.compile(r"[A-Za-z][\w.+-]*(?: +[A-Za-z][\w.+-]*)*", re.ASCII)
_CHINESE_FRAGMENT = re.compile(r"(?:呢|的话)[？?。]?$")
_CHINESE_QUESTION = re.compile(r"什么|怎么|怎样|如何|为何|多少|多久|哪|谁|几|吗")
_FRAGMENT_IDEOGRAPHS = 10
_FRAGMENT_WORDS = 6
_VERBS = re.compile(
    r"is|are|was|were|am|do|does|did|can|could|should|would|will|shall|may|might|must|has|have|had|how|what|where|when|why"
    r"|who|which|whose|anyone|anybody|know|isn't|aren't|don't|doesn't|can't|cannot|won't"
)
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./'-]*")
# Thai to Burmese, Khmer, kana, ideographs, Hangul: what is written on behind a name without a blank.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_NAME_ENDS = rf"(?!_*[^\W_{_UNSPACED}])"
"""No other letter follows, with which it would be another name; the _ of what is set in italics is none."""
_EMPTY_WORDS = re.compile(
    r"a|an|the|is|are|was|were|do|does|did|can|could|should|would|will|may|must|i|we|you|me|my|our|your|to|of"
    r"|for|in|on|at|by|with|from|and|or|not|no|yes|what|how|why|when|where|which|who|whom|whose|many|much|long"
    r"|often|far|big|please|tell|give|more|detail|details|example|examples|exactly|really|still|about|be|been"
    r"|have|has|had|get|need"
)
_EMPTY_CHINESE = re.compile(
    "什么|怎么样|怎么|怎样|如何|为什么|多少|多久|多长|多大|几|哪里|哪个|哪些|哪|谁|吗|呢|吧|啊|的|了|是|有|在|我|你|请|能|(?<![年例晚])会|可以|需要|"
    "应该|要|详细|具体|例子|一下|说|讲|更|再|和|与|时间|时候"
)
_NAMES_A_FILE = re.compile(
    r"\b(?:files?|documents?|attach\w*|pdfs?|pages?|slides?|decks?|sheets?|spreadsheets?|reports?|summar\w+)\b"
    r"|文件|附件|文档|表格|幻灯片|第.{1,4}页|总结|概括",
    re.IGNORECASE,
)


def build_search_query(question: str, history: Sequence[Exchange], rewritten: str | None = None) -> str:
    """Return the search query of a question: with the earlier questions that it depends on, and the filters that apply.

    A question may open like a continuation, point back, be a fragment or name almost nothing. It is then joined with
    the question before, up to three times. A part that the new question replaces is left out ("by IP address", "and by
    user agent?"). If the new question points back, the beginning of the answer, which mostly names the thing, is joined
    too. ``rewritten`` replaces the joined words. The latest value of each filter counts; a question of its own has none
    but its own.
    """
    words, filters = separate_filters(question.strip())
    chain = [(words, "")]
    for exchange in reversed(history[-_CHAIN:]):
        if not depends_on_history(chain[0][0]):
            break
        # What others wrote says what the question is about; only the asker's own filters count.
        before = separate_filters(exchange.messages.strip())[0]
        if before:
            chain.insert(0, (before, exchange.answer))
            filters = {**separate_filters(exchange.question.strip())[1], **filters}
    # In front of the words, where nothing that is left open in them can swallow a filter.
    return " ".join([*filters.values(), separate_filters(rewritten)[0] if rewritten else _join_questions(chain)])


def find_mentioned_people(question: str, history: Sequence[Exchange], people: Collection[str]) -> list[str]:
    """Return which ``people`` are mentioned, behind an @, in what a search engine may see."""
    said = (question, *(one.question for one in history[-_CHAIN:]))
    return [name for name in people if name and any(f"@{name}" in text for text in said)]


def keep_questions_only(
    history: Sequence[Exchange], names: Collection[str], mask: Mask = mask_secrets
) -> list[Exchange]:
    """Return the asker's questions, which a search engine may see, masked by ``mask_people``.

    An answer is made of documents, and others did not ask for a search of what they wrote.
    """
    return [Exchange(mask_people(said.question, names, mask), "") for said in history[-_CHAIN:]]


def mask_people(text: str, names: Collection[str], mask: Mask = mask_secrets) -> str:
    """Return a text masked, and without the colleagues of ``names`` that it mentions.

    To be done before anything is cut: what stands before a secret or a name tells that it is one. Names that follow a
    blank, a _ or Chinese go first, the others when addresses, which have an @ too, are masked, and numbers in names.
    """
    if not names:
        return mask(text)
    all_names = sorted({one for name in names for one in (name, mask(name)) if one != MASK}, key=len, reverse=True)
    name = rf"@(?:{'|'.join(map(re.escape, all_names))}){_NAME_ENDS}"
    return re.sub(name, MASK, mask(re.sub(rf"(?<![!-^`-~]){name}", MASK, text)))


def build_web_query(question: str, history: Sequence[Exchange]) -> str:
    """Return the web query: people's own words, of ``question`` and the questions that it depends on.

    ``history`` is as ``keep_questions_only`` gives it. The newest words come first: the end may be cut off.
    """
    words = separate_filters(question.strip())[0]
    before = separate_filters(build_search_query(question, history))[0].removesuffix(words).strip()
    if len(before) > _OUTSIDE_CHARS:
        before = before[-_OUTSIDE_CHARS:].partition(" ")[2] or before[-_OUTSIDE_CHARS:]
    return f"{words} {before}".strip()


def _join_questions(chain: Sequence[tuple[str, str]]) -> str:
    """Return questions, each with its answer, as one: oldest first, the last as it is."""
    said, answer = chain[0]
    for question, next_answer in chain[1:]:
        names = (
            " ".join(_MARKS.sub(" ", strip_markers(answer))[:_NAMING_CHARS].split()) if _points_back(question) else ""
        )
        words = f"{_keep_of_earlier(said, question)} {names}".strip()
        said, answer = f"{words[:_JOINED_CHARS]} {question}", next_answer
    return said[-2 * _JOINED_CHARS :] if len(chain) > 1 else said


def _keep_of_earlier(before: str, question: str) -> str:
    """Return what of an earlier question a new one does not replace."""
    if _points_back(question):
        return before
    if detect_language(question) == "zh":
        return _replace_name(before, question)
    new = _OPENER.sub("", question)
    opened = new != question
    preposition = _PREPOSITION.match(new)
    if preposition is None and (not opened or new.lower().startswith("the ") or len(WORD.findall(new)) > _NAME_WORDS):
        return before
    same = preposition[0].lower() if preposition else None
    places = [found.start() for found in _PREPOSITION.finditer(before) if same in {None, found[0].lower()}]
    head = before[: places[-1]].rstrip() if places else ""
    return head if _count_substance(head) > 1 else before


def _replace_name(before: str, question: str) -> str:
    """Put the Latin name that a Chinese question is about in the place of the last one before."""
    if not _is_fragment(question):
        return before
    new, old = _LATIN_NAME.search(question), list(_LATIN_NAME.finditer(before))
    return f"{before[: old[-1].start()]}{new[0]}{before[old[-1].end() :]}" if new and old else before


def depends_on_history(question: str) -> bool:
    """Return whether a question cannot be understood without the conversation."""
    text = question.strip()
    if _points_back(text) or _is_fragment(text) or any(pack.follow_up.search(text) for pack in LANGUAGES.values()):
        return True
    return _count_substance(text) < (1 if _DEFINES.search(text) else 2)


def asks_about_material(question: str) -> bool:
    """Return whether a question names a file, a page or a summary, or cannot be understood alone."""
    return bool(_NAMES_A_FILE.search(question)) or depends_on_history(question)


def is_function_word(word: str) -> bool:
    """Return whether a word, in lower case, has no meaning of its own or only points back."""
    return bool(_EMPTY_WORDS.fullmatch(word) or _POINTERS.fullmatch(word))


def _points_back(text: str) -> bool:
    plain = _NOT_POINTERS.sub(" ", text)
    pointer = _POINTERS.search(plain)
    return (
        pointer is not None and _count_substance(plain[: pointer.start()]) <= find_pack(detect_language(text)).own_words
    )


def _is_fragment(text: str) -> bool:
    """Return whether a question is no sentence: "with status 308?", 发到 ClickHouse 呢？.

    Words without a question mark are how many people search; they are a subject of their own.
    """
    if _CHINESE_FRAGMENT.search(text):
        return len(IDEOGRAPH.findall(text)) <= _FRAGMENT_IDEOGRAPHS and not _CHINESE_QUESTION.search(text)
    words = [word.lower() for word in WORD.findall(text)]
    is_question = text.endswith(("?", "？")) and detect_language(text) == "en"
    return is_question and len(words) <= _FRAGMENT_WORDS and not any(map(_VERBS.fullmatch, words))


def _count_substance(text: str) -> int:
    """Count what a question names: English words with a meaning, Chinese characters with one by twos."""
    words = sum(not _EMPTY_WORDS.fullmatch(word.lower()) for word in WORD.findall(text))
    if detect_language(text) != "zh":
        return words
    return words + (len(IDEOGRAPH.findall(_EMPTY_CHINESE.sub("", text))) + 1) // 2
