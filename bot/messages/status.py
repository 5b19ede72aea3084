"""The state of the engine, the store and the sources, as ``/kb status`` and ``/kb sources`` show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.messages.message import Message
from engine.interfaces import EngineState

ENGINE = Message("*Engine*: {state}", "*引擎*: {state}")
ENGINE_STATES: Final[Mapping[EngineState, Message]] = {
    EngineState.ABSENT: Message("absent", "没有运行"),
    EngineState.INSTALLING: Message("installing", "正在安装"),
    EngineState.DOWNLOADING: Message("downloading", "正在下载"),
    EngineState.STARTING: Message("starting", "正在启动"),
    EngineState.READY: Message("ready", "就绪"),
    EngineState.DEGRADED: Message("degraded", "性能降低"),
    EngineState.STOPPING: Message("stopping", "正在停止"),
    EngineState.FAILED: Message("failed", "出错"),
}
STORE = Message("*Store*: {store}", "*存储*: {store}")
REPAIRED = Message("checked {age}, repaired {count} passages", "{age}核对，{count} 段不一致，已修复")
NO_DIFFERENCES = Message("checked {age}, no differences", "{age}核对，完全一致")
NEW_INDEX = Message(
    "*New index*: {share:.0%}{left}; answers use the old one until it is complete",
    "*新索引*: {share:.0%}{left}；完成前仍用旧索引回答",
)
INDEX_LOST = Message("*Index*: {reason}", "*索引*: {reason}")
EMBEDDER = Message("*Embedder*: {reason}", "*向量模型*: {reason}")
INDEX_TIME_LEFT = Message(", about {duration} left", "，约剩 {duration}")
SYNCING_ELSEWHERE = Message("_Another process is syncing ({process})_", "_另一进程正在同步（{process}）_")

OTHER_CONFIGURATION = Message(
    ":warning: A replica on *{host}* has another kvasir.toml. These sources differ: {sources}. Give all replicas the "
    "same file, and start them again.",
    ":warning: *{host}* 上的副本使用另一个 kvasir.toml，以下来源不同：{sources}。请让所有副本使用同一文件并重新启动。",
)
REMOVED_SOURCE = Message(
    "*{source}* is not in kvasir.toml any more. Its {count} documents answer nobody here and are pending "
    "deletion.{others} Approval deletes all of them.",
    "kvasir.toml 中已没有 *{source}*。其 {count} 篇文档在此不再用于回答，等待批准删除。{others}批准后会全部删除。",
    "*{source}* is not in kvasir.toml any more. Its document answers nobody here and is pending deletion.{others} "
    "Approval deletes it.",
)
LISTED_ELSEWHERE = Message(" Another replica still lists it: {hosts}.", "另一副本仍列出它：{hosts}。")

# ── A source ─────────────────────────────────────────────────────────────────────────────────────────────────────────

NO_SOURCES = Message(
    "No source has documents that you may read. An administrator adds sources to kvasir.toml.",
    "没有任何来源含有您可以查看的文档。管理员可以在 kvasir.toml 中添加来源。",
)
COUNTS = Message("{documents}, {passages}", "{documents}，{passages}")
DOCUMENTS = Message("{count:,} documents", "{count:,} 篇文档", "1 document")
PASSAGES = Message("{count:,} passages", "{count:,} 段", "1 passage")
NEVER_SYNCED = Message("never synced", "尚未同步")
SYNCED = Message("synced {age}", "{age}同步")
STALE = Message("synced {age}, *stale* (target {target})", "{age}同步，*已过期*（目标 {target}）")
NEXT_SYNC = Message("next {time}", "下次 {time}")
WATCHED = Message("watched for changes", "实时跟踪")
PENDING_DELETIONS = Message(
    "{count} pending deletions: these documents are missing from the source{documents}. "
    "To delete them, type `/kb approve {source}`",
    "{count} 篇文档待删除：来源中已没有这些文档{documents}。确认删除请输入 `/kb 批准 {source}`",
)
PENDING_DOCUMENTS = Message(": {names}", "：{names}")
MORE_DOCUMENTS = Message("{count} more", "另外 {count} 篇")
UNREADABLE = Message("{count} could not be read", "{count} 篇无法读取")
RETRY = Message("{failure} (next attempt after {time})", "{failure} （{time} 之后重试）")
HIDDEN_ERROR = Message("The last sync failed. Owners see the reason.", "上次同步没有完成，原因只有负责人可以看到。")
HIDDEN_WATCH_TROUBLE = Message(
    "Changes are not watched at the moment. Owners see the reason.", "目前无法实时跟踪，原因只有负责人可以看到。"
)

# ── The progress of a sync ───────────────────────────────────────────────────────────────────────────────────────────

LISTED = Message("*{source}*: {count} listed", "*{source}*: 已列出 {count}")
PROGRESS = Message("*{source}*: {done} / {total}{failed}{left}", "*{source}*: {done} / {total}{failed}{left}")
PROGRESS_FAILED = Message(" · {count} failed", " · {count} 篇失败")
TIME_LEFT = Message(" · about {duration} left", " · 约 {duration}")

# ── The page of the local workspace ──────────────────────────────────────────────────────────────────────────────────

PAGE_HIDDEN_TROUBLE = Message(
    "A source has a problem. `kvasir status` shows it.", "有来源出现问题，请用 `kvasir status` 查看。"
)
PAGE_STALE = Message("{source} is stale: {age} old, {limit} at most.", "{source} 已过期：{age}前同步，上限 {limit}。")
PAGE_PENDING_DELETIONS = Message(
    "{source}: {count} pending deletions, still in answers. kvasir sync --approve {source}",
    "{source}：{count} 篇文档待删除，仍用于回答。kvasir sync --approve {source}",
    "{source}: 1 pending deletion, still in answers. kvasir sync --approve {source}",
)
