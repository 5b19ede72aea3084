"""The Slack workspace on this machine: start its process, read its tokens, and publish Kvasir's status to its page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import aiohttp
import structlog

from bot.errors import BotError
from bot.slack.wire.settings import SlackSettings
from engine.tasks import copy_plain_variables, terminate_child

_READY_S = 20.0
_PUBLISH_S = 5.0

_log = structlog.get_logger("kvasir.workspace")


class WorkspaceError(BotError):
    """The workspace on this machine cannot be opened."""


@dataclass(frozen=True, slots=True)
class LocalWorkspace:
    """A running workspace: its address, its Slack tokens and its process."""

    url: str
    slack: SlackSettings
    _control: aiohttp.ClientSession
    _process: asyncio.subprocess.Process

    def document_url(self, source: str, document: str, url: str) -> str:
        """Return the address at which the workspace shows a folder's document, with the anchor of ``url``."""
        anchor = url.partition("#")[2]
        return f"{self.url}/files/{quote(source, safe='')}/{quote(document)}" + (f"#{anchor}" if anchor else "")

    async def raise_when_ended(self) -> None:
        """Wait for an unexpected end of its process.

        Raises:
            WorkspaceError: the process has ended.

        """
        status = await self._process.wait()
        how = f"was killed (signal {-status})" if status < 0 else f"ended (status {status})"
        raise WorkspaceError(f"The workspace on this machine {how}. Start Kvasir again: its messages are kept.")

    async def publish_status(self, status: Mapping[str, object]) -> bool:
        """Show ``status`` on the page; return whether that worked. A failure is logged and changes nothing else."""
        try:
            async with self._control.put(f"{self.url}/sandbox/status", json=status) as response:
                response.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            _log.warning("status not shown on the page", error=type(error).__name__)
            return False
        return True


@contextlib.asynccontextmanager
async def open_local_workspace(
    state: Path, port: int, files: Mapping[str, Path] | None = None
) -> AsyncIterator[LocalWorkspace]:
    """Open the workspace of the folder ``state`` on ``127.0.0.1:port``; its process ends with the block or with ours.

    ``files`` maps names of sources to folders whose documents the page may open.

    Raises:
        WorkspaceError: it does not start; the text says why.

    """
    state.mkdir(parents=True, exist_ok=True)
    log = state / "workspace.log"
    with log.open("wb") as errors:
        # Its standard input is our pipe. The pipe closes when this process ends, and then the workspace stops.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "bot.sandbox", "--port", str(port), "--state", str(state), "--with-parent",
            *(f"--files={name}={folder}" for name, folder in (files or {}).items()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            env=copy_plain_variables(),
        )  # fmt: skip
    try:
        url = await _wait_until_ready(process, port, log)
        credentials = json.loads((state / "credentials.json").read_text(encoding="utf-8"))
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {credentials['control_token']}"},
            timeout=aiohttp.ClientTimeout(total=_PUBLISH_S),
        ) as control:
            yield LocalWorkspace(url, _make_slack_settings(credentials, url), control, process)
    finally:
        await terminate_child(process)


def find_local_slack(state: Path, port: int) -> SlackSettings:
    """Return how to reach a workspace that another process opened with this state.

    Raises:
        WorkspaceError: none was ever opened.

    """
    try:
        credentials = json.loads((state / "credentials.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WorkspaceError(
            "Only Slack knows who somebody is, and there are no tokens. Set them in .env, or start `kvasir run` in "
            "another terminal for the workspace on this machine."
        ) from None
    return _make_slack_settings(credentials, f"http://127.0.0.1:{port}")


def _make_slack_settings(credentials: Mapping[str, str], url: str) -> SlackSettings:
    return SlackSettings(
        bot_token=credentials["bot_token"],
        app_token=credentials["app_token"],
        signing_secret=credentials["signing_secret"],
        api_url=f"{url}/api/",
    )


async def _wait_until_ready(process: asyncio.subprocess.Process, port: int, log: Path) -> str:
    try:
        async with asyncio.timeout(_READY_S):
            line = (await process.stdout.readline()).decode() if process.stdout else ""
    except TimeoutError:
        raise WorkspaceError(f"The workspace did not open within {_READY_S:.0f} s. Start Kvasir again.") from None
    if "http://" in line:
        return line[line.index("http://") :].strip()
    reason = log.read_text(encoding="utf-8", errors="replace").strip()
    known_reasons = {
        "address already in use": f"Port {port} is taken, perhaps by another Kvasir. Stop that, or choose another: "
        "KVASIR_SANDBOX_PORT=3001.",
        "another sandbox is running": f"Another Kvasir runs with the state in {log.parent.parent}. Stop that, or give "
        "this one its own folder: KVASIR_HOME=/another/folder KVASIR_SANDBOX_PORT=3001.",
        "cannot start on port": f"Port {port} cannot be opened on this machine. Choose one from 1024 to 65535: "
        "KVASIR_SANDBOX_PORT=3001.",
    }
    for words, text in known_reasons.items():
        if words in reason.lower():
            raise WorkspaceError(text)
    raise WorkspaceError(f"The workspace did not open: {reason.splitlines()[-1] if reason else 'no reason given'}")
