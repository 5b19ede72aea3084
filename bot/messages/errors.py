"""What a person reads about an error: what happened and the next step.

An error of the knowledge has an English sentence for logs and the command line (``{text}``), and its class or code is
worded here. An error of the engine has a note, which ``bot/messages/engine.py`` words.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from bot.errors import BotError
from bot.messages.engine import word_note
from bot.messages.message import Message, render_message
from engine.errors import EngineError
from knowledge import errors as knowledge
from knowledge.errors import ErrorCode, FilterProblem, UnreadableReason

AS_RAISED = Message("{text}", "{text}")
UNEXPECTED = Message(
    "Something went wrong inside Kvasir ({kind}). The log has the details; please try again.",
    "Kvasir 内部出错（{kind}）。详情见日志，请再试一次。",
)
TIMEOUT = Message("It took too long and was stopped. Please try again.", "耗时过长，已停止。请再试一次。")
SYSTEM = Message(
    "The operating system reports: {reason}. Fix that and try again.", "操作系统报告：{reason}。请解决后再试。"
)

NOTHING_READ: Final[Mapping[knowledge.NothingReadReason, Message]] = {
    "no_source": Message(
        knowledge.NOTHING_READ_TEXTS["no_source"],
        "尚未配置文档来源。请在 kvasir.toml 中添加 [[source]]，然后运行 `kvasir sync`。",
    ),
    "reading": Message(knowledge.NOTHING_READ_TEXTS["reading"], "正在首次读取文档{progress}，请稍后再问。"),
    "failed": Message(
        knowledge.NOTHING_READ_TEXTS["failed"], "没有读到任何文档：上次同步出错而停止，原因见 `kvasir status`。"
    ),
    "never": Message(knowledge.NOTHING_READ_TEXTS["never"], "还没有读取过文档。请运行 `kvasir sync`，然后再问。"),
    "empty": Message(
        knowledge.NOTHING_READ_TEXTS["empty"],
        "来源已读取，但其中没有文档。请检查 kvasir.toml 中的路径，然后运行 `kvasir sync`。",
    ),
}
READING_PROGRESS = Message(" ({done} of {total})", "（{done}/{total}）")

FILTERS: Final[Mapping[FilterProblem, Message]] = {
    FilterProblem.NO_WORDS: Message(
        FilterProblem.NO_WORDS.value, "除了“{text}”之外没有可以搜索的内容：请写下想问的问题。"
    ),
    FilterProblem.NO_DATE: Message(
        FilterProblem.NO_DATE.value,
        "“{text}”不是日期。请写成 2026-01-31、2026-01 或 2026；如要搜索这些文字本身，请加上引号。",
    ),
    FilterProblem.RUN_TOGETHER: Message(FilterProblem.RUN_TOGETHER.value, "问题中的筛选条件连在了一起：请用空格隔开。"),
    FilterProblem.TOO_MANY: Message(
        FilterProblem.TOO_MANY.value, "无法同时理解问题中的这些筛选条件。请减少条件，并写在问题末尾。"
    ),
    FilterProblem.NOT_IN_CHANNEL: Message(
        FilterProblem.NOT_IN_CHANNEL.value,
        "此处只搜索 {key}:{allowed}，而问题要求 {key}:{requested}。请去掉 {key}:，或在别处提问。",
    ),
}

UNREADABLE: Final[Mapping[StrEnum, Message]] = {
    UnreadableReason.HUMAN_CHECK: Message(UnreadableReason.HUMAN_CHECK.value, "要求证明是真人访问"),
    UnreadableReason.COOKIES: Message(UnreadableReason.COOKIES.value, "要求启用 Cookie"),
    UnreadableReason.SCRIPTS: Message(UnreadableReason.SCRIPTS.value, "只用脚本显示文字"),
    UnreadableReason.SUBSCRIPTION: Message(UnreadableReason.SUBSCRIPTION.value, "只对订阅者显示文字"),
    UnreadableReason.LOGIN: Message(UnreadableReason.LOGIN.value, "要求登录"),
    UnreadableReason.CONSENT: Message(UnreadableReason.CONSENT.value, "同意条款之后才显示文字"),
    UnreadableReason.ENCRYPTED: Message(UnreadableReason.ENCRYPTED.value, "需要密码"),
    UnreadableReason.FILE_TYPE: Message(UnreadableReason.FILE_TYPE.value, "Kvasir 不读取这种文件"),
    UnreadableReason.BROKEN: Message(UnreadableReason.BROKEN.value, "无法解析"),
    UnreadableReason.EMPTY: Message(UnreadableReason.EMPTY.value, "其中没有文字"),
}
"""Why a web page has no text to read, as a part of a sentence."""
UNREADABLE_PAGE = Message(
    "This page cannot be read: {reason}. Open it in a browser.", "此网页无法读取：{reason}。请用浏览器打开。"
)

UNKNOWN_SOURCE = Message(
    "There is no source “{name}”.{suggestion} Sources are: {known}.{hint}",
    "没有名为“{name}”的来源。{suggestion}现有来源：{known}。{hint}",
)
NO_SOURCES = Message("none", "无")
SUGGESTION = Message(" Did you mean “{name}”?", "您是指“{name}”吗？")
QUOTES_HINT = Message(" To search for the words themselves, put them in quotes.", "如要搜索这些文字本身，请加上引号。")
SYNC_RUNNING = Message(
    "A sync{sources} is running already{process}. Wait until it has ended.",
    "{sources}更新已在进行中{process}，请等它结束。",
)
SYNCED_SOURCES = Message(" of {names}", "{names} 的")
SYNCING_PROCESS = Message(" ({process})", "（{process}）")
INDEX_REBUILDING = Message(
    "The index is being rebuilt, {share:.0%}. Until then, answers may lack documents.",
    "正在重建索引，已完成 {share:.0%}。完成之前，回答可能缺少部分文档。",
)
DELETIONS_CHANGED = Message(
    "The pending deletions of {source} have changed. Look at them again, and approve those.",
    "{source} 待批准的删除已有变化，请重新查看后再批准。",
)

CODES: Final[Mapping[ErrorCode, Message]] = {
    ErrorCode.OTHER: AS_RAISED,
    ErrorCode.CACHE: Message("{text}", "无法清除网页缓存。（{text}）"),
    ErrorCode.DATABASE: Message("{text}", "数据库没有响应，请稍后再试。（{text}）"),
    ErrorCode.DATABASE_FULL: Message("{text}", "数据库目前不能写入。（{text}）"),
    ErrorCode.DEFECT: Message("{text}", "同步因内部错误而停止，没有删除任何文档。（{text}）"),
    ErrorCode.DENIED: Message("{text}", "来源拒绝访问，请检查凭据。（{text}）"),
    ErrorCode.EMBEDDER: Message("{text}", "无法计算文本向量。（{text}）"),
    ErrorCode.ENCRYPTED: Message("{text}", "文档需要密码，无法读取。（{text}）"),
    ErrorCode.FETCH: Message("{text}", "无法从这里读取此网页。请用浏览器打开，或不使用它。（{text}）"),
    ErrorCode.FORMAT: Message("{text}", "Kvasir 不支持这种格式。（{text}）"),
    ErrorCode.INDEX_LOST: Message("{text}", "索引丢失或损坏，正在从来源重建。（{text}）"),
    ErrorCode.MISCONFIGURED: Message("{text}", "来源的配置有误。（{text}）"),
    ErrorCode.PARSE: Message("{text}", "无法解析文档。（{text}）"),
    ErrorCode.SOURCE: Message("{text}", "无法读取来源。（{text}）"),
    ErrorCode.STORE: Message("{text}", "文档存储没有响应，请稍后再试。（{text}）"),
    ErrorCode.STORE_MISCONFIGURED: Message("{text}", "文档存储的配置有误。（{text}）"),
    ErrorCode.STORE_READ_ONLY: Message("{text}", "文档存储目前不能写入。（{text}）"),
    ErrorCode.TIMEOUT: Message("{text}", "读取耗时过长，已停止。（{text}）"),
    ErrorCode.TOO_LARGE: Message("{text}", "文档过大，无法读取。（{text}）"),
    ErrorCode.UNAVAILABLE: Message("{text}", "暂时无法连接来源。（{text}）"),
}
"""Errors of the knowledge, also those that the manifest stores."""


def describe_error(error: BaseException) -> str:
    """Return what the command line says about an error."""
    return render_message(explain_error(error), "en")


def explain_error(error: BaseException) -> Message:
    """Return what a person reads about an error: no traceback, no secret and no text of another library."""
    if isinstance(error, BotError) and str(error):
        return error.message or AS_RAISED.fill(text=error)
    if isinstance(error, EngineError):
        return word_note(error.note)
    if isinstance(error, knowledge.KnowledgeError) and str(error):
        return _explain_knowledge_error(error)
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(error, OSError) and error.strerror:
        return SYSTEM.fill(reason=f"{error.strerror} ({error.filename})" if error.filename else error.strerror)
    return UNEXPECTED.fill(kind=type(error).__name__)


def _explain_knowledge_error(error: knowledge.KnowledgeError) -> Message:
    match error:
        case knowledge.NothingRead():
            progress = READING_PROGRESS.fill(done=error.done, total=error.total) if error.total else ""
            explanation = NOTHING_READ[error.why].fill(progress=progress)
        case knowledge.InvalidFilter():
            explanation = FILTERS[error.problem].fill(**error.fields)
        case knowledge.UnknownSource():
            explanation = UNKNOWN_SOURCE.fill(
                name=error.name,
                suggestion=SUGGESTION.fill(name=error.nearest) if error.nearest else "",
                known=", ".join(error.known) or NO_SOURCES,
                hint=QUOTES_HINT if error.in_question else "",
            )
        case knowledge.SyncRunning():
            explanation = SYNC_RUNNING.fill(
                sources=SYNCED_SOURCES.fill(names=", ".join(error.sources)) if error.sources else "",
                process=SYNCING_PROCESS.fill(process=error.process) if error.process else "",
            )
        case knowledge.IndexRebuilding():
            explanation = INDEX_REBUILDING.fill(share=error.share)
        case knowledge.PendingDeletionsChanged():
            explanation = DELETIONS_CHANGED.fill(source=error.source)
        case knowledge.FetchUnreadable():
            explanation = UNREADABLE_PAGE.fill(reason=UNREADABLE[error.unreadable_reason])
        case _:
            explanation = explain_failure(error.code, str(error))
    return explanation


def explain_failure(code: ErrorCode, text: str) -> Message:
    """Return what a person reads about a failure of a source or a document."""
    return CODES[code].fill(text=text)
