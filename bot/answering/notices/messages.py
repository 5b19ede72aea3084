"""Everything that an answer says about itself, in both languages. Nothing here is an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from knowledge.errors import NothingRead, NothingReadReason
from knowledge.language import Language

_MINUTE_S = 90.0
"""From here on a wait is told in minutes."""


@dataclass(frozen=True, slots=True)
class LocalizedText:
    """One text in both languages, with the same fields in braces."""

    en: str
    zh: str
    en_one: str = ""
    """The English text where ``count`` is 1 and it differs."""


class MessageKey(Enum):
    """The texts."""

    EMPTY_QUESTION = LocalizedText(
        "There was no question. Write what you would like to know after my name, for example: how do I add a source?",
        "没有看到问题。请在我的名字后面写下想问的内容，例如：怎样添加一个资料来源？",
    )
    QUESTION_CUT = LocalizedText(
        "The question was very long; only its first {kept} characters were read.",
        "问题太长，只读取了前 {kept} 个字符。",
    )
    SEARCH_FAILED = LocalizedText("The documents could not be searched. {reason}", "无法检索文档。{reason}")
    SEARCH_SLOW = LocalizedText(
        "The documents could not be searched within {seconds} s. Please ask again in a moment.",
        "文档检索在 {seconds} 秒内没有完成，请稍后再问。",
    )
    UNKNOWN = LocalizedText(
        "I do not know: the documents do not seem to answer this.", "我不知道：文档中似乎没有这个问题的答案。"
    )
    UNMENTIONED = LocalizedText(
        "I do not know: the passages that I found do not mention {names}.", "我不知道：找到的段落没有提到{names}。"
    )
    LOOKED_AT = LocalizedText("This is what I looked at:", "我查看了以下内容：")
    FOUND_NOTHING = LocalizedText("I found nothing in the documents about this.", "文档中没有找到相关内容。")
    ENGINE_LOADING = LocalizedText(
        "The engine is still loading{progress}; these are extracts from the documents until then.",
        "引擎仍在加载{progress}，先给出文档摘录。",
    )
    ENGINE_PREPARING = LocalizedText(
        "The engine is still being installed{progress}; these are extracts from the documents until then.",
        "引擎仍在安装{progress}，先给出文档摘录。",
    )
    ENGINE_ABSENT = LocalizedText(
        "No engine is running, so these are extracts from the documents.{detail}",
        "引擎没有运行，以下是文档摘录。{detail}",
    )
    ENGINE_FAILED = LocalizedText(
        "The engine could not answer, so these are extracts from the documents. {reason}",
        "引擎无法回答，以下是文档摘录。{reason}",
    )
    SEARCHING = LocalizedText("is searching the documents…", "正在检索文档…")
    SEARCHING_WEB = LocalizedText("is searching the documents and reading pages of the web…", "正在检索文档并读取网页…")
    READING = LocalizedText("is reading {count} passages…", "正在阅读 {count} 段资料…")
    THINKING = LocalizedText("is thinking…", "正在思考…")
    WRITING = LocalizedText("is writing and checking the answer…", "正在撰写并核对回答…")
    IN_LINE = LocalizedText(
        "You are number {position} in line for the engine{eta}.", "引擎前排队第 {position} 位{eta}。"
    )
    NO_FIRST_TOKEN = LocalizedText(
        "The engine did not begin to answer within {seconds} s, so these are extracts from the documents.",
        "引擎在 {seconds} 秒内没有开始回答，以下是文档摘录。",
    )
    CUT_BY_ERROR = LocalizedText("The answer was cut off. {reason}", "回答中断了。{reason}")
    CUT_BY_TIME = LocalizedText("The answer was cut off after {seconds} s.", "回答在 {seconds} 秒后被截断。")
    CUT_BY_LENGTH = LocalizedText(
        "The answer was cut off because it reached the maximum length.", "回答达到长度上限，已被截断。"
    )
    CUT_BY_REPETITION = LocalizedText(
        "The answer was ended because the model began to repeat itself.", "模型开始重复，回答已提前结束。"
    )
    CHECK_FAILED = LocalizedText(
        "The answer could not be checked against the documents, so these are extracts from the documents. {reason}",
        "无法用文档核对回答，以下是文档摘录。{reason}",
    )
    NOTHING_SUPPORTED = LocalizedText(
        "Nothing that the model wrote could be confirmed by the documents, so these are extracts from the documents.",
        "模型写的内容无法由文档证实，以下是文档摘录。",
    )
    WARNING = LocalizedText(
        "⚠ marks what no passage supports. Check it before you rely on it.",
        "⚠ 表示没有段落支持这一句，使用前请核实。",
    )
    REMOVED = LocalizedText(
        "{count} sentences were removed because the documents say otherwise.",
        "有 {count} 句与文档不符，已删除。",
        "1 sentence was removed because the documents say otherwise.",
    )
    LEFT_OUT = LocalizedText(
        "{count} sentences were left out because no passage supports them.",
        "有 {count} 句没有段落支持，未显示。",
        "1 sentence was left out because no passage supports it.",
    )
    DISAGREEMENT = LocalizedText(
        "(as of {date}; {others}, as of {other_date}, says otherwise)",
        "（截至 {date}；{others} 截至 {other_date}，其中的说法不同）",
    )
    DISAGREEMENT_UNDATED = LocalizedText("({others} says otherwise)", "（{others} 中的说法不同）")
    LEAD_IN = LocalizedText("In detail:", "具体如下：")
    NO_MORE = LocalizedText("The documents do not say more about this.", "文档中没有更多相关内容。")
    ENGINE_SLOW = LocalizedText(
        "The engine did not finish within {seconds} s, so these are extracts from the documents.",
        "引擎在 {seconds} 秒内没有完成回答，以下是文档摘录。",
    )
    NO_ANSWER = LocalizedText(
        "The model gave no answer, so these are extracts from the documents.", "模型没有给出回答，以下是文档摘录。"
    )
    SMALL_MODEL = LocalizedText(
        "A small model on the CPU wrote this, not an R1.", "这是由 CPU 上的小模型写的，不是 R1。"
    )
    THANKS = LocalizedText(
        "You are welcome. Ask me anything else you would like to know.", "不客气，还有问题可以随时问我。"
    )
    GREETING = LocalizedText(
        "Hello. Ask me something, for example: how do I add a source?", "你好，请直接提问，例如：怎样添加一个资料来源？"
    )
    SOURCES = LocalizedText("I answer from these documents:", "我根据以下文档回答：")
    NO_SOURCES = LocalizedText(
        "No document has been read yet that you may see. Add a source to kvasir.toml and run `kvasir sync`.",
        "还没有读取你可以查看的文档。请在 kvasir.toml 中添加来源，然后运行 `kvasir sync`。",
    )
    DOCUMENTS = LocalizedText("{count} documents", "{count} 篇文档", "1 document")
    SOURCE_READ = LocalizedText("({kind}): {count}, read {age}.", "（{kind}）：{count}，{age}读取。")
    SOURCE_UNFINISHED = LocalizedText("({kind}): {count}, not read completely yet.", "（{kind}）：{count}，尚未读完。")
    SOURCE_TITLES = LocalizedText("Titles: {titles}", "标题：{titles}")
    NO_THINKING = LocalizedText(
        "The model that answers now does not think, so this changes nothing until one that thinks is served.",
        "当前的模型不会思考，换成会思考的模型之后才有区别。",
    )
    UNBOUNDED_THINKING = LocalizedText(
        "The engine that answers now can leave thinking out, but not bound it: deep and normal are nearly alike there.",
        "当前的引擎只能关闭思考，不能限制长度：deep 与 normal 几乎没有区别。",
    )
    WEB_ASKED = LocalizedText("I looked on the web, as you asked: {came}.", "已按要求查看网络：{came}。")
    WEB_LINK = LocalizedText(
        "I looked on the web, as a link was given: {came}.", "因为给出了链接，已查看网络：{came}。"
    )
    WEB_RECENT = LocalizedText(
        "I looked on the web, as this is about what is new: {came}.", "问题涉及最新情况，已查看网络：{came}。"
    )
    WEB_WEAK = LocalizedText(
        "I looked on the web, as the documents are not enough: {came}.", "文档内容不足，已查看网络：{came}。"
    )
    WEB_READ = LocalizedText("{count} pages were read", "读取了 {count} 个网页", "one page was read")
    WEB_NOTHING_READ = LocalizedText("no page was read", "没有读到网页")
    WEB_LEFT_OUT = LocalizedText("Left out: {named}.", "未读取：{named}。")
    WEB_LEFT_OUT_MORE = LocalizedText("Left out: {named}; and {more} more.", "未读取：{named}；另有 {more} 个。")
    WEB_OFF = LocalizedText("The live web is not used here.", "这里不使用网络搜索。")
    WEB_CLOSED = LocalizedText(
        "Only listed sites are read here, so this was not: {hosts}.", "这里只读取指定的网站，因此未读取：{hosts}。"
    )


def format_message(phrase: MessageKey, language: Language, **fields: object) -> str:
    """Return a text in a language, its fields filled in."""
    text = phrase.value.zh if language == "zh" else phrase.value.en
    if language == "en" and fields.get("count") == 1:
        text = phrase.value.en_one or text
    return text.format(**fields).strip()


_NOTHING_READ_ZH: Final[dict[NothingReadReason, str]] = {
    "no_source": "尚未配置文档来源。请在 kvasir.toml 中添加 [[source]]，然后运行 `kvasir sync`。",
    "reading": "正在首次读取文档{progress}，请稍后再问。",
    "failed": "没有读到任何文档：上次同步出错而停止，原因见 `kvasir status`。",
    "never": "还没有读取过文档。请运行 `kvasir sync`，然后再问。",
    "empty": "来源已读取，但其中没有文档。请检查 kvasir.toml 中的路径，然后运行 `kvasir sync`。",
}


def explain_nothing_read(error: NothingRead, language: Language) -> str:
    """Return why there is nothing to search, and the next step."""
    progress = f"（{error.done}/{error.total}）" if error.total else ""
    return _NOTHING_READ_ZH[error.why].format(progress=progress) if language == "zh" else str(error)


WEB_CHINESE: Final[Mapping[str, str]] = {
    "It took too long.": "耗时过长",
    "Only some sites are read here, and this is none of them.": "不在允许读取的网站之列",
    "No more than 5 pages are read for one question.": "每个问题最多读取 5 个网页",
    "There is no text on it.": "其中没有文字",
    "It could not be read.": "无法读取",
    "This page cannot be read from here. Open it in a browser, or leave it out.": "无法从这里读取，请用浏览器打开",
    "No search engine is set up here, so the web was not searched.": "尚未配置搜索引擎，因此没有搜索网络。",
    "No search engine answered, so the web was not searched.": "没有搜索引擎应答，因此没有搜索网络。",
    "The search of the web took too long.": "网络搜索耗时过长。",
    "The live web is switched off here.": "这里已关闭网络搜索。",
    "No site may be read for this question.": "这个问题没有允许读取的网站。",
    "The question contains only words that must stay private, so the web was not searched. Ask in other words.": (
        "问题中没有可以对外发送的内容，因此没有搜索网络。请换一种问法。"
    ),
}


def translate_web_sentence(sentence: str, language: Language) -> str:
    """Return what the knowledge room says of the web in the asker's language; an unknown sentence stays as it is."""
    if language != "zh":
        return sentence
    unreadable = sentence.startswith("This page cannot be read: ")
    return WEB_CHINESE.get(sentence, "网页内容无法读取，请用浏览器打开" if unreadable else sentence)


def describe_queue_position(position: int, eta_s: float | None, language: Language) -> str:
    """Return how far a question is from its turn, no more exactly than that is known; "" once its turn has come."""
    return (
        format_message(MessageKey.IN_LINE, language, position=position, eta=_eta(eta_s, language)) if position else ""
    )


def _eta(eta_s: float | None, language: Language) -> str:
    if eta_s is None:
        return ""
    if eta_s < _MINUTE_S:
        number, en, zh = max(5, -(-round(eta_s) // 5) * 5), "s", "秒"
    else:
        number, en, zh = round(eta_s / 60), "min", "分钟"
    return f"，约 {number} {zh}" if language == "zh" else f", about {number} {en}"


def format_progress(progress: float | None, language: Language) -> str:
    """Return how far loading is, to be put behind "loading": "" where it cannot be said."""
    if progress is None:
        return ""
    percent = f"{max(0.0, min(1.0, progress)):.0%}".replace("%", " %")
    return f"（{percent}）" if language == "zh" else f" ({percent})"
