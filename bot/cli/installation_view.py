"""Describes for ``kvasir doctor`` in which workspaces the app is installed, without their tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping

import aiohttp

from bot.errors import BotError
from bot.messages.durations import format_duration
from bot.slack.wire.errors import SlackUnauthorized
from bot.slack.wire.installation import check_token, list_missing_scopes
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from bot.slack.workspace.installations.parts import InstallationParts
from bot.slack.workspace.installations.token_refresher import find_next_step
from bot.storage.installations.installations import StoredInstallation
from bot.storage.turns.ledger import open_ledger


class InstallationProblem(BotError):
    """Something is wrong with at least one installation; the text has a sentence for each."""


async def describe_installations(
    slack: SlackSettings, oauth: OAuthSettings, database_url: str, session: aiohttp.ClientSession
) -> str:
    """Return each workspace with the age of its token.

    Raises:
        InstallationProblem: a token is refused, a key or a scope is missing, or no workspace has the app.
        DatabaseError: the installations cannot be read.

    """
    async with open_ledger(database_url) as ledger:
        parts = InstallationParts(slack, oauth, ledger.database, session)
        home, installed = await parts.find_home(), await parts.installations.list_all()
        found = {_name_installation(one): await _find_problem(parts, one) for one in installed}
    if not installed:
        raise InstallationProblem(f"No workspace has installed the app. Open {oauth.install_url} and install it.")
    if problems := [problem for problem in found.values() if problem]:
        raise InstallationProblem(" ".join([*problems, _describe_others(found)]).strip())
    if not any(home and home in {one.team, one.enterprise} for one in installed):
        raise InstallationProblem(
            f"The first workspace{f' ({home})' if home else ''} has not installed the app, so nobody reads the sources "
            f"that name no workspaces. Open {oauth.install_url} there."
        )
    return "; ".join(_describe_installation(one, home) for one in installed)


async def _find_problem(parts: InstallationParts, installation: StoredInstallation) -> str:
    """Return what is wrong with an installation and the next step, "" if nothing is."""
    where = _name_installation(installation)
    if not parts.covers_workspace(installation):
        return f"{where} is not in workspaces under [slack] in kvasir.toml, so Kvasir does not answer there. Add it."
    try:
        async with parts.open_api(installation) as api:
            granted = (await check_token(api)).scopes
    except SlackUnauthorized:
        installation = await parts.installations.find_installation(installation.team) or installation
        why = f"did not refresh its token ({installation.problem})" if installation.problem else "refuses its token"
        return (
            f"{where}: Slack {why}. To correct that, {find_next_step(installation.problem, parts.oauth.install_url)}. "
            f"If the app was uninstalled there, `kvasir erase {installation.team}` deletes its data."
        )
    except (BotError, TimeoutError) as error:
        return f"{where}: {error or 'Slack does not answer'}"
    if missing := list_missing_scopes(granted or installation.granted_scopes):
        return f"{where} lacks the scopes {', '.join(sorted(missing))}. Open {parts.oauth.install_url} there again."
    if installation.problem:
        return (
            f"{where}: Slack did not refresh its token ({installation.problem}), which works until it expires. To "
            f"correct that, {find_next_step(installation.problem, parts.oauth.install_url)}."
        )
    return ""


def _name_installation(installation: StoredInstallation) -> str:
    return f"{installation.name} ({installation.team})"


def _describe_installation(installation: StoredInstallation, home: str) -> str:
    now = time.time()
    kinds = ["the whole organization"] if installation.org_wide else []
    kinds += ["the first"] if home in {installation.team, installation.enterprise} else []
    ends = f", expires in {format_duration(installation.expires_at - now, 'en')}" if installation.expires_at else ""
    age = f"token {format_duration(now - installation.refreshed_at, 'en')} old{ends}"
    return f"{installation.name} ({', '.join([installation.team, *kinds])}; {age})"


def _describe_others(found: Mapping[str, str]) -> str:
    well = [name for name, problem in found.items() if not problem]
    return f"Nothing is wrong with {', '.join(well)}." if well else ""
