"""Questions that the documents answer, made from the documents' own headings: pure, and the same for the same input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from knowledge.sync.records import Heading

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
_CHINESE_VERBS = (
    "安装|配置|使用|添加|新增|创建|新建|启用|禁用|开启|关闭|升级|部署|删除|移除|更新|构建|编译|运行|启动|停止|测试|开发|设置|查看|修改|编写|"
    "导入|导出|备份|恢复|迁移|连接|集成|调试|申请|提交|注册|登录|发布|搜索|查询|管理|监控|验证|保护|限制|自定义|扩展|获取|选择|加载|卸载|重启"
)
_HOW_ZH = re.compile(rf"^(?:{_CHINESE_VERBS})\s*\S")
_ASKS_ZH = re.compile(r"^(?:如何|怎么|怎样|为什么|什么是|是否|能否|可以|哪些|何时)")
_HOW_TO = re.compile(r"^how\s+to\s+", re.IGNORECASE)
_ASKS = re.compile(r"^(?:how|what|why|when|where|which|who|can|do|does|is|are|should)\b.*\?$", re.IGNORECASE)
_PARTICLE = re.compile(r"^(?:Up|Out|Down|In|On|Off|Back|To|With|From|A|An|The)\b")
_NUMBER = re.compile(r"^(?:step\s+)?\d+(?:\.\d+)*[.):、]?\s+", re.IGNORECASE)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SHORTEST, _LONGEST = 2, 80
"""Characters; a longer heading is a sentence, not a topic."""


def questions(headings: Sequence[Heading]) -> Iterator[tuple[str, Heading]]:
    """Yield questions with the passages that should answer them: the surest first, documents taking turns."""
    ranked: list[dict[str, list[tuple[str, Heading]]]] = [{}, {}]
    for heading in headings:
        asked = question(heading.heading.rpartition(" › ")[2] or heading.title)
        if asked is not None:
            text, sure = asked
            ranked[0 if sure else 1].setdefault(heading.document, []).append((text, heading))
    seen: set[str] = set()
    for documents in ranked:
        for turn in zip_longest(*documents.values()):
            for pair in turn:
                if pair is not None and pair[0].casefold() not in seen:
                    seen.add(pair[0].casefold())
                    yield pair


def question(heading: str) -> tuple[str, bool] | None:
    """Return the question that a heading answers, and whether the heading says so itself; None for no topic.

    "Add a source", "Adding a source" and "How to add a source" are answered by what follows, as are "如何添加来源" and
    "添加来源"; a noun such as "Security" only names what is told of.
    """
    text = _NUMBER.sub("", re.sub(r"[`*_]+", "", heading)).strip().rstrip(".:：。")
    if not _SHORTEST <= len(text) <= _LONGEST:
        return None
    return _chinese(text) if _CHINESE.search(text) else _english(text)


def _chinese(text: str) -> tuple[str, bool] | None:
    if text.endswith(("?", "？")) or _ASKS_ZH.match(text):
        return text.rstrip("?？") + "？", True
    if _HOW_ZH.match(text):
        return f"如何{text}？", True
    return f"关于{text}，文档是怎么说的？", False


def _english(text: str) -> tuple[str, bool] | None:
    if _ASKS.match(text):
        return text, True
    if how_to := _HOW_TO.match(text):
        return f"How do I {_lower(text[how_to.end() :])}?", True
    first, _, rest = text.partition(" ")
    if not re.fullmatch(r"[A-Za-z]+", first):
        return None
    verb = _verb(first.lower())
    if verb is not None and rest:
        return f"How do I {verb} {_PARTICLE.sub(lambda found: found.group().lower(), rest)}?", True
    return f"What do the documents say about {_lower(text)}?", False


def _verb(word: str) -> str | None:
    """Return the plain form of a known verb, also of its form in -ing."""
    if word in _VERBS:
        return word
    if not word.endswith("ing"):
        return None
    stem = word.removesuffix("ing")
    plain = (stem, f"{stem}e", stem[:-1] if stem[-2:-1] == stem[-1:] else stem)
    return next((form for form in plain if form in _VERBS), None)


def _lower(text: str) -> str:
    """Begin in lower case, unless the first word is a name or an abbreviation."""
    first = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first[1:].islower() or len(first) == 1 else text
