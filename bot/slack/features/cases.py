"""Cases of transactions: owners see them by ``/kb cases``, with the figures of rules, and decide each with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from bot.answering.outgoing import release_text
from bot.audit.entries import Event, describe_passage
from bot.languages.registry import Language
from bot.messages.forms import cases
from bot.messages.message import Message, render_message
from bot.profiles.registry import Profiles
from bot.profiles.transactions.policy_passages import PolicyPassages
from bot.profiles.transactions.profile import TransactionProfile
from bot.profiles.transactions.ranking import count_figures
from bot.slack.features.kit import kb_texts
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.modal import Modal, ModalRefused, build_modal, build_text_field
from bot.slack.features.kit.opening import open_view
from bot.slack.features.kit.subcommand import Subcommand
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import Block, build_section, build_sections
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused, ModalSubmission, SlashCommand
from bot.slack.wire.text import render
from bot.storage.cases import MAX_REASON_CHARACTERS, Case, CaseHit, Cases, Outcome

_log = structlog.get_logger("kvasir.cases")

_DECIDE: Final = "kvasir:case"
"""The action id, followed by a number; the button's value is the outcome and the id of the case."""
_REASON: Final = "reason"
_LABELS: Final = {Outcome.YES: cases.YES, Outcome.NO: cases.NO}
_TITLES: Final = {Outcome.YES: cases.TITLE_YES, Outcome.NO: cases.TITLE_NO}
_SAVED: Final = {Outcome.YES: cases.SAVED_YES, Outcome.NO: cases.SAVED_NO}
_MAX_SHOWN: Final = 5
_MAX_RULES: Final = 4
_MAX_TRANSACTIONS: Final = 3


def build_feature(tools: FeatureTools) -> Feature:
    """Return the list for owners, its buttons and the modal."""
    shared, stored = tools.shared, Cases(tools.shared.database)
    modal = DecisionModal(shared, stored)
    command = Subcommand(
        ("cases", "case", "案例"),
        CaseList(shared, stored).show_cases,
        lambda user, _rest: shared.access.is_owner(user),
        timeout_s=60.0,
    )
    return Feature(subcommands=[command], actions={_DECIDE: modal.open}, modals=[modal])


class DecisionModal(Modal):
    """Asks an owner for the reason, and stores the decision."""

    callback_id = "kvasir:case"

    def __init__(self, shared: SharedParts, stored: Cases) -> None:
        self._shared = shared
        self._stored = stored

    async def open(self, press: ButtonPress) -> None:
        """Ask for the reason of the decision that a button names.

        Raises:
            InteractionRefused: the person is no owner, or the case is not open any more.
            DatabaseError: the case cannot be read.
            SlackError: Slack refuses the modal.

        """
        if not self._shared.access.is_owner(press.user):
            raise InteractionRefused(kb_texts.explain_owners_only(self._shared.access.owners))
        language, (word, id_) = press.language, press.value.split(" ")
        case = await self._stored.find_case(id_)
        if case is None or case.outcome is not None:
            raise InteractionRefused(cases.DECIDED_BEFORE)
        field = build_text_field(
            _REASON,
            render_message(cases.REASON, language),
            hint=render_message(cases.REASON_HINT, language),
            multiline=True,
            most=MAX_REASON_CHARACTERS,
        )
        view = build_modal(
            self.callback_id,
            render_message(_TITLES[Outcome(word)], language),
            [field],
            submit=render_message(cases.SAVE, language),
            close=render_message(cases.CANCEL, language),
            metadata=f"{press.value} {press.channel}",
        )
        await open_view(self._shared.api, press, view)

    def find_errors(self, submission: ModalSubmission) -> Mapping[str, Message]:
        """Refuse a decision without a reason."""
        return {} if submission.get_text(_REASON) else {_REASON: cases.REASON_MISSING}

    async def run(self, submission: ModalSubmission) -> None:
        """Store the decision, record it in the audit and confirm it.

        Raises:
            ModalRefused: the person is no owner, or the case is not open any more.
            DatabaseError: it cannot be stored.

        """
        word, id_, channel = submission.metadata.split(" ")
        outcome, reason, team = Outcome(word), submission.get_text(_REASON), self._shared.me.team
        if not self._shared.access.is_owner(submission.user):
            raise ModalRefused(kb_texts.explain_owners_only(self._shared.access.owners))
        case = await self._stored.find_case(id_)
        if case is None or not await self._stored.decide_case(id_, outcome, reason, team, submission.user):
            raise ModalRefused(cases.DECIDED_BEFORE)
        facts = {"action": outcome, "case": id_, "profile": case.profile, "rules": [hit.rule for hit in case.hits]}
        await self._shared.record_event(Event.CASE, submission.user, facts, {"text": reason})
        _log.info("case decided", case=id_, outcome=outcome, user=submission.user)
        text = render.escape_mrkdwn(
            render_message(_SAVED[outcome], submission.language, account=release_text(case.account))
        )
        await self._shared.messenger.reach_person(channel, submission.user, text)


