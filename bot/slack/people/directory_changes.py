"""Lets every process forget what events have changed in Slack's directory: Slack sends each event to one of them."""

from __future__ import annotations

import asyncio
import textwrap
import uuid

import structlog

from bot.slack.people.directory import DirectoryPart, SlackDirectory
from bot.slack.wire.tasks import BackgroundTasks
from bot.storage.shared_changes import ChangeKind, SharedChanges
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

_BATCH_S = 0.5
_MAX_CHARACTERS = 150
"""The most characters of the changes in one row."""


class DirectoryChanges:
    """Shares the changes of one directory, and applies those of other processes."""

    def __init__(self, directory: SlackDirectory, team: str, changes: SharedChanges, tasks: BackgroundTasks) -> None:
        self._directory = directory
        self._team = team
        self._changes = changes
        self._tasks = tasks
        self._process = uuid.uuid4().hex[:8]
        self._noted: dict[str, None] = {}
        directory.on_change = self._note_change
        changes.subscribe(ChangeKind.DIRECTORY, self._apply_change)

    def _note_change(self, part: DirectoryPart, key: str) -> None:
        if not self._noted:
            self._tasks.start(self._publish_changes(), "changes of the directory")
        self._noted[f"{part}:{key}"] = None

    async def _publish_changes(self) -> None:
        await asyncio.sleep(_BATCH_S)
        subjects = [
            f"{self._team} {self._process} {one}" for one in textwrap.wrap(" ".join(self._noted), _MAX_CHARACTERS)
        ]
        self._noted.clear()
        try:
            await self._changes.publish_all(ChangeKind.DIRECTORY, subjects)
        except DatabaseError as error:  # the caches of other processes expire in less than a minute
            _log.warning("changes of the directory not shared", error=str(error))

    def _apply_change(self, subject: str) -> None:
        if not subject:
            self._directory.forget_all()
            return
        team, process, *entries = subject.split(" ")
        if team == self._team and process != self._process:
            for entry in entries:
                part, _, key = entry.partition(":")
                self._directory.forget_entry(DirectoryPart(part), key)
