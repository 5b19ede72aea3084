"""Takes values out of the files of a message, by a shortcut; only the person who uses it sees them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any, Final

import structlog

from bot.answering.outgoing import release_text
from bot.audit.audited_extractor import AuditedExtractor
from bot.errors import BotError
from bot.languages.registry import Language
from bot.messages import extraction as texts
from bot.messages import replies
from bot.messages.durations import format_duration
from bot.messages.errors import explain_error
from bot.messages.forms import asking
from bot.messages.message import Message, render_message
from bot.profiles.document_reader import open_material
from bot.profiles.extraction.extraction import Extraction, Value, describe_place, list_notices
from bot.profiles.extraction.profile import KIND, ExtractionProfile, Field, load_extraction_profile
from bot.profiles.profile import ProfileError
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.modal import Modal, ModalRefused, build_menu, build_modal
from bot.slack.features.kit.opening import build_sentence_view, open_modal
from bot.slack.features.kit.private_questions import PostedQuestion
from bot.slack.materials.question_materials import QuestionMaterials
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import InteractionRefused, ModalSubmission, ShortcutUse
from bot.slack.wire.permalinks import find_permalink
from bot.slack.wire.text import render
from bot.slack.wire.text.tables import build_text_blocks
from bot.storage.turns.question_counts import LimitReached, QuestionCounts
from bot.storage.turns.questions import Subject
from engine.interfaces import Requester
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Material, Viewers

_log = structlog.get_logger("kvasir.extraction")

EXTRACT_SHORTCUT: Final = "extract_values"
"""The callback id of the message shortcut."""
_PROFILE: Final = "profile"
_MAX_OPTIONS: Final = 100
_MAX_ROWS: Final = 60
"""Slack's limit of a table is 100 rows and 10,000 characters."""
_VALUES_CHARACTERS: Final = 6_000
"""For the values of a table; what is left of Slack's limit has the fields and the links."""
_VALUE_CHARACTERS: Final = (120, 400)
"""The least and the most of one value that is shown; few values have more each."""
_DEADLINE_S: Final = 900.0
_MARKUP: Final = re.compile(r"[\\`*_\[\]()~|]")


def build_feature(tools: FeatureTools) -> Feature:
    """Return the shortcut and its modal, where files are read."""
    shared, extractor = tools.shared, tools.shared.dependencies.extractor
    if extractor is None or shared.materials is None:
        return Feature()
    modal = ExtractModal(shared, extractor, shared.materials)
    return Feature(shortcuts={EXTRACT_SHORTCUT: modal.open}, modals=[modal])


