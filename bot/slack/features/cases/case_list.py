"""``/kb cases``: the open cases, with rules, transactions and the passages of the policy, and the figures of rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from bot.answering.outgoing import release_text
from bot.audit.entries import Event, describe_passage
from bot.languages.registry import Language
from bot.messages.forms import cases
from bot.messages.message import render_message
from bot.profiles.profile import ProfileError
from bot.profiles.registry import Profiles, load_profile
from bot.profiles.transactions.policy_passages import PolicyPassages
from bot.profiles.transactions.profile import TransactionProfile
from bot.profiles.transactions.ranking import count_figures
from bot.slack.features.cases.decide_case import NO_ACTION, YES_ACTION
from bot.slack.features.kit import kb_texts
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import Block, build_section, build_sections
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import SlashCommand
from bot.slack.wire.text import render
from bot.storage.cases import Case, CaseHit, Cases

_MAX_SHOWN: Final = 5
_MAX_RULES: Final = 4
_MAX_TRANSACTIONS: Final = 3


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
        profiles = await asyncio.to_thread(_load_profiles, self._shared.dependencies.configuration.profiles)
        viewers = (await self._shared.viewers.find_person_audience(typed.user)).viewers
        passages = PolicyPassages(self._shared.dependencies.search, viewers)
        head = render_message(cases.HEAD if shown else cases.NONE_OPEN, language, count=count)
        blocks: list[Block] = [build_section(head)]
        for case in shown:
            text = await self._describe_case(case, profiles.get(case.profile), passages, language)
            buttons = [
                build_button(action, render_message(label, language), case.id)
                for action, label in ((YES_ACTION, cases.YES), (NO_ACTION, cases.NO))
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


def _load_profiles(own: object) -> dict[str, TransactionProfile]:
    """Return the profiles of transactions by name; cases of a broken one are shown with the names of rules alone."""
    try:
        found = Profiles(own).list_profiles("transactions")  # type: ignore[arg-type]
        return {one.name: load_profile(one) for one in found}
    except ProfileError:
        return {}


def _format_transactions(hit: CaseHit, language: Language) -> Sequence[str]:
    lines = []
    for one in hit.transactions[:_MAX_TRANSACTIONS]:
        time, sender, receiver, amount, id_ = (render.escape_mrkdwn(release_text(text)) for text in one)
        lines.append(f"   ◦ {time} · {sender} → {receiver} · {amount} ({id_})")
    if hit.count > len(lines):
        lines.append(f"   ◦ {render_message(cases.MORE_TRANSACTIONS, language, count=hit.count - len(lines))}")
    return lines
