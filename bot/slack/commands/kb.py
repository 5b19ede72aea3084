"""``/kb``: carries a command out and tells the one person who typed it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from bot.answering.retrieval.channel_filters import add_filters
from bot.config.configuration import Access
from bot.slack.commands import kb_texts
from bot.slack.commands.parsing import (
    ApproveCommand,
    HelpCommand,
    ParsedCommand,
    RefreshCommand,
    SearchCommand,
    SourcesCommand,
    StatusCommand,
    parse_kb,
)
from bot.slack.commands.progress_message import ProgressMessage
from bot.slack.commands.redaction import redact_report, redact_status
from bot.slack.errors import SlackError
from bot.slack.posting import render
from bot.slack.transport.web_api import SlackWebApi
from engine.interfaces import EngineStatus
from knowledge.errors import KnowledgeError, PendingDeletionsChanged, SyncRunning, UnknownSource
from knowledge.interfaces import SearchResult
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.report import OnProgress, SyncReport

_log = structlog.get_logger(__name__)

APPROVE_DELETION = "kvasir:approve"
"""The action of the button under what is held."""

_SEARCH_LIMIT = 5
_COMMAND_TIMEOUT_S = 20.0
_REFRESH_TIMEOUT_S = 6 * 3_600.0


class KnowledgeLibrary(Protocol):
    """What ``/kb`` needs of the knowledge; ``knowledge.library.KnowledgeLibrary`` is behind the real one."""

    async def search(self, query: str, *, limit: int) -> SearchResult:
        """Return the best passages."""

    async def refresh(
        self, source: str | None = None, *, on_progress: OnProgress, approve: Mapping[str, str] | None = None
    ) -> SyncReport:
        """Bring one source, or all, up to date.

        Raises:
            SyncRunning: that is under way already.
            PendingDeletionsChanged: other documents are pending deletion than ``approve`` names.

        """

    async def status(self) -> LibraryStatus:
        """Return how the knowledge is."""


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command as it was typed, or a button under its answer."""

    text: str
    user: str
    channel: str
    response_url: str
    value: str = ""
    """What the button says."""

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> SlashCommand:
        """Read Slack's payload of a command."""
        read = {name: str(payload.get(name) or "") for name in ("text", "user_id", "channel_id", "response_url")}
        return cls(read["text"], read["user_id"], read["channel_id"], read["response_url"])

    @classmethod
    def from_button(cls, payload: Mapping[str, Any], action: Mapping[str, Any]) -> SlashCommand:
        """Read Slack's payload of a button."""
        user, channel = payload.get("user") or {}, payload.get("channel") or {}
        return cls(
            text="",
            user=str(user.get("id") or ""),
            channel=str(channel.get("id") or ""),
            response_url=str(payload.get("response_url") or ""),
            value=str(action.get("value") or ""),
        )

    @property
    def is_direct_message(self) -> bool:
        """Tell whether it was typed in a direct message."""
        return self.channel.startswith("D")


PostToResponseUrl = Callable[[str, Mapping[str, Any]], Awaitable[bool]]
"""Posts a payload to a response_url; False if it was not taken."""


