"""Reads the message and the thread that a question is about, as materials: each message is a passage with its link."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from bot.messages.forms import materials as texts
from bot.slack.conversations.thread_loader import ThreadLoader, ThreadMessage
from bot.slack.people.accounts import ChannelKind, Status
from bot.slack.people.directory import SlackDirectory
from bot.slack.people.viewers import AudienceRefused
from bot.slack.wire.errors import SlackGone, SlackRefused
from bot.slack.wire.events import BotUser, find_mentioned_users, make_readable
from bot.slack.wire.permalinks import find_permalink
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.questions import QuestionKey, QuestionMessage, Subject
from knowledge.interfaces import Material
from knowledge.materials import MaterialLoader

NEWEST: Final = 80
"""Messages of a long thread that are read, besides its first one and the one that the question is about."""

_OUR_NAME: Final = "Kvasir"


class QuotedMessages:
    """Reads messages for a person who may see them."""

    def __init__(
        self, api: SlackWebApi, threads: ThreadLoader, directory: SlackDirectory, loader: MaterialLoader, me: BotUser
    ) -> None:
        self._api = api
        self._threads = threads
        self._directory = directory
        self._loader = loader
        self._me = me

    @property
    def team(self) -> str:
        """Return the workspace of the messages."""
        return self._me.team

    async def check_access(self, user: str, channel: str) -> None:
        """Check that a person can see a channel: as a member, or as a full member of the company if it is public.

        Raises:
            AudienceRefused: the person cannot, or that is unknown.

        """
        if user in (await self._directory.list_members(channel) or ()):
            return
        found = await self._directory.find_channel(channel)
        account = (await self._directory.find_accounts([user])).get(user)
        if found is None or account is None or found.kind is not ChannelKind.PUBLIC:
            raise AudienceRefused(texts.MESSAGE_HIDDEN)
        is_open = not found.workspace or found.workspace in account.workspaces
        if account.status is not Status.MEMBER or not is_open:
            raise AudienceRefused(texts.MESSAGE_HIDDEN)

    async def fetch_messages(self, user: str, subject: Subject) -> list[ThreadMessage]:
        """Return the messages of a subject that a person may see, oldest first: of a long thread the newest.

        Raises:
            AudienceRefused: the person cannot see them, Kvasir cannot, or the message was deleted.
            SlackError: Slack cannot be reached.

        """
        await self.check_access(user, subject.channel)
        key = QuestionKey(self._me.team, subject.channel, f"{time.time():.6f}")
        try:
            written = await self._threads.fetch_messages(QuestionMessage(key, subject.thread_ts, user, ""))
        except (SlackGone, SlackRefused) as error:
            is_gone = error.code in {"thread_not_found", "message_not_found"}
            raise AudienceRefused(texts.MESSAGE_GONE if is_gone else texts.MESSAGE_HIDDEN) from error
        if subject.ts not in {one.ts for one in written}:
            raise AudienceRefused(texts.MESSAGE_GONE)
        quoted = [one for one in written if not one.is_ours or one.ts == subject.ts]
        central = {written[0].ts, subject.ts}
        newest = {one.ts for one in quoted[-NEWEST:]}
        return [one for one in quoted if one.ts in central or one.ts in newest]

    async def read_messages(self, subject: Subject, messages: Sequence[ThreadMessage]) -> tuple[Material, ...]:
        """Return messages as materials."""
        people = {one.user for one in messages} | {user for one in messages for user in find_mentioned_users(one.text)}
        names = {**await self._threads.find_names(people - {""}), self._me.user: _OUR_NAME}
        link = await find_permalink(self._api, subject.channel, subject.ts)
        materials = []
        for one in messages:
            if text := make_readable(one.text, names):
                author = one.app or names.get(one.user, "") or (_OUR_NAME if one.is_ours else "?")
                title = f"{author}, {datetime.fromtimestamp(float(one.ts), UTC):%Y-%m-%d %H:%M} UTC"
                url = _make_link(link, subject, one.ts)
                material = await self._loader.read_message(f"{subject.channel}-{one.ts}", title, text, url)
                is_central = one.ts in {subject.ts, subject.thread_ts}
                materials.append(replace(material, is_given=True, is_central=is_central))
        return tuple(materials)


def _make_link(link: str | None, subject: Subject, ts: str) -> str | None:
    """Return the link to a message, made of the one to the subject as Slack makes it."""
    if not link or ts == subject.ts:
        return link
    home = link.partition("/archives/")[0]
    in_thread = "" if ts == subject.thread_ts else f"?thread_ts={subject.thread_ts}&cid={subject.channel}"
    return f"{home}/archives/{subject.channel}/p{ts.replace('.', '')}{in_thread}"