class CaseList:
    """Shows the open cases to an owner, who sees only passages that the owner may read."""

    def __init__(self, shared: SharedParts, stored: Cases) -> None:
        self._shared = shared
        self._stored = stored

    async def show_cases(self, typed: SlashCommand, _rest: str) -> None:
        """Show the cases with the highest scores.

        Raises:
            DatabaseError: the cases cannot be read.

        """
        language = typed.language
        shown, count = await self._stored.list_open(_MAX_SHOWN)
        # The cases of a wrong profile are shown with the names of its rules alone.
        known = Profiles(self._shared.dependencies.configuration.profiles)
        profiles: dict[str, TransactionProfile] = await asyncio.to_thread(known.load_profiles, "transactions")
        viewers = (await self._shared.viewers.find_person_audience(typed.user)).viewers
        passages = PolicyPassages(self._shared.dependencies.search, viewers)
        head = render_message(cases.HEAD if shown else cases.NONE_OPEN, language, count=count)
        blocks: list[Block] = [build_section(head)]
        for case in shown:
            text = await self._describe_case(case, profiles.get(case.profile), passages, language)
            buttons = [
                build_button(f"{_DECIDE}:{n}", render_message(label, language), f"{outcome} {case.id}")
                for n, (outcome, label) in enumerate(_LABELS.items())
            ]
            blocks += [*build_sections(text), {"type": "actions", "elements": buttons}]
        if passages.hits:
            read = [describe_passage(one.source, one.document, [one.id], one.synced_at) for one in passages.hits]
            await self._shared.record_event(Event.READ, typed.user, {"passages": read})
        rest = [render_message(cases.MORE_CASES, language, count=count - len(shown))] if count > len(shown) else []
        rest += [render_message(cases.NO_PASSAGES, language)] if passages.failure is not None else []
        for profile in profiles.values():
            rest += await self._describe_figures(profile, language)
        blocks += build_sections("\n".join(rest)) if rest else []
        await self._shared.messenger.answer_interaction(typed, head, blocks)

    async def _describe_case(
        self, case: Case, profile: TransactionProfile | None, passages: PolicyPassages, language: Language
    ) -> str:
        name = case.profile if profile is None else profile.profile.find_title(language)
        account = render.escape_mrkdwn(release_text(case.account))
        score = f"{case.score:.1f}"
        lines = [
            render_message(cases.ENTRY, language, account=account, profile=render.escape_mrkdwn(name), score=score)
        ]
        for hit in case.hits[:_MAX_RULES]:
            rule = None if profile is None else profile.find_rule(hit.rule)
            title = hit.rule if rule is None else rule.find_title(language)
            lines.append(render_message(cases.RULE, language, rule=render.escape_mrkdwn(title), count=hit.count))
            lines += _format_transactions(hit, language)
            if rule is not None and (found := await passages.find_passage(rule.policy)) is not None:
                lines.append(kb_texts.format_passage(found))
        return "\n".join(lines)

    async def _describe_figures(self, profile: TransactionProfile, language: Language) -> list[str]:
        figures = count_figures(await self._stored.list_decided(profile.profile.name))
        if not figures:
            return []
        title = render.escape_mrkdwn(profile.profile.find_title(language))
        lines = [render_message(cases.FIGURES_HEAD, language, profile=title)]
        for one in figures:
            rule = profile.find_rule(one.rule)
            name = render.escape_mrkdwn(one.rule if rule is None else rule.find_title(language))
            count, share = one.yes + one.no, f"{one.precision:.0%}"
            lines.append(render_message(cases.FIGURES, language, rule=name, yes=one.yes, count=count, share=share))
        return lines


def _format_transactions(hit: CaseHit, language: Language) -> Sequence[str]:
    lines = []
    for one in hit.transactions[:_MAX_TRANSACTIONS]:
        time, sender, receiver, amount, id_ = (render.escape_mrkdwn(release_text(text)) for text in one)
        lines.append(f"   ◦ {time} · {sender} → {receiver} · {amount} ({id_})")
    if hit.count > len(lines):
        lines.append(f"   ◦ {render_message(cases.MORE_TRANSACTIONS, language, count=hit.count - len(lines))}")
    return lines
