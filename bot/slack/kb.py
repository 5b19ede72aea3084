"""``/kb``: carries a command out and tells the one person who typed it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from bot.slack import render
from bot.slack.calls import Calls
from bot.slack.command import HELP, HELP_CHINESE, Command, Help, ListSources, Refresh, Search, Status, parse
from bot.slack.errors import SlackError
from engine.interfaces import Status as EngineStatus
from knowledge.errors import SyncRunning, UnknownSource
from knowledge.interfaces import Hit, SearchResult
from knowledge.sync.report import OnProgress, Progress, SourceReport, SyncReport

_log = structlog.get_logger(__name__)

_HITS = 5
_QUOTE = 280
_SEARCH_S = 20.0
_REFRESH_S = 6 * 3_600.0
_PROGRESS_S = 2.0
"""Between two updates of the progress message."""


class SourceState(Protocol):
    """How a source is, as far as ``/kb`` shows it."""

    @property
    def kind(self) -> str:
        """Return what it is: a folder, a website."""

    @property
    def root(self) -> str:
        """Return where it is."""

    @property
    def documents(self) -> int:
        """Return how many documents answer."""

    @property
    def failed(self) -> int:
        """Return how many could not be read."""

    @property
    def held(self) -> int:
        """Return how many are gone from the source and kept until somebody agrees."""

    @property
    def synced_at(self) -> datetime | None:
        """Return when it was last up to date; None for never."""

    @property
    def error(self) -> str | None:
        """Return why its last sync stopped, or None."""


class Library(Protocol):
    """What ``/kb`` needs of the knowledge; ``knowledge.library.Library`` is the real one."""

    async def search(self, query: str, *, limit: int) -> SearchResult:
        """Return the best passages."""

    async def refresh(self, source: str | None = None, *, on_progress: OnProgress) -> SyncReport:
        """Bring one source, or all, up to date; raises ``SyncRunning`` if that is under way."""

    async def status(self) -> Mapping[str, SourceState]:
        """Return how each source is, by its name."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A slash command as it was typed."""

    text: str
    user: str
    channel: str
    response_url: str

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Typed:
        """Read Slack's payload."""
        read = {name: str(payload.get(name) or "") for name in ("text", "user_id", "channel_id", "response_url")}
        return cls(read["text"], read["user_id"], read["channel_id"], read["response_url"])

    @property
    def in_direct(self) -> bool:
        """Tell whether it was typed in a direct message."""
        return self.channel.startswith("D")


Respond = Callable[[str, Mapping[str, Any]], Awaitable[bool]]
"""Posts a payload to a response_url; False if it was not taken."""


class Kb:
    """Carries out ``/kb`` commands. Every answer is seen by the person alone."""

    def __init__(
        self,
        library: Library,
        engine_status: Callable[[], EngineStatus],
        calls: Calls,
        respond: Respond,
        *,
        apology: Callable[[BaseException], str],
    ) -> None:
        self._library = library
        self._engine_status = engine_status
        self._calls = calls
        self._respond = respond
        self._apology = apology

    async def run(self, typed: Typed) -> None:
        """Carry a command out and tell the person, whatever happens."""
        command = parse(typed.text)
        chinese = render.is_chinese(typed.text)
        try:
            if isinstance(command, Refresh):
                await self._refresh(typed, command, chinese=chinese)
                return
            async with asyncio.timeout(_SEARCH_S):
                text = await self._answer(command, chinese=chinese)
        except SlackError as error:
            _log.warning("command not answered", error=str(error))
            return
        except Exception as error:  # noqa: BLE001 (whatever fails, the person is told)
            _log.warning("command failed", error=type(error).__name__, exc_info=error)
            text = render.escape(self._apology(error))
        await self._tell(typed, text)

    async def _answer(self, command: Command, *, chinese: bool) -> str:
        match command:
            case Search(query):
                return search_text(await self._library.search(query, limit=_HITS), chinese=chinese)
            case Status():
                return status_text(self._engine_status(), await self._library.status(), chinese=chinese)
            case ListSources():
                return sources_text(await self._library.status(), chinese=chinese)
            case Help():
                return help_text(command, chinese=chinese)
        raise AssertionError(command)  # a refresh goes another way

    async def status(self) -> str:
        """Return what ``/kb status`` shows."""
        return status_text(self._engine_status(), await self._library.status(), chinese=False)

    async def _refresh(self, typed: Typed, command: Refresh, *, chinese: bool) -> None:
        board = _Board(self._calls, typed.user)
        what = command.source or ("所有来源" if chinese else "all sources")
        started = f"正在更新{what}…" if chinese else f"Refreshing {what} …"
        await board.show(started)
        if not typed.in_direct:
            where = "，进度见我们的私信。" if chinese else " The progress is in our direct messages."
            await self._tell(typed, render.escape(started + where))
        async with asyncio.TaskGroup() as group:
            painter = group.create_task(board.keep(chinese=chinese), name="kb progress")
            outcome = await self._refreshed(command, board.note, chinese=chinese)
            painter.cancel()
        shown = await board.show(outcome)
        if not typed.in_direct or not shown:
            await self._tell(typed, outcome)

    async def _refreshed(self, command: Refresh, on_progress: OnProgress, *, chinese: bool) -> str:
        try:
            async with asyncio.timeout(_REFRESH_S):
                return report_text(
                    await self._library.refresh(command.source, on_progress=on_progress), chinese=chinese
                )
        except SyncRunning as running:
            return render.escape("更新已在进行中，请等它结束。" if chinese else str(running))
        except UnknownSource as error:
            unknown = f"没有名为“{command.source}”的来源。用 /kb 来源 查看所有来源。"
            return render.escape(unknown if chinese else str(error))
        except Exception as error:  # noqa: BLE001 (whatever fails, the person is told)
            _log.warning("refresh failed", error=type(error).__name__, exc_info=error)
            return render.escape(self._apology(error))

    async def _tell(self, typed: Typed, text: str) -> None:
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": piece}} for piece in _sections(text)]
        answer = {"response_type": "ephemeral", "text": text[:_TEXT], "blocks": blocks}
        if typed.response_url and await self._respond(typed.response_url, answer):
            return
        with contextlib.suppress(SlackError):
            await self._calls.call(
                "chat.postEphemeral", channel=typed.channel, user=typed.user, text=text[:_TEXT], blocks=blocks
            )


