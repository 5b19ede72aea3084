"""Applies a profile to the files of a message, by a shortcut; only the person who uses it sees the result."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from bot.audit.audited_profiles import AuditedProfiles, ProfileUser
from bot.errors import BotError
from bot.languages.registry import Language
from bot.messages import replies
from bot.messages.durations import format_duration
from bot.messages.errors import explain_error
from bot.messages.forms import asking
from bot.messages.forms import profiles as texts
from bot.messages.message import Message, render_message
from bot.profiles.document_profiles import DOCUMENT_KINDS, DocumentProfile
from bot.profiles.document_reader import open_material
from bot.profiles.profile import ProfileError
from bot.slack.features.kit.modal import Modal, ModalRefused, build_grouped_menu, build_modal
from bot.slack.features.kit.opening import build_sentence_view, open_modal
from bot.slack.features.kit.private_questions import PostedQuestion
from bot.slack.features.profiles.result_texts import escape_text, format_result
from bot.slack.materials.question_materials import QuestionMaterials
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import InteractionRefused, ModalSubmission, ShortcutUse
from bot.slack.wire.permalinks import find_permalink
from bot.slack.wire.text import render
from bot.slack.wire.text.cutting import split_message
from bot.slack.wire.text.tables import build_text_blocks
from bot.storage.turns.question_counts import LimitReached, QuestionCounts
from bot.storage.turns.questions import Subject
from engine.interfaces import Requester
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Material, Viewers

_log = structlog.get_logger("kvasir.profiles")

PROFILE_SHORTCUT: Final = "extract_values"
"""The callback id of the message shortcut; installed apps have it."""
_PROFILE: Final = "profile"
_MAX_OPTIONS: Final = 100
"""Of each group: Slack's limit."""
_PIECE_CHARACTERS: Final = 9_000
"""A table of more characters than 10,000 is none for Slack."""
_DEADLINE_S: Final = 900.0
"""For the files of a message to be read, and for the profile to be applied to each."""


