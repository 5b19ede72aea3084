"""Chooses the language of what one person alone sees: the person's own choice, or that of the person's Slack."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, TypeVar

from bot.languages.registry import Language
from bot.slack.people.directory import SlackDirectory
from bot.slack.wire.interactions import Interaction, SlashCommand
from bot.storage.preferences import PersonalPreferences

_TIMEOUT_S: Final = 1.0
"""A permission to open a modal lasts three seconds."""
_Act = TypeVar("_Act", bound=Interaction)


class ReaderLanguages:
    """Chooses languages. It raises neither ``SlackError`` nor ``DatabaseError``."""

    def __init__(self, preferences: PersonalPreferences, directory: SlackDirectory, team: str) -> None:
        self._preferences = preferences
        self._directory = directory
        self._team = team

    async def find_language(self, user: str) -> Language | None:
        """Return the language of a person; None if it is unknown, or one that Kvasir does not speak."""
        chosen = (await self._preferences.find_or_default(self._team, user)).language
        return chosen or await self._directory.find_language(user)

    async def apply_language(self, act: _Act) -> _Act:
        """Return an act in the language of the person.

        A command typed in Chinese is answered in Chinese if the person chose no language. The names of commands are
        English, so a command typed in English says nothing about the person.
        """
        finding = asyncio.create_task(self._find_for_act(act), name="language")
        try:  # a deadline would wait for the end of a transaction
            await asyncio.wait({finding}, timeout=_TIMEOUT_S)
            language = finding.result() if finding.done() else None
        finally:
            finding.cancel()
        return replace(act, language=language or act.language)

    async def _find_for_act(self, act: Interaction) -> Language | None:
        if isinstance(act, SlashCommand) and act.language != "en":
            return (await self._preferences.find_or_default(self._team, act.user)).language
        return await self.find_language(act.user)
