"""Opens a workspace for each installation in the database, and closes it once the installation is gone.

One task compares the open workspaces with the table: at intervals, and whenever a process has changed the table. What
is wrong with one workspace is logged with the next step, and does not concern the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from bot.errors import BotError
from bot.slack.wire.errors import SlackError, SlackUnauthorized
from bot.slack.wire.installation import check_token, confirm_uninstallation
from bot.slack.wire.tasks import BackgroundTasks
from bot.slack.workspace.app import SlackWorkspace, WorkspaceTools, find_rows, open_workspace
from bot.slack.workspace.installations.parts import InstallationParts
from bot.slack.workspace.installations.token_refresher import WorkspaceToken
from bot.storage.installations.installations import StoredInstallation
from bot.storage.installations.token_cipher import TokenKeyError
from bot.storage.shared_changes import ChangeKind
from bot.storage.workspace_rows import WorkspaceRows
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.installations")

_EVERY_S: Final = 30.0
_LEAST_PAUSE_S: Final = 5.0
_RETRY_S: Final = 60.0
"""After this time, a workspace is tried again that could not be opened; one with a new token is tried at once."""
_ERASE_S: Final = 2.0
"""How long Slack waits for the end of an installation; the rest follows."""
_RETRY_REFUSED_S: Final = 3_600.0
"""After this time, a workspace is tried again whose token Slack does not accept."""
_LOOK_EVERY_S: Final = 0.05


class WorkspaceNotOpen(BotError):
    """The app is installed in a workspace that cannot be opened now."""


@dataclass(slots=True)
class _OpenWorkspace:
    workspace: SlackWorkspace
    token: WorkspaceToken
    stack: contextlib.AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Failure:
    version: int
    until: float


class Workspaces:
    """The open workspaces of this process."""

    def __init__(self, tools: WorkspaceTools, parts: InstallationParts) -> None:
        self._tools = tools
        self._parts = parts
        self.installations = parts.installations
        self._open: dict[str, _OpenWorkspace] = {}
        self._failures: dict[str, _Failure] = {}
        self._installed: frozenset[str] = frozenset()
        self._unerased: set[str] = set()
        """Workspaces that are closed, and of which the database may still have something."""
        self._changed = asyncio.Event()
        self._tasks = BackgroundTasks()
        tools.dependencies.changes.subscribe(ChangeKind.INSTALLATION, lambda _: self._changed.set())

    @property
    def workspaces(self) -> Mapping[str, SlackWorkspace]:
        """Return the open workspaces by the id of their installation."""
        return {team: one.workspace for team, one in self._open.items()}

    async def start(self) -> None:
        """Open the installed workspaces, and from now on those that people install.

        Raises:
            DatabaseError: the installations cannot be read.

        """
        await self._reconcile_workspaces()
        self._tasks.start(self._run(), "workspaces")

    async def close(self) -> None:
        """Close all workspaces; give running answers time to end."""
        await self._tasks.close(0.0)
        await asyncio.gather(*map(self._close_workspace, list(self._open)), return_exceptions=True)

    def forget_directories(self) -> None:
        """Forget what is cached of people and channels, because events may be missing."""
        for workspace in self.workspaces.values():
            workspace.directory.forget_all()

    async def find_home(self) -> SlackWorkspace:
        """Return the first installed workspace.

        Raises:
            DatabaseError: the installations cannot be read.
            WorkspaceNotOpen: it is not open.

        """
        home = await self._parts.find_home()
        for team, opened in self._open.items():
            if home and home in {team, opened.token.installation.enterprise}:
                return opened.workspace
        raise WorkspaceNotOpen("The first workspace is not open. See kvasir doctor.")

    async def find_workspace(self, teams: tuple[str, ...]) -> SlackWorkspace | None:
        """Return the first of some workspaces that has installed the app, once it is open; None if none has.

        While the first is opened again, a later one does not take its place.

        Raises:
            DatabaseError: the installations cannot be read.
            WorkspaceNotOpen: an installed one cannot be opened.

        """
        for team in teams:
            if team in self._open:
                return self._open[team].workspace
            found = await self.installations.find_installation(team)
            if found is not None and self._parts.covers_workspace(found):
                return await self._wait_until_open(team)
        return None

    async def _wait_until_open(self, team: str) -> SlackWorkspace:
        self._changed.set()
        while team not in self._open:
            if team in self._failures:
                raise WorkspaceNotOpen(f"The workspace {team} is installed, but not open. See kvasir doctor.")
            await asyncio.sleep(_LOOK_EVERY_S)
        return self._open[team].workspace

    # ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._find_pause_s()):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._reconcile_workspaces()
            except DatabaseError as error:
                _log.warning("installations not read", error=str(error))

    def _find_pause_s(self) -> float:
        """Return in how many seconds to look again: at the latest when the next token has to be refreshed."""
        waits_s = [self._parts.refresher.find_wait_s(one.token.installation) for one in self._open.values()]
        return min(_EVERY_S, max(_LEAST_PAUSE_S, min(waits_s, default=_EVERY_S)))

    async def _reconcile_workspaces(self) -> None:
        found = await self.installations.list_all()
        installed = {one.team: one for one in found if self._parts.covers_workspace(one)}
        self._installed = frozenset(installed)
        gone = {*self._open, *self._unerased}.difference(installed)
        await asyncio.gather(*map(self._end_workspace, gone), *map(self._bring_up, installed.values()))

    async def _bring_up(self, installation: StoredInstallation) -> None:
        """Open a workspace, or give an open one its newest token."""
        team = installation.team
        failure = self._failures.get(team)
        if failure is not None and failure.version == installation.version and time.monotonic() < failure.until:
            return
        try:
            if await self._is_up_to_date(installation):
                return
            await self._close_workspace(team)
            self._open[team] = await self._open_workspace(installation)
            self._failures.pop(team, None)
            _log.info("workspace opened", team=team, workspace=installation.name)
        except Exception as error:  # noqa: BLE001 (what is wrong with one workspace must not stop the others)
            self._note_failure(installation, error)
            self._log_failure(installation, error)

    async def _is_up_to_date(self, installation: StoredInstallation) -> bool:
        """Use the newest token of an open workspace; return False if it has to be opened, or opened again.

        A new installation may have another bot user, and an organization other workspaces. One of these may have an
        installation of its own since, or not any more.
        """
        opened = self._open.get(installation.team)
        if opened is None:
            return False
        workspace, me = opened.workspace, opened.workspace.installation.me
        if workspace.teams != me.teams - self._list_others(installation):
            return False
        is_other_token = await opened.token.update_token(installation)
        return not is_other_token or (await check_token(workspace.api)).me == me

    def _list_others(self, installation: StoredInstallation) -> frozenset[str]:
        return self._installed - {installation.team}

    async def _open_workspace(self, installation: StoredInstallation) -> _OpenWorkspace:
        await self.installations.seal_again(installation)
        token = await self._parts.prepare_token(installation)
        home = await self._parts.find_home()
        async with contextlib.AsyncExitStack() as stack:
            workspace = await stack.enter_async_context(
                open_workspace(
                    self._tools,
                    token.client,
                    renew_token=token.renew_token,
                    home=home,
                    others=self._list_others(installation),
                )
            )
            await workspace.turns.start()
            workspace.start_tasks()
            watch = BackgroundTasks()
            stack.push_async_callback(watch.close, 0.0)
            watch.start(self._watch_token(installation.team, workspace), "workspace token")
            return _OpenWorkspace(workspace, token, stack.pop_all())

    def _note_failure(self, installation: StoredInstallation, error: Exception) -> None:
        """Leave a workspace alone for a time."""
        retry_s = _RETRY_REFUSED_S if isinstance(error, SlackUnauthorized) else _RETRY_S
        self._failures[installation.team] = _Failure(installation.version, time.monotonic() + retry_s)

    def _log_failure(self, installation: StoredInstallation, error: Exception) -> None:
        is_refused = isinstance(error, SlackUnauthorized)
        is_known = isinstance(error, BotError | DatabaseError | TimeoutError)
        install = f"open {self._parts.oauth.install_url} and install the app again"
        next_step = f"{install}; if it was uninstalled: kvasir erase {installation.team}"
        _log.error(
            "workspace not open",
            team=installation.team,
            workspace=installation.name,
            error="Slack does not accept its token" if is_refused else str(error) or type(error).__name__,
            next_step=next_step if is_refused else "kvasir doctor",
            exc_info=None if is_known else error,
        )

    # ── The end of a workspace ───────────────────────────────────────────────────────────────────────────────────────

    async def _watch_token(self, team: str, workspace: SlackWorkspace) -> None:
        """Close a workspace once Slack refuses its token for good."""
        try:
            await workspace.run_until_revoked()
        except SlackError as error:
            opened = self._open.get(team)
            if opened is not None and opened.workspace is workspace:
                self._note_failure(opened.token.installation, error)
                self._tasks.start(self._close_refused(opened.token.installation, error), "closing of a workspace")

    async def _close_refused(self, installation: StoredInstallation, error: SlackError) -> None:
        await self._close_workspace(installation.team)
        if await self.installations.find_installation(installation.team) is not None:  # it is not uninstalled
            self._log_failure(installation, error)

    async def end_installation(self, team: str) -> None:
        """Erase an installation that Slack says has ended, usually before this returns.

        Raises:
            DatabaseError: nothing is erased, so Slack has to send the event again.

        """
        task = self._tasks.start(self._erase_installation(team), "end of an installation")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), _ERASE_S)

    async def _erase_installation(self, team: str) -> None:
        """Erase everything that is stored about an installation, and close it, unless its token is valid."""
        installation = await self.installations.find_installation(team)
        if installation is None or not await self._has_ended(installation):
            return
        opened = self._open.get(team)
        await self._find_rows(team).erase_workspace()
        for other in opened.workspace.installation.me.workspaces if opened else ():
            await self._find_rows(other).erase_remains()
        await self._end_workspace(team)
        _log.info("workspace erased", team=team)

    def _find_rows(self, team: str) -> WorkspaceRows:
        return find_rows(self._tools.dependencies, team)

    async def _has_ended(self, installation: StoredInstallation) -> bool:
        """Return whether Slack refuses the token, after several looks; without a key for it, the event decides."""
        try:
            async with self._parts.open_api(installation) as api:
                return await confirm_uninstallation(api, installation.team)
        except TokenKeyError:
            return True

    async def _end_workspace(self, team: str) -> None:
        """Close a workspace whose data is erased, and erase what its last turns stored meanwhile."""
        await self._close_workspace(team)
        try:
            await self._find_rows(team).erase_remains()
        except DatabaseError as error:
            self._unerased.add(team)
            _log.warning("workspace not erased yet", team=team, error=str(error))
        else:
            self._unerased.discard(team)

    async def _close_workspace(self, team: str) -> None:
        opened = self._open.pop(team, None)
        if opened is None:
            return
        await opened.stack.aclose()
        _log.info("workspace closed", team=team)