class _Board:
    """One message in the person's direct messages, updated as a refresh goes on."""

    def __init__(self, calls: Calls, user: str) -> None:
        self._calls = calls
        self._user = user
        self._channel = ""
        self._ts = ""
        self._progress: dict[str, Progress] = {}
        self._news = asyncio.Event()

    def note(self, progress: Progress) -> None:
        """Take progress; it is shown when the next update is due."""
        self._progress[progress.source] = progress
        self._news.set()

    async def keep(self, *, chinese: bool) -> None:
        """Show the progress as it comes, not too often; runs until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            lines = [progress_line(progress, chinese=chinese) for progress in self._progress.values()]
            await self.show("\n".join(lines))
            await asyncio.sleep(_PROGRESS_S)

    async def show(self, text: str) -> bool:
        """Show a text in place of the one before; False where Slack does not take it."""
        try:
            if not self._ts:
                posted = await self._calls.call("chat.postMessage", channel=self._user, text=text[:_TEXT])
                self._channel, self._ts = str(posted.get("channel", "")), str(posted.get("ts", ""))
            else:
                await self._calls.call("chat.update", channel=self._channel, ts=self._ts, text=text[:_TEXT])
        except SlackError as error:
            _log.info("progress not shown", error=str(error))
            return False
        return True


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_TEXT = 3_900
_SECTION = 2_900


def _sections(text: str) -> list[str]:
    pieces: list[str] = []
    while text:
        head, text = render.cut(text, _SECTION)
        pieces.append(head)
    return pieces or ["…"]


def help_text(command: Help, *, chinese: bool) -> str:
    """Return the list of commands, and what may have been meant."""
    listed = HELP_CHINESE if chinese else HELP
    if command.unknown is None:
        return listed
    word = render.escape(command.unknown)
    if chinese:
        hint = f"您是指 `/kb {command.nearest}` 吗？" if command.nearest else ""
        return f"没有 `/kb {word}` 这个命令。{hint}\n{listed}"
    hint = f" Did you mean `/kb {command.nearest}`?" if command.nearest else ""
    return f"`/kb {word}` is not a command.{hint}\n{listed}"


def search_text(result: SearchResult, *, chinese: bool) -> str:
    """Return the passages found, each with its link and its first words."""
    query = render.escape(" ".join(result.query.split())[:_QUOTE])
    if not result.hits:
        return f"没有找到与“{query}”相关的段落。" if chinese else f"Nothing was found for “{query}”."
    head = f"*“{query}”*：{len(result.hits)} 段" if chinese else f"*“{query}”*: {len(result.hits)} passages"
    return "\n".join([head, *(_hit(n, hit) for n, hit in enumerate(result.hits, start=1))])


def _hit(n: int, hit: Hit) -> str:
    path = render.escape(" › ".join(part for part in (hit.title or hit.document, hit.heading) if part)[:120])
    url = render.link_target(hit.url) if hit.url and hit.url.startswith(("http://", "https://")) else ""
    quote = " ".join(hit.text.split())
    quote = quote if len(quote) <= _QUOTE else quote[: _QUOTE - 1] + "…"
    return f"{n}. {f'<{url}|{path}>' if url else f'*{path}*'} · {render.escape(hit.source)}\n> {render.escape(quote)}"


def status_text(engine: EngineStatus, sources: Mapping[str, SourceState], *, chinese: bool) -> str:
    """Return how the engine and the sources are."""
    percent = f" {engine.progress:.0%}" if engine.progress is not None else ""
    model = f" · {render.escape(engine.model)}" if engine.model else ""
    detail = f" · {render.escape(engine.detail)}" if engine.detail else ""
    head = f"*{'引擎' if chinese else 'Engine'}*: {engine.state}{percent}{model}{detail}"
    return "\n".join([head, *(_source(name, state, chinese=chinese) for name, state in sources.items())])


def sources_text(sources: Mapping[str, SourceState], *, chinese: bool) -> str:
    """Return the sources with their kinds and places."""
    if not sources:
        return "尚未配置任何来源。" if chinese else "No source is configured. Add one to kvasir.toml."
    return "\n".join(
        f"*{render.escape(name)}* · {render.escape(state.kind)} · {render.escape(state.root)}\n"
        + _source(name, state, chinese=chinese)
        for name, state in sources.items()
    )


def _source(name: str, state: SourceState, *, chinese: bool) -> str:
    parts = [f"{state.documents} 篇文档" if chinese else f"{state.documents} documents", _age(state, chinese=chinese)]
    if state.failed:
        parts.append(f"{state.failed} 篇无法读取" if chinese else f"{state.failed} could not be read")
    if state.held:
        parts.append(f"{state.held} 篇待确认删除" if chinese else f"{state.held} gone and kept until you agree")
    if state.error:
        parts.append(f":warning: {render.escape(state.error)}")
    return f"• *{render.escape(name)}*: " + " · ".join(parts)


def _age(state: SourceState, *, chinese: bool) -> str:
    if state.synced_at is None:
        return "尚未同步" if chinese else "never synced"
    minutes = max(0, int((datetime.now(UTC) - state.synced_at).total_seconds() // 60))
    for size, one, chinese_one in ((1_440, "d", "天"), (60, "h", "小时"), (1, "min", "分钟")):
        if minutes >= size:
            return f"{minutes // size} {chinese_one}前同步" if chinese else f"synced {minutes // size} {one} ago"
    return "刚刚同步" if chinese else "synced just now"


def progress_line(progress: Progress, *, chinese: bool) -> str:
    """Return how far one source is."""
    name = render.escape(progress.source)
    if not progress.total:
        return f"*{name}*: 已列出 {progress.listed}" if chinese else f"*{name}*: {progress.listed} listed"
    eta = ""
    if progress.eta_s is not None and progress.eta_s >= 1:
        eta = f" · 约 {progress.eta_s:.0f} 秒" if chinese else f" · about {progress.eta_s:.0f} s left"
    return f"*{name}*: {progress.done} / {progress.total}{eta}"


def report_text(report: SyncReport, *, chinese: bool) -> str:
    """Return what a refresh did."""
    head = f"更新完成，用时 {report.seconds:.1f} 秒。" if chinese else f"Refreshed in {report.seconds:.1f} s."
    return "\n".join([head, *(_report(name, told, chinese=chinese) for name, told in report.sources.items())])


def _report(name: str, told: SourceReport, *, chinese: bool) -> str:
    words = (
        ("未变", "新增", "更新", "删除", "保留", "失败")
        if chinese
        else ("unchanged", "added", "updated", "deleted", "held back", "failed")
    )
    counts = (told.unchanged, told.added, told.updated, told.deleted, told.held, told.failed)
    parts = [f"{count} {word}" for count, word in zip(counts, words, strict=True) if count]
    lines = [f"• *{render.escape(name)}*: {', '.join(parts) or '0'}"]
    lines += [
        f"   ◦ {render.escape(failure.document)}: {render.escape(failure.reason)}" for failure in told.failures[:3]
    ]
    if told.error:
        lines.append(f"   :warning: {render.escape(told.error)}")
    return "\n".join(lines)
