"""Find out for a command what a person may read, as in a direct message."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from bot.config.settings import Settings
from bot.errors import BotError
from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import Viewers


class PersonNotFound(BotError):
    """Slack does not say who a person is, so the person may read nothing."""


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
    from bot.slack.wire.errors import SlackMissingScope, SlackRefused  # noqa: PLC0415
    from bot.slack.wire.events import get_object  # noqa: PLC0415
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
        if "@" in user:
            try:
                found = await api.call("users.lookupByEmail", email=user)
            except SlackMissingScope:
                raise
            except SlackRefused:
                why = f"Slack knows nobody with the address {user}. Use the Slack id."
                raise PersonNotFound(why) from None
            user = str(get_object(found, "user").get("id") or "")
        company = Company(me.team, me.enterprise, me.workspaces)
        finder = ViewerFinder(SlackDirectory(api, company), company, identities, ApprovedChannels(ledger.database))
        audience = await finder.find_person_audience(user)
    if user not in next(iter(audience.viewers.people), ()):
        why = (
            "the account is deactivated or an app, or it belongs to another company"
            if audience.is_complete
            else "Slack does not say who that is (kvasir doctor)"
        )
        raise PersonNotFound(f"{user} gets no answers: {why}. Use the id of a full member or a guest.")
    return CommandPerson(user, me.team, audience.viewers, tuple(sorted(identities.failures)))