class ExtractModal(Modal):
    """Asks for the profile, and extracts from the files of the message in the background."""

    callback_id = "kvasir:extract"

    def __init__(self, shared: SharedParts, extractor: AuditedExtractor, materials: QuestionMaterials) -> None:
        self._shared = shared
        self._extractor = extractor
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
        loaded = await asyncio.to_thread(self._extractor.profiles.load_profiles, KIND)
        profiles = [one.profile for one in loaded.values()]
        if not profiles:
            return build_sentence_view(texts.NO_PROFILES, used.language)
        options = {one.name: one.find_title(used.language)[:75] for one in profiles[:_MAX_OPTIONS]}
        label, hint = (render_message(one, used.language) for one in (texts.PROFILE, texts.PROFILE_HINT))
        ts = str(used.message.get("ts") or "")
        return build_modal(
            self.callback_id,
            render_message(texts.SHORTCUT, used.language),
            [build_menu(_PROFILE, label, options, chosen=profiles[0].name, hint=hint)],
            submit=render_message(texts.EXTRACT, used.language),
            close=render_message(asking.CANCEL, used.language),
            metadata=Subject(used.channel, str(used.message.get("thread_ts") or ts), ts).encode(),
        )

    async def run(self, submission: ModalSubmission) -> None:
        """Post the head of a thread to the person, and begin to extract.

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
        work = self._extract(profile, subject, user, viewers, language, thread)
        self._shared.tasks.start(work, "extraction")

    def _refuse_confidential(self, channel: str) -> None:
        """Refuse a message whose files stay in its thread; the values would be direct messages."""
        if self._shared.rules.is_confidential(channel):
            raise InteractionRefused(replies.CONFIDENTIAL)

    async def _load_profile(self, name: str) -> ExtractionProfile:
        try:
            return await asyncio.to_thread(load_extraction_profile, self._extractor.profiles, name)
        except ProfileError as error:  # its text names paths of this machine
            _log.warning("profile refused", error=str(error))
            raise ModalRefused(texts.PROFILE_WRONG) from None

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

    async def _extract(
        self,
        profile: ExtractionProfile,
        subject: Subject,
        user: str,
        viewers: Viewers,
        language: Language,
        thread: PostedQuestion,
    ) -> None:
        """Post the values of each file into the thread, or why there are none."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                read = await self._materials.read_message(user, subject)
                for notice in read.notices or ([] if read.materials else [texts.NOTHING_TO_READ]):
                    await self._post(thread, render.escape_markdown(render_message(notice, language)))
                salt = await self._shared.dependencies.find_salt(viewers)
                for material in read.materials:
                    await self._extract_file(profile, material, Requester(user, cache_salt=salt), language, thread)
        except (BotError, KnowledgeError, SlackError, TimeoutError) as error:
            await self._post(thread, render.escape_markdown(render_message(explain_error(error), language)))

    async def _extract_file(
        self,
        profile: ExtractionProfile,
        material: Material,
        requester: Requester,
        language: Language,
        thread: PostedQuestion,
    ) -> None:
        document = open_material(self._extractor.library, material)
        requester = replace(requester, cache_salt=document.mix_salt(requester.cache_salt))
        extraction = await self._extractor.extract(profile, document, requester, team=self._shared.me.team)
        await self._post(thread, format_extraction(extraction, language, material.url))

    async def _post(self, thread: PostedQuestion, markdown: str) -> None:
        await self._shared.api.call(
            "chat.postMessage",
            channel=thread.channel,
            thread_ts=thread.ts,
            text=render.make_fallback_text(markdown),
            blocks=build_text_blocks(markdown),
        )


def format_extraction(extraction: Extraction, language: Language, url: str | None) -> str:
    """Return an extraction as Markdown: a table with a link to where each value stands, and what is to be said."""
    rows: list[tuple[Field, Value | None]] = []
    for one in extraction.profile.fields:
        rows += [(one, value) for value in extraction.list_values(one.name)] or [(one, None)]
    head = [render_message(one, language) for one in (texts.FIELD, texts.VALUE, texts.WHERE)]
    least, most = _VALUE_CHARACTERS
    share = min(most, max(least, _VALUES_CHARACTERS // max(1, len(rows))))
    lines = [f"**{_format_cell(extraction.title)}**", "", _join_cells(head), "|---|---|---|"]
    for field, value in rows[:_MAX_ROWS]:
        title = _format_cell(field.title.get(language, field.title["en"]))
        if value is None:
            lines.append(_join_cells([title, render_message(texts.NOTHING, language), ""]))
            continue
        text = _format_cell(f"{value.text} = {value.normalised}" if value.normalised else value.text, share)
        place = describe_place(value.passage, language)
        lines.append(_join_cells([title, text, f"[{place}]({url})" if url else place]))
    notices: list[Message] = list_notices(extraction)
    if len(rows) > _MAX_ROWS:
        notices.insert(0, texts.MORE.fill(count=len(rows) - _MAX_ROWS))
    return "\n".join([*lines, "", *(render.escape_markdown(render_message(one, language)) for one in notices)])


def _join_cells(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _format_cell(text: str, most: int = _VALUE_CHARACTERS[0]) -> str:
    """Return a text of a document as one cell, which formats nothing and pings nobody."""
    line = " ".join(release_text(text).split())
    cut = line if len(line) <= most else f"{line[:most].rstrip()}…"
    cut = cut.replace("://", f":{render.JOINER}//")  # no address becomes a link
    return render.escape_markdown(_MARKUP.sub(r"\\\g<0>", cut))
