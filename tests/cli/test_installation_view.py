"""Tests of what the doctor says about installations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest
from cryptography.fernet import Fernet

from bot.cli.commands.erase import ErasureRefused, refuse_installed
from bot.cli.installation_view import InstallationProblem, describe_installations
from bot.slack.wire.scopes import SCOPES
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from bot.storage.turns.ledger import open_ledger
from bot.storage.workspace_rows import WorkspaceRows
from tests.slack.workspace.installations.installed_bot import FIRST, KEY, SECOND, Place, open_place, run_installed_bot

URL = "http://127.0.0.1:9"


def make_settings(
    place: Place, keys: tuple[str, ...] = (KEY,), workspaces: Sequence[str] = (FIRST, SECOND)
) -> tuple[SlackSettings, OAuthSettings]:
    oauth = OAuthSettings(place.client_id, place.client_secret, keys, URL, tuple(workspaces))
    return SlackSettings("", app_token="xapp-1", api_url=place.first.api_url, oauth=oauth), oauth


async def erase(place: Place, state: Path, team: str) -> int:
    """Erase the rows of a workspace that has uninstalled the app; return their number."""
    async with open_ledger(f"sqlite:///{state / 'ledger.sqlite3'}") as ledger:
        await refuse_installed(make_settings(place)[0], ledger.database, team)
        return sum((await WorkspaceRows(ledger.database, team).erase_workspace()).values())


async def describe(place: Place, state: Path, *keys: str, workspaces: Sequence[str] = (FIRST, SECOND)) -> str:
    """Return what the doctor says, a problem too."""
    slack, oauth = make_settings(place, keys or (KEY,), workspaces)
    async with aiohttp.ClientSession() as session:
        try:
            return await describe_installations(slack, oauth, f"sqlite:///{state / 'ledger.sqlite3'}", session)
        except InstallationProblem as problem:
            return f"FAIL {problem}"


async def test_each_installation_has_a_sentence_and_no_token(tmp_path: Path) -> None:
    async with open_place(tmp_path) as place:
        assert "No workspace has installed the app" in await describe(place, tmp_path)
        async with run_installed_bot(place, tmp_path) as bot:
            await bot.install(SECOND)
            report = await describe(place, tmp_path)
            assert report.startswith(f"FAIL The first workspace ({FIRST}) has not installed the app")
            await bot.install(FIRST)
        report = await describe(place, tmp_path)
        assert f"Sandbox 2 ({SECOND}; token " in report
        assert f"Sandbox ({FIRST}, the first; token " in report
        assert "s old, expires in 11 h" in report
        assert "ago" not in report
        assert "xox" not in report
        report = await describe(place, tmp_path, workspaces=[FIRST])
        assert f"Sandbox 2 ({SECOND}) is not in workspaces under [slack]" in report
        report = await describe(place, tmp_path, Fernet.generate_key().decode())
        assert f"No key in KVASIR_TOKEN_KEYS opens the tokens of {FIRST}" in report
        await place.first.faults(scopes=sorted(SCOPES.keys() - {"files:read"}))
        report = await describe(place, tmp_path)
        assert f"FAIL Sandbox ({FIRST}) lacks the scopes files:read. Open {URL}/slack/install" in report
        assert f"Nothing is wrong with Sandbox 2 ({SECOND})." in report
        assert place.second.hub is not None
        place.second.hub.tokens.revoke_all()
        report = await describe(place, tmp_path)
        assert f"Sandbox 2 ({SECOND}): Slack refuses its token. To correct that, open {URL}/slack/install" in report
        assert f"`kvasir erase {SECOND}`" in report
        with pytest.raises(ErasureRefused, match="Slack accepts the token of Sandbox"):
            await erase(place, tmp_path, FIRST)
        assert await erase(place, tmp_path, "T9") == 0
        assert await erase(place, tmp_path, SECOND) > 0
        report = await describe(place, tmp_path)
        assert SECOND not in report
        assert FIRST in report


async def test_a_refused_refresh_is_said(tmp_path: Path) -> None:
    async with open_place(tmp_path) as place, run_installed_bot(place, tmp_path) as bot:
        await bot.install(FIRST)
        assert place.first.hub is not None
        place.first.hub.tokens.expire_all()
        place.first.hub.tokens._refresh_tokens.clear()
        change = "UPDATE bot_installations SET expires_at = 1"
        await bot.ledger.database.write(lambda connection: connection.exec_driver_sql(change))
        report = await describe(place, tmp_path)
        assert "did not refresh its token (invalid_refresh_token)" in report