class KbCommand:
    """Carries out ``/kb`` commands. Every answer is seen by the person alone."""

    def __init__(
        self,
        library: KnowledgeLibrary,
        engine_status: Callable[[], EngineStatus],
        api: SlackWebApi,
        respond: PostToResponseUrl,
        *,
        apology: Callable[[BaseException], str],
        access: Access | None = None,
        channels: Mapping[str, str] | None = None,
    ) -> None:
        self._library = library
        self._engine_status = engine_status
        self._api = api
        self._respond = respond
        self._apology = apology
        self._access = access or Access()
        self._channels = channels or {}

    async def run(self, typed: SlashCommand) -> None:
        """Carry a command out and tell the person, whatever happens."""
        command, chinese = parse_kb(typed.text), render.is_chinese(typed.text)
        if not self._may(typed.user, command):
            _log.info("command refused", user=typed.user, command=type(command).__name__.lower())
            await self._tell(typed, self._refusal(typed.user, chinese=chinese))
        elif isinstance(command, RefreshCommand):
            await self._refresh(typed, command.source, chinese=chinese)
        else:
            await self._answer(typed, command, chinese=chinese)

    async def approve(self, typed: SlashCommand) -> None:
        """Do what the button under held documents says: list again, and delete what is still gone."""
        source, shown, chinese = _read_button_value(typed.value)
        if not self._access.is_owner(typed.user):
            await self._tell(typed, self._refusal(typed.user, chinese=chinese))
            return
        try:
            async with asyncio.timeout(_COMMAND_TIMEOUT_S):
                now = await self._held(source)
        except Exception as error:  # noqa: BLE001 (whatever fails, the person is told)
            _log.warning("command failed", error=type(error).__name__, exc_info=error)
            await self._tell(typed, render.escape_mrkdwn(self._apology(error)))
            return
        if [one.approval_mark for one in now] != [shown]:
            await self._ask(typed, now, source, chinese=chinese)  # it is not what the person was shown
            return
        _log.info("approved", user=typed.user, source=source, pending_deletions=now[0].pending_deletions)
        await self._refresh(typed, source, chinese=chinese, approve={source: shown})

    async def status(self, user: str, *, chinese: bool = False) -> str:
        """Return what ``/kb status`` shows to somebody."""
        return kb_texts.format_status(self._engine_status(), await self._state(user, chinese=chinese), chinese=chinese)

    async def _state(self, user: str, *, chinese: bool) -> LibraryStatus:
        state = await self._library.status()
        return state if self._access.is_owner(user) else redact_status(state, chinese=chinese)

    def _may(self, user: str, command: ParsedCommand) -> bool:
        match command:
            case ApproveCommand():
                return self._access.is_owner(user)
            case RefreshCommand():
                return self._access.may_refresh(user)
        return True

    def _refusal(self, user: str, *, chinese: bool) -> str:
        if not self._access.owners:
            return kb_texts.format_no_owners(user, chinese=chinese)
        return kb_texts.format_owners_only(self._access.owners, chinese=chinese)

    async def _answer(self, typed: SlashCommand, command: ParsedCommand, *, chinese: bool) -> None:
        try:
            async with asyncio.timeout(_COMMAND_TIMEOUT_S):
                if isinstance(command, ApproveCommand):
                    held = await self._held(command.source)
                    await self._ask(typed, held, command.source, chinese=chinese)
                    return
                text = await self._text(typed, command, chinese=chinese)
        except SlackError as error:
            _log.warning("command not answered", error=str(error))
            return
        except Exception as error:  # noqa: BLE001 (whatever fails, the person is told)
            _log.warning("command failed", error=type(error).__name__, exc_info=error)
            text = render.escape_mrkdwn(self._apology(error))
        await self._tell(typed, text)

    async def _text(self, typed: SlashCommand, command: ParsedCommand, *, chinese: bool) -> str:
        match command:
            case SearchCommand(query):
                within = add_filters(query, self._channels.get(typed.channel, ""), datetime.now(UTC))
                found = await self._library.search(within, limit=_SEARCH_LIMIT)
                return kb_texts.format_search_results(replace(found, query=query), chinese=chinese)
            case StatusCommand():
                return await self.status(typed.user, chinese=chinese)
            case SourcesCommand():
                return kb_texts.format_sources(await self._state(typed.user, chinese=chinese), chinese=chinese)
            case HelpCommand():
                return kb_texts.format_help(command, chinese=chinese)
        raise AssertionError(command)  # the others go another way

    # ── What is held ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _held(self, source: str | None) -> list[SourceStatus]:
        """Return the sources of which something is held: all of them, or the one.

        Raises:
            UnknownSource: there is none of that name.
            KnowledgeError: the manifest cannot be read.

        """
        sources = (await self._library.status()).sources
        if source is not None and source not in {one.name for one in sources}:
            near = ", ".join(one.name for one in sources)
            raise UnknownSource(f"There is no source “{source}”. Sources are: {near or 'none'}.")
        return [one for one in sources if one.pending_deletions and source in {None, one.name}]

    async def _ask(
        self, typed: SlashCommand, held: Sequence[SourceStatus], source: str | None, *, chinese: bool
    ) -> None:
        if not held:
            await self._tell(typed, kb_texts.format_nothing_pending(source, chinese=chinese))
            return
        blocks: list[dict[str, Any]] = []
        for one in held:
            text = kb_texts.format_approval_request(one, chinese=chinese)
            blocks += [_build_section(piece) for piece in kb_texts.split_into_sections(text)]
            blocks.append({"type": "actions", "elements": [_build_delete_button(one, chinese=chinese)]})
        await self._tell(
            typed, "\n".join(kb_texts.format_approval_request(one, chinese=chinese) for one in held), blocks
        )

    # ── A sync ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _refresh(
        self, typed: SlashCommand, source: str | None, *, chinese: bool, approve: Mapping[str, str] | None = None
    ) -> None:
        board = ProgressMessage(self._api, typed.user)
        what = source or ("所有来源" if chinese else "all sources")
        started = f"正在更新{what}…" if chinese else f"Refreshing {what} …"
        await board.show(render.escape_mrkdwn(started))
        if not typed.is_direct_message:
            where = "，进度见我们的私信。" if chinese else " The progress is in our direct messages."
            await self._tell(typed, render.escape_mrkdwn(started + where))
        async with asyncio.TaskGroup() as group:
            painter = group.create_task(board.keep(chinese=chinese), name="kb progress")
            outcome = await self._refreshed(typed, source, board.note, chinese=chinese, approve=approve)
            painter.cancel()
        shown = await board.show(outcome)
        if not typed.is_direct_message or not shown:
            await self._tell(typed, outcome)

    async def _refreshed(
        self,
        typed: SlashCommand,
        source: str | None,
        on_progress: OnProgress,
        *,
        chinese: bool,
        approve: Mapping[str, str] | None,
    ) -> str:
        try:
            async with asyncio.timeout(_REFRESH_TIMEOUT_S):
                report = await self._library.refresh(source, on_progress=on_progress, approve=approve)
        except SyncRunning as running:
            return render.escape_mrkdwn("更新已在进行中，请等它结束。" if chinese else str(running))
        except PendingDeletionsChanged as error:
            # A sync came between the look and the approval.
            with contextlib.suppress(KnowledgeError, TimeoutError):
                async with asyncio.timeout(_COMMAND_TIMEOUT_S):
                    await self._ask(typed, await self._held(source), source, chinese=chinese)
            return render.escape_mrkdwn("保留的文档已有变化，请重新查看后再批准。" if chinese else str(error))
        except UnknownSource as error:
            unknown = f"没有名为“{source}”的来源。用 /kb 来源 查看所有来源。"
            return render.escape_mrkdwn(unknown if chinese else str(error))
        except Exception as error:  # noqa: BLE001 (whatever fails, the person is told)
            _log.warning("refresh failed", error=type(error).__name__, exc_info=error)
            return render.escape_mrkdwn(self._apology(error))
        deleted = sum(told.deleted for told in report.sources.values())
        _log.info("refreshed", user=typed.user, source=source, approved=bool(approve), deleted=deleted, ok=report.ok)
        told = report if self._access.is_owner(typed.user) else redact_report(report, chinese=chinese)
        return kb_texts.format_report(told, chinese=chinese)

    async def _tell(self, typed: SlashCommand, text: str, blocks: Sequence[Mapping[str, Any]] | None = None) -> None:
        await send_ephemeral(self._api, self._respond, typed, text, blocks)


