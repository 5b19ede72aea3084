"""The progress of an answer as Slack's plan: one task for the search, the web, the thinking and the check.

A plan names only passages that all viewers may read: it gets them after that check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.answering.events import AnswerEvent, Finished, InLine, Passage, Sources, Stage, Step, Text
from bot.languages.registry import Language
from bot.messages import progress
from bot.messages.durations import format_duration
from bot.messages.message import Message, render_message
from bot.slack.wire.text import render

Chunk = dict[str, Any]
MAX_TASK_CHARACTERS = 256
"""Slack's limit of each text of a task."""
_MAX_SOURCES = 8
_MAX_TITLE_CHARACTERS = 80
_MAX_URL_CHARACTERS = 1_000
_PLAN = "plan"

TaskId = Literal["search", "web", "think", "check"]
_TITLES: dict[TaskId, Message] = {
    "search": progress.SEARCH,
    "web": progress.READ_WEB,
    "think": progress.THINK,
    "check": progress.CHECK,
}
_TASKS: dict[Stage, tuple[TaskId, ...]] = {
    "search": ("search",),
    "search_web": ("search", "web"),
    "read": ("think",),
    "think": ("think",),
    "write": ("check",),
}


@dataclass(slots=True)
class _Task:
    began: float
    status: Literal["in_progress", "complete", "error"] = "in_progress"
    details: str = ""
    output: str = ""
    sources: list[Chunk] = field(default_factory=list)


class AnswerPlan:
    """Turns the events of an answer into chunks of a stream."""

    def __init__(self, language: Language, now: Callable[[], float]) -> None:
        self._language = language
        self._now = now
        self._began = now()
        self._tasks: dict[TaskId, _Task] = {}
        self._title = self._render_title(progress.WORKING)
        self._is_finished = False
        self._queued_at: float | None = None
        self._shown: dict[str, Chunk] = {}

    def handle_event(self, event: AnswerEvent) -> None:
        """Add an event of the answer to the plan."""
        match event:
            case Step(_, stage):
                self._begin_tasks(*_TASKS[stage])
            case Sources(passages):
                self._show_passages(passages)
            case InLine(text):
                self._show_queue_position(text)
            case Text():
                self._begin_tasks("check")
            case Finished(_, cited):
                self._complete_task("check", progress.SOURCES_CITED, count=len(cited))

    def _begin_tasks(self, *ids: TaskId) -> None:
        """Begin tasks; the others that run are complete."""
        for id_ in self._tasks.keys() - set(ids):
            self._complete_task(id_)
        for id_ in ids:
            self._tasks.setdefault(id_, _Task(self._now()))

    def _complete_task(self, id_: TaskId, output: Message | None = None, **fields: object) -> None:
        task = self._tasks.get(id_)
        if task is None or task.status != "in_progress":
            return
        duration = self._format_duration(task.began)
        task.status = "complete"
        task.output = duration if output is None else self._render_title(output, duration=duration, **fields)

    def _show_passages(self, passages: Iterable[Passage]) -> None:
        """Show what the search found; each passage was checked for all viewers."""
        passages = tuple(passages)
        pages = [one for one in passages if one.web is not None]
        documents = [one for one in passages if one.web is None]
        if pages and "web" not in self._tasks:
            self._tasks["web"] = _Task(self._tasks["search"].began if "search" in self._tasks else self._began)
        groups: tuple[tuple[TaskId, list[Passage]], ...] = (("search", documents), ("web", pages))
        for id_, group in groups:
            if id_ in self._tasks:
                self._tasks[id_].sources = _list_sources(group)
                self._complete_task(id_, progress.PASSAGES_FOUND, count=len(group))

    def _show_queue_position(self, text: str) -> None:
        self._begin_tasks("think")
        task = self._tasks["think"]
        if text:
            self._queued_at = self._queued_at or self._now()
            task.details = text[:MAX_TASK_CHARACTERS]
        elif self._queued_at is not None:
            task.details = self._render_title(progress.WAITED, duration=self._format_duration(self._queued_at))
            task.began = self._now()

    def restart(self) -> None:
        """Begin again with an empty plan in a new message."""
        self._tasks.clear()
        self.forget_shown()

    def finish(self, *, failed: bool, continues: bool = False) -> None:
        """End the plan with the message that shows it; only the first end counts."""
        if self._is_finished:
            return
        self._is_finished = True
        for id_, task in self._tasks.items():
            if failed and task.status == "in_progress":
                task.status = "error"
            self._complete_task(id_)
        title = progress.ENDED if failed else progress.CONTINUED if continues else progress.ANSWERED
        self._title = self._render_title(title, duration=self._format_duration(self._began))

    def list_changes(self) -> list[Chunk]:
        """Return the chunks that Slack does not show yet."""
        return [chunk for chunk in self._build_chunks() if self._shown.get(chunk.get("id", _PLAN)) != chunk]

    def note_shown(self, chunks: Iterable[Chunk]) -> None:
        """Note that Slack has accepted chunks."""
        self._shown |= {chunk.get("id", _PLAN): chunk for chunk in chunks}

    def forget_shown(self) -> None:
        """Note that no message shows the plan."""
        self._shown.clear()

    def _build_chunks(self) -> list[Chunk]:
        tasks = [self._build_task(id_, task) for id_, task in self._tasks.items()]
        return [{"type": "plan_update", "title": self._title}, *tasks]

    def _build_task(self, id_: TaskId, task: _Task) -> Chunk:
        chunk = {"type": "task_update", "id": id_, "title": self._render_title(_TITLES[id_]), "status": task.status}
        more = {"details": task.details, "output": task.output, "sources": task.sources}
        return chunk | {name: value for name, value in more.items() if value}

    def _format_duration(self, since: float) -> str:
        return format_duration(max(1.0, self._now() - since), self._language)

    def _render_title(self, message: Message, **fields: object) -> str:
        return render_message(message, self._language, **fields)


def _list_sources(passages: Iterable[Passage]) -> list[Chunk]:
    """Return the documents and pages of passages that have an address, each once."""
    sources: dict[str, Chunk] = {}
    for one in passages:
        url = render.encode_link_target(one.url or "")
        if url.startswith(("http://", "https://")) and len(url) <= _MAX_URL_CHARACTERS:
            text = render.break_pings(" ".join((one.title or one.document).split()))
            sources.setdefault(url.partition("#")[0], {"type": "url", "url": url, "text": text[:_MAX_TITLE_CHARACTERS]})
    return list(sources.values())[:_MAX_SOURCES]
