"""``kvasir erase``: delete what is stored about a workspace that uninstalled the app while no Kvasir ran."""

from __future__ import annotations

import argparse

from bot.cli.command_settings import load_command_settings
from bot.errors import BotError
from bot.slack.wire.errors import SlackUnauthorized
from bot.slack.wire.installation import check_token
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from bot.slack.wire.transport.web_client import open_http_session
from bot.slack.workspace.installations.parts import InstallationParts
from bot.storage.turns.ledger import open_ledger
from bot.storage.workspace_rows import WorkspaceRows
from bot.terminal.output import print_outcome


class ErasureRefused(BotError):
    """Nothing is erased; the text says why."""


async def main(arguments: argparse.Namespace) -> int:
    """Erase one workspace."""
    settings = load_command_settings(arguments)
    slack = settings.slack
    if slack is None or slack.oauth is None:
        raise ErasureRefused("No workspace has installed this Kvasir by OAuth. Set SLACK_CLIENT_ID.")
    name = await erase_workspace(slack, slack.oauth, settings.database_url, arguments.workspace)
    text = f"The database has nothing about {name} ({arguments.workspace}) any more."
    print_outcome({"erased": arguments.workspace}, text, json=arguments.json)
    return 0


async def erase_workspace(slack: SlackSettings, oauth: OAuthSettings, database_url: str, team: str) -> str:
    """Delete all rows of a workspace, or of an organization, whose token Slack refuses; return its name.

    Raises:
        ErasureRefused: the app is not installed there, or Slack accepts its token.
        SlackError: Slack does not answer.
        TokenKeyError: no key opens its token.
        DatabaseError: the database fails.

    """
    async with open_ledger(database_url) as ledger, open_http_session() as session:
        parts = InstallationParts(slack, oauth, ledger.database, session)
        installation = await parts.installations.find_installation(team)
        if installation is None:
            raise ErasureRefused(f"The app is not installed in {team}. `kvasir doctor` lists the installations.")
        try:
            async with parts.open_api(installation) as api:
                await check_token(api)
        except SlackUnauthorized:
            await WorkspaceRows(ledger.database, team).erase_workspace()
            return installation.name
    raise ErasureRefused(f"Slack accepts the token of {installation.name} ({team}). Uninstall the app there first.")
