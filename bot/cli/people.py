"""Find out for a command what a person may read, as in a direct message."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from bot.config.settings import Settings
from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import Viewers


@dataclass(frozen=True, slots=True)
class CommandPerson:
    """A person for whom a command runs."""

    id: str
    team: str
    viewers: Viewers
    problems: tuple[str, ...] = ()
    """Identity sources that failed, so the person may hold more principals than these."""

    @property
    def principals(self) -> frozenset[str]:
        """Return the principals that the person holds."""
        (principals,) = self.viewers.people
        return principals


async def find_person(settings: Settings, identities: IdentityMap, user: str) -> CommandPerson:
    """Return a person by Slack id or e-mail address, with all principals that Slack and other systems give.

    Raises:
        PersonNotFound: Slack does not know the person, or the person gets no answers.
        BotError: Slack does not answer.

    """
    # Only these options need Slack's libraries; without them, the commands start faster.
    from bot.local_workspace import find_local_slack  # noqa: PLC0415
    from bot.slack.people.accounts import Company  # noqa: PLC0415
    from bot.slack.people.directory import SlackDirectory  # noqa: PLC0415
    from bot.slack.people.finder import ViewerFinder  # noqa: PLC0415
    from bot.slack.people.known_person import PersonFinder  # noqa: PLC0415
    from bot.slack.wire.installation import check_token  # noqa: PLC0415
    from bot.slack.wire.transport.web_client import open_web_api  # noqa: PLC0415
    from bot.slack.workspace.installations.parts import open_home_api  # noqa: PLC0415
    from bot.storage.channels.channel_settings import ApprovedChannels  # noqa: PLC0415
    from bot.storage.turns.ledger import open_ledger  # noqa: PLC0415

    slack = settings.slack or find_local_slack(settings.home / "sandbox", settings.sandbox_port)
    async with open_ledger(settings.database_url) as ledger, contextlib.AsyncExitStack() as stack:
        opening = open_web_api(slack) if slack.oauth is None else open_home_api(slack, slack.oauth, ledger.database)
        api = await stack.enter_async_context(opening)
        me = (await check_token(api)).me
        company = Company(me.team, me.enterprise, me.workspaces)
        directory = SlackDirectory(api, company)
        finder = ViewerFinder(directory, company, identities, ApprovedChannels(ledger.database))
        person = await PersonFinder(api, finder, me.team, directory.names).find_person(user)
    return CommandPerson(person.id, person.team, person.viewers, tuple(sorted(identities.failures)))