class ProfileModal(Modal):
    """Asks for the profile, and applies it to the files of the message in the background."""

    callback_id = "kvasir:extract"

    def __init__(self, shared: SharedParts, profiles: AuditedProfiles, materials: QuestionMaterials) -> None:
        self._shared = shared
        self._profiles = profiles
        self._materials = materials
        self._counts = QuestionCounts(shared.database)

    async def open(self, used: ShortcutUse) -> None:
        """Open the modal for the person who used the shortcut.

        Raises:
            InteractionRefused: the message is confidential.
            SlackError: Slack refuses it.

        """
        self._refuse_confidential(used.channel)
        await open_modal(self._shared.api, used, self._build_view(used))

    async def _build_view(self, used: ShortcutUse) -> dict[str, Any]:
        groups = await asyncio.to_thread(self._list_profiles, used.language)
        if not groups:
            return build_sentence_view(texts.NO_PROFILES, used.language)
        label, hint = (render_message(one, used.language) for one in (texts.PROFILE, texts.PROFILE_HINT))
        chosen = next(name for group in groups.values() for name in group)
        ts = str(used.message.get("ts") or "")
        return build_modal(
            self.callback_id,
            render_message(texts.SHORTCUT, used.language),
            [build_grouped_menu(_PROFILE, label, groups, chosen=chosen, hint=hint)],
            submit=render_message(texts.START, used.language),
            close=render_message(asking.CANCEL, used.language),
            metadata=Subject(used.channel, str(used.message.get("thread_ts") or ts), ts).encode(),
        )

    def _list_profiles(self, language: Language) -> dict[str, dict[str, str]]:
        """Return the titles of the profiles of each kind that has some, by their names."""
        loaded: dict[str, DocumentProfile] = self._profiles.profiles.load_profiles(*DOCUMENT_KINDS)
        groups: dict[str, dict[str, str]] = {}
        for kind in DOCUMENT_KINDS:
            found = [one.profile for one in loaded.values() if one.profile.kind == kind][:_MAX_OPTIONS]
            if found:
                titles = {one.name: one.find_title(language)[:75] for one in found}
                groups[render_message(texts.KINDS[kind], language)] = titles
        return groups

    async def run(self, submission: ModalSubmission) -> None:
        """Post the head of a thread to the person, and begin to apply the profile.

        Raises:
            AudienceRefused: the person cannot see the message.
            InteractionRefused: the message is confidential, or the person gets no answers or has asked too often.
            ModalRefused: the profile is gone or wrong.
            SlackError: Slack refuses the message.

        """
        subject, user, language = Subject.decode(submission.metadata), submission.user, submission.language
        if subject is None:
            return
        self._refuse_confidential(subject.channel)
        viewers = await self._admit_person(user, language)
        await self._materials.quoted.check_access(user, subject.channel)
        profile = await self._load_profile(submission.get_text(_PROFILE))
        link = await find_permalink(self._shared.api, subject.channel, subject.ts)
        place = render_message(asking.THIS_MESSAGE, language)
        title = render.escape_mrkdwn(profile.profile.find_title(language))
        linked = f"<{render.encode_link_target(link)}|{place}>" if link else place
        head = render_message(texts.HEAD, language, profile=title, place=linked)
        posted = await self._shared.api.call("chat.postMessage", channel=user, text=head)
        thread = PostedQuestion(str(posted["channel"]), str(posted["ts"]))
        work = self._apply(profile, subject, user, viewers, language, thread)
        self._shared.tasks.start(work, "profile")

    def _refuse_confidential(self, channel: str) -> None:
        """Refuse a message whose files stay in its thread; the result would be direct messages."""
        if self._shared.rules.is_confidential(channel):
            raise InteractionRefused(replies.CONFIDENTIAL)

    async def _load_profile(self, name: str) -> DocumentProfile:
        load = self._profiles.profiles.load_profile
        try:
            profile: DocumentProfile = await asyncio.to_thread(load, name, *DOCUMENT_KINDS)
        except ProfileError as error:  # its text names paths of this machine
            _log.warning("profile refused", error=str(error))
            raise ModalRefused(texts.PROFILE_WRONG) from None
        return profile

    async def _admit_person(self, user: str, language: Language) -> Viewers:
        """Return the person as the only viewer, and count the request as a question."""
        audience = await self._shared.viewers.find_person_audience(user)
        if audience.refusal is not None:
            raise InteractionRefused(audience.refusal)
        if not audience.is_complete:
            raise InteractionRefused(replies.AUDIENCE_UNKNOWN)
        limit = self._shared.dependencies.configuration.question_limits.person
        try:
            if limit:
                await self._counts.count_question(self._shared.me.team, {user: limit})
        except LimitReached as reached:
            wait = format_duration(reached.wait_s, language)
            raise InteractionRefused(replies.PERSON_LIMIT.fill(count=limit, wait=wait)) from None
        return audience.viewers

    async def _apply(
        self,
        profile: DocumentProfile,
        subject: Subject,
        user: str,
        viewers: Viewers,
        language: Language,
        thread: PostedQuestion,
    ) -> None:
        """Post the result for each file into the thread, or why there is none."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                read = await self._materials.read_message(user, subject)
                for notice in read.notices or ([] if read.materials else [texts.NOTHING_TO_READ]):
                    await self._explain(thread, notice, language)
                salt = await self._shared.dependencies.find_salt(viewers)
            asking_user = ProfileUser(Requester(user, cache_salt=salt), self._shared.me.team)
            for material in read.materials:
                await self._apply_to_file(profile, material, asking_user, language, thread)
        except (BotError, KnowledgeError, SlackError, TimeoutError) as error:
            await self._explain(thread, explain_error(error), language)

    async def _apply_to_file(
        self,
        profile: DocumentProfile,
        material: Material,
        user: ProfileUser,
        language: Language,
        thread: PostedQuestion,
    ) -> None:
        document = open_material(self._profiles.library, material)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                result = await self._profiles.apply(profile, document, user)
        except (BotError, KnowledgeError, TimeoutError) as error:
            await self._explain(thread, explain_error(error), language, f"**{escape_text(document.title)}**\n\n")
            return
        for piece in split_message(format_result(result, language, material.url), _PIECE_CHARACTERS):
            await self._post(thread, piece)

    async def _explain(self, thread: PostedQuestion, message: Message, language: Language, title: str = "") -> None:
        await self._post(thread, title + render.escape_markdown(render_message(message, language)))

    async def _post(self, thread: PostedQuestion, markdown: str) -> None:
        await self._shared.api.call(
            "chat.postMessage",
            channel=thread.channel,
            thread_ts=thread.ts,
            text=render.make_fallback_text(markdown),
            blocks=build_text_blocks(markdown),
        )