async def send_ephemeral(
    api: SlackWebApi,
    respond: PostToResponseUrl,
    typed: SlashCommand,
    text: str,
    blocks: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Tell the person who typed a command something that nobody else sees."""
    shown = list(blocks or (_build_section(piece) for piece in kb_texts.split_into_sections(text)))[:_MAX_BLOCKS]
    answer = {
        "response_type": "ephemeral",
        "replace_original": False,
        "text": text[: kb_texts.MAX_TEXT_CHARACTERS],
        "blocks": shown,
    }
    if typed.response_url and await respond(typed.response_url, answer):
        return
    with contextlib.suppress(SlackError):
        await api.call(
            "chat.postEphemeral",
            channel=typed.channel,
            user=typed.user,
            text=text[: kb_texts.MAX_TEXT_CHARACTERS],
            blocks=shown,
        )


_MAX_BLOCKS = 50
_MAX_VALUE_CHARACTERS = 2_000


def _build_section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _build_delete_button(source: SourceStatus, *, chinese: bool) -> dict[str, Any]:
    label = f"批准删除 {source.pending_deletions} 篇" if chinese else f"Let {source.pending_deletions} go"
    value = json.dumps({"source": source.name, "shown": source.approval_mark, "chinese": chinese}, ensure_ascii=False)
    return {
        "type": "button",
        "action_id": APPROVE_DELETION,
        "style": "danger",
        "text": {"type": "plain_text", "text": label},
        "value": value[:_MAX_VALUE_CHARACTERS],
    }


def _read_button_value(value: str) -> tuple[str, str, bool]:
    """Return what a button says: the source, which documents it was about (their mark), and in which language."""
    try:
        said = json.loads(value)
        return str(said["source"]), str(said["shown"]), bool(said["chinese"])
    except (ValueError, KeyError, TypeError):
        return "", "", False
