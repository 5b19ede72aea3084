"""The question which documents Kvasir answers from, and the answer to it, which no model writes. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from bot.languages.registry import Language
from bot.messages import answers
from bot.messages.durations import format_age
from bot.messages.message import join_names, join_sentences, render_message
from knowledge.interfaces import Viewers
from knowledge.readable import SourceDocuments

_SOURCES_NAMED: Final = 20
_TITLE_CHARS: Final = 80

_THING = (
    "(?:documents?|docs|documentation|sources?|files|pages|data|information|knowledge(?:_base)?|material|texts|content)"
)
_READ = """(?:answer(?:_me|_us)?(?:_questions)?_from|answer|use|know(?:_about)?|have(?:_access_to)?|hold|read|see|cite|
    cover|search(?:_in)?|look_(?:at|in|into|through)|rely_on|draw_on|work_(?:with|from)|base_your_answers_on|index|contain)"""
_ENGLISH = re.compile(
    rf"""
    (?:(?:and|so|ok|okay|hi|hello|hey|please),?_)*(?:(?:can|could)_you_(?:please_)?tell_me_)?(?:
    (?:from_|in_)?(?:which|what|how_many)(?:_(?:kinds?|sorts?)_of)?_{_THING}(?:_(?:do|can|did|have))?_you_{_READ}
        (?:_(?:from|in|for_your_answers|to_answer(?:_questions)?))?
    |(?:which|what)_{_THING}_(?:are|is)_(?:available_to_you|behind_your_answers|in_your_knowledge_base)
    |(?:on_)?(?:which|what)(?:_{_THING})?_(?:are|is)_your_answers?_based(?:_on)?
    |what_(?:do|can)_you_know(?:_about)?
    |what_(?:all_)?can_(?:i|we)_ask_you(?:_about)?
    |what_(?:(?:kinds?|sorts?)_of_)?(?:questions_)?can_you_(?:answer(?:_questions_about)?|help_(?:me|us)_with)
    |(?:what|which)_are_your_{_THING}
    |what(?:'s|_is)_(?:in_)?your_{_THING}
    |how_(?:fresh|old|recent|current|up[-_]to[-_]date)_(?:is|are)_your_{_THING}
    |where_do(?:es)?_(?:you_get_)?your_(?:answers?|{_THING})(?:_come)?_from
    |(?:list|show)(?:_me)?(?:_all)?(?:_of)?_(?:your_{_THING}|(?:the_)?{_THING}_(?:that_)?you_{_READ})
    )""",
    re.VERBOSE,
)
_THING_ZH = "(?:(?:信息|数据|知识|文档|资料|答案)来源|文档|文件|资料|来源|数据源|数据|知识库|知识|信息|内容|页面|材料)"
_CHINESE = re.compile(
    rf"""
    (?:请问|请告诉我|告诉我|那么?)?(?:
    [你您]们?是?[都能会]?(?:可以)?(?:根据|基于|依据|参考|使用|用|从)(?:了|的是|的)?(?:哪些|什么|哪几个|多少){_THING_ZH}
        [来中里]?(?:回答|作答|提供答案)?(?:我们?的)?(?:问题)?的?
    |[你您]们?[都能会]?(?:可以)?(?:有|知道|了解|掌握|读过|读了|看过|访问|包含|收录了?|查阅|检索|搜索)[到了]?
        (?:哪些|什么|多少|哪几个){_THING_ZH}
    |[你您]们?都?(?:知道|了解|懂)[些哪]*(?:什么|哪些方面)
    |[你您]们?都?(?:能|可以|会)回答(?:哪些|什么|哪类|什么样的)(?:方面的?|类型的?)?(?:问题)?
    |我?(?:可以|能)[问向][你您](?:提问)?[些哪什么]+(?:问题)?
    |[你您]们?的(?:{_THING_ZH}|回答|答案)[里中]?都?是?(?:有|来自|来源于|出自|包括|包含|根据|基于|从)?(?:哪些|什么|哪里|哪儿)
        (?:来的)?{_THING_ZH}?的?
    |[你您]们?的{_THING_ZH}(?:有多新|新不新|是最新的|是什么时候更新的|多久更新一次)
    |(?:列出|显示|给我看看?)[你您]们?(?:所有|全部|有的|知道的|的)*{_THING_ZH}
    )[吗呢啊呀]?""",
    re.VERBOSE,
)

Contents = Callable[[Viewers, str], Awaitable[Sequence[SourceDocuments]]]
"""Returns the sources that every viewer may read something of, as filters leave them; raises ``KnowledgeError``.

``Library.list_documents`` implements it."""

_SAID_AROUND = re.compile(r"^[\s,.!?，。！？:：]+|[\s,.!?，。！？:：]+$")


def asks_for_sources(question: str) -> bool:
    """Tell whether a question is about the documents that Kvasir answers from, and about nothing else."""
    words = _SAID_AROUND.sub("", question.replace("’", "'")).casefold().split()
    return bool(_ENGLISH.fullmatch("_".join(words)) or _CHINESE.fullmatch("".join(words)))


def describe_sources(sources: Sequence[SourceDocuments], now: datetime, language: Language) -> str:
    """Return the answer: each source with its kind, its number of documents, its age and some titles."""
    if not sources:
        return render_message(answers.NO_DOCUMENTS, language)
    lines = [_format_line(source, now, language) for source in sources[:_SOURCES_NAMED]]
    if len(sources) > _SOURCES_NAMED:
        lines.append("- …")
    return "\n".join([render_message(answers.OVERVIEW, language), "", *lines])


def _format_line(source: SourceDocuments, now: datetime, language: Language) -> str:
    kind = answers.SOURCE_KINDS.get(source.kind, source.kind)
    count = answers.DOCUMENT_COUNT.fill(count=source.documents)
    if source.synced_at is None:
        about = render_message(answers.SOURCE_UNFINISHED, language, kind=kind, count=count)
    else:
        age = format_age((now - source.synced_at).total_seconds(), language)
        about = render_message(answers.SOURCE_READ, language, kind=kind, count=count, age=age)
    return join_sentences([f"- **{_strip_markdown(source.name)}**", about, *_list_titles(source, language)], language)


def _list_titles(source: SourceDocuments, language: Language) -> list[str]:
    """Return the sentence that names some documents; none where none is known."""
    if not source.titles:
        return []
    named = [render_message(answers.QUOTED_TITLE, language, title=_strip_markdown(title)) for title in source.titles]
    more = [] if source.documents <= len(named) else ["…"]
    return [render_message(answers.TITLES, language, titles=join_names([*named, *more], language))]


def _strip_markdown(text: str) -> str:
    """Return a title without Markdown's marks, on one line."""
    plain = " ".join(re.sub(r"[*_`\[\]<>#|]", "", text).split())
    return plain if len(plain) <= _TITLE_CHARS else f"{plain[: _TITLE_CHARS - 1]}…"
