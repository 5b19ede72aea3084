"""Make questions that the documents answer from their headings: pure and deterministic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from knowledge.sync.manifest.records import DocumentHeading

_WORDS = """
access add adjust allow approve ask assign attach authenticate authorize back build call change check choose clean
clone compare compile configure connect control convert copy create customize debug define delete deploy develop
disable display download edit enable encrypt evaluate export extend fetch filter find fix format generate get group
handle host import improve include inspect install integrate invite limit link list load log make manage merge
migrate modify monitor mount move name open operate organise organize override pass perform prepare prevent process
protect publish pull push query read rebuild receive recover redirect refresh register remove rename render replace
report request reset resolve restart restore restrict retry return review revoke roll rotate route run save scale
schedule search secure select send serve set share show sign start stop store submit subscribe switch sync test
trace track translate troubleshoot tune turn understand uninstall unlock update upgrade upload use validate verify
view watch work write
"""
_VERBS = frozenset(_WORDS.split())
_NOUNS_TOO = frozenset(
    """
    access back build change check clone control copy download edit export filter format group handle host import
    limit link list load log monitor mount move name open pass process pull push query release report request reset
    restart return review roll route run save scale schedule search select share show sign start stop store support
    switch sync test trace track transfer tune update upgrade upload use view watch work
    """.split()  # noqa: SIM905 - a list of so many strings is no easier to read
)
"""Verbs that are also nouns: "Search providers" and "Logging levels" are topics, "Search the logs" is not."""
_OBJECT = re.compile(r"(?:a|an|the|your|our|all|up|out|down|in|on|off|back|to|with|from)\b", re.IGNORECASE)
_POINTS = re.compile(
    r"\b(?:it|its|they|them|their|this|that|these|those|one|ones|here|there|above|below|following|else)\b"
    r"|[它他她]|这|那|上述|以下|下列|该",
    re.IGNORECASE,
)
"""Headings that are only understood in their place."""
_CHINESE_VERBS = (
    "安装|配置|使用|添加|新增|创建|新建|启用|禁用|开启|关闭|升级|部署|删除|移除|更新|构建|编译|运行|启动|停止|测试|开发|设置|查看|修改|编写|"
    "导入|导出|备份|恢复|迁移|连接|集成|调试|申请|提交|注册|登录|发布|搜索|查询|管理|监控|验证|保护|限制|自定义|扩展|获取|选择|加载|卸载|重启"
)
_HOW_ZH = re.compile(
    rf"^(?!配置文件|更新日志|升级日志)(?:{_CHINESE_VERBS})"
    r"(?!.*(?:说明|要求|环境|参数|引擎|指标|项|员|方式|方法|步骤|流程|指南|示例|选项|属性|结果|记录)$)\s*\S"
)
"""Not 测试环境 or 管理员, which are nouns."""
_ASKS_ZH = re.compile(r"^(?:如何|怎么|怎样|为什么|什么是|是否|能否|可以|哪些|何时)")
_BARE_ZH = re.compile(rf"(?:如何|怎么|怎样|为什么)(?:{_CHINESE_VERBS})?[?？]?")
_HOW_TO = re.compile(r"^how\s+to\s+", re.IGNORECASE)
_ASKS = re.compile(r"^(?:how|what|why|when|where|which|who|can|do|does|is|are|should)\b.*\?$", re.IGNORECASE)
_ASKS_PLAINLY = re.compile(
    r"^(?:how|what|why|when|where|who) (?:is|are|does|do|did|can|should|must|may)\b.", re.IGNORECASE
)
_PARTICLE = re.compile(r"^(?:Up|Out|Down|In|On|Off|Back|To|With|From|A|An|The)\b")
_NUMBER = re.compile(r"^(?:step\s+)?\d+(?:\.\d+)*[.):、]?\s+", re.IGNORECASE)
_PARTS = re.compile(r"[:：;；…]|\.{3}|[?？].|--|[<>{}$=]")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SHORTEST, _LONGEST = 2, 80
"""Characters. A longer heading is a sentence, not a topic."""


def generate_questions(headings: Sequence[DocumentHeading]) -> Iterator[tuple[str, DocumentHeading]]:
    """Yield questions with the passages that should answer them, alternating between documents.

    Headings that are questions come first, then instructions, then topics.
    """
    by_kind: list[dict[str, list[tuple[str, DocumentHeading]]]] = [{}, {}, {}]
    for heading in headings:
        question = make_question(heading.heading.rpartition(" › ")[2] or heading.title)
        if question is not None:
            text, rank = question
            by_kind[rank].setdefault(heading.document, []).append((text, heading))
    texts: set[str] = set()
    for documents in by_kind:
        for turn in zip_longest(*documents.values()):
            for pair in turn:
                if pair is not None and pair[0].casefold() not in texts:
                    texts.add(pair[0].casefold())
                    yield pair


ASKED, TO_DO, TOPIC = range(3)
"""The kind of a heading: a question, an instruction or a topic."""


def make_question(heading: str) -> tuple[str, int] | None:
    """Return the question that a heading answers, and its kind; None if it does not stand alone.

    "Add a source", "Adding a source", "How to add a source", "如何添加来源" and "添加来源" are instructions. A noun
    such as "Security" is a topic. "How does it work?" means nothing elsewhere. A heading of two parts ("Finding: make
    eval") or of two questions is not a question that a person asks.
    """
    text = _NUMBER.sub("", re.sub(r"[`*_]+", "", heading)).strip().rstrip(".:：。")
    if not _SHORTEST <= len(text) <= _LONGEST or _POINTS.search(text) or _PARTS.search(text):
        return None
    return _make_chinese_question(text) if _CHINESE.search(text) else _make_english_question(text)


def _make_chinese_question(text: str) -> tuple[str, int] | None:
    if _BARE_ZH.fullmatch(text):
        return None
    if text.endswith(("?", "？")) or _ASKS_ZH.match(text):
        return text.rstrip("?？") + "？", ASKED
    if _HOW_ZH.match(text):
        return f"如何{text}？", TO_DO
    return f"关于{text}，文档是怎么说的？", TOPIC


def _make_english_question(text: str) -> tuple[str, int] | None:
    if how_to := _HOW_TO.match(text):
        rest = text[how_to.end() :].rstrip("?").strip()
        return (f"How do I {_lower_first_word(rest)}?", ASKED) if " " in rest else None
    if _ASKS.match(text) or _ASKS_PLAINLY.match(text):
        return text.rstrip("?") + "?", ASKED
    first, _, rest = text.partition(" ")
    if not re.fullmatch(r"[A-Za-z]+", first):
        return None
    verb = _find_verb(first.lower())
    if verb is not None and rest and (verb not in _NOUNS_TOO or _OBJECT.match(rest)):
        return f"How do I {verb} {_PARTICLE.sub(lambda found: found.group().lower(), rest)}?", TO_DO
    return f"What do the documents say about {_lower_first_word(text)}?", TOPIC


def _find_verb(word: str) -> str | None:
    """Return the plain form of a known verb, also of its -ing form."""
    if word in _VERBS:
        return word
    if not word.endswith("ing"):
        return None
    stem = word.removesuffix("ing")
    plain = (stem, f"{stem}e", stem[:-1] if stem[-2:-1] == stem[-1:] else stem)
    return next((form for form in plain if form in _VERBS), None)


def _lower_first_word(text: str) -> str:
    """Lower the first letter, unless the first word is a name or an abbreviation."""
    first = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first[1:].islower() or len(first) == 1 else text
