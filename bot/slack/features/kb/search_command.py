"""``/kb search``: the best passages that the person may read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bot.answering.retrieval.channel_filters import add_filters
from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.features.kit import kb_texts
from bot.slack.features.kit.subcommand import WrongUsage
from bot.slack.people.refusals import explain_refusal
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import SlashCommand
from bot.slack.wire.text import render

_LIMIT = 5


class SearchRunner:
    """Searches without an answer, by the rules of the channel."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def run(self, typed: SlashCommand, query: str) -> str:
        """Return the passages, or why there are none.

        Raises:
            WrongUsage: there is no query.
            KnowledgeError: the library fails.

        """
        if not query:
            raise WrongUsage("search …")
        audience = await self._shared.viewers.find_person_audience(typed.user)
        if audience.refusal is not None:
            return render_message(explain_refusal(audience.refusal), typed.language)
        rule = await self._shared.rules.find_filters(typed.channel, audience.viewers)
        if rule is None:
            return render_message(replies.NOTHING_OPEN, typed.language)
        filtered = add_filters(query, rule, datetime.now(UTC))
        result = await self._shared.dependencies.library.search(filtered, limit=_LIMIT, viewers=audience.viewers)
        text = kb_texts.format_search_results(replace(result, query=query), typed.language)
        if audience.is_complete:
            return text
        return f"{render.escape_mrkdwn(render_message(replies.AUDIENCE_UNKNOWN, typed.language))}\n{text}"
