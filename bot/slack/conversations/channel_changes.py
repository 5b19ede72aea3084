"""Changes the settings of channels: who may do it, and the line in the channel that announces it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

import structlog

from bot.audit.entries import Event
from bot.messages.forms import channel_settings as texts
from bot.messages.message import Message, render_message
from bot.slack.conversations.channel_descriptions import describe_changes
from bot.slack.conversations.channel_rules import ChannelRules
from bot.slack.people.accounts import ChannelKind
from bot.slack.people.directory import SlackDirectory
from bot.slack.people.roles import Role, RoleFinder
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.errors import SlackError
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.channels.channel_settings import ChannelSettings, ChannelSettingsStore

_log = structlog.get_logger(__name__)


class ChannelChanges:
    """Stores changed settings and announces them; a channel's creator, owners and administrators may change them."""

    def __init__(
        self,
        api: SlackWebApi,
        store: ChannelSettingsStore,
        rules: ChannelRules,
        directory: SlackDirectory,
        roles: RoleFinder,
        messenger: EphemeralMessenger,
        *,
        record: Callable[[Event, str, Mapping[str, object]], Awaitable[None]],
    ) -> None:
        self._api = api
        self._store = store
        self._rules = rules
        self._directory = directory
        self._roles = roles
        self._messenger = messenger
        self._record = record

    async def find_refusal(self, channel: str, user: str) -> Message | None:
        """Return why a person may not change the settings of a channel, None if the person may."""
        found = None if channel.startswith("D") else await self._directory.find_channel(channel)
        if channel.startswith("D") or (found is not None and found.kind is ChannelKind.DIRECT):
            return texts.ONLY_IN_CHANNELS
        if found is None:
            return texts.CHANNEL_UNKNOWN
        roles = await self._roles.find_roles(user)
        if roles & {Role.ADMIN, Role.OWNER} or (user == found.creator and Role.MEMBER in roles):
            return None
        _log.info("channel settings refused", channel=channel, user=user)
        creator = texts.CREATOR.fill(user=found.creator) if found.creator else texts.A_CREATOR
        return texts.NOT_ALLOWED.fill(creator=creator)

    async def change_settings(self, channel: str, user: str, before: ChannelSettings, after: ChannelSettings) -> None:
        """Store settings, and post one line in the channel that says who changed what.

        Raises:
            DatabaseError: the settings cannot be stored.

        """
        old, new = self._rules.combine_settings(channel, before), self._rules.combine_settings(channel, after)
        language = new.language or await self._directory.find_language(user) or "en"
        changes = describe_changes(old, new, language)
        if not changes:
            await self._messenger.reach_person(channel, user, render_message(texts.NOTHING_CHANGED, language))
            return
        await self._store.save_settings(channel, after, user)
        _log.info("channel settings changed", channel=channel, user=user)
        await self._record(Event.SETTING, user, {"channel": channel, **asdict(after)})
        try:
            line = render_message(texts.CHANGED, language, user=user, changes=changes)
            await self._api.call("chat.postMessage", channel=channel, text=line)
        except SlackError as error:
            _log.warning("change not announced", channel=channel, error=str(error))
            await self._messenger.reach_person(channel, user, render_message(texts.SAVED_UNANNOUNCED, language))
