"""Restricted documents in Slack: no way through the real library shows anything of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.answering.notices.source_overview import describe_sources
from bot.languages.registry import LANGUAGES
from bot.messages.errors import explain_error
from bot.messages.message import render_both
from bot.ready_library import ReadyLibrary
from bot.slack.conversations.visible_sources import redact_report, redact_status
from bot.slack.features.kit import kb_texts, status_texts
from bot.workspace_page import build_page_status
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import UnknownSource
from knowledge.interfaces import ANY_MEMBER
from knowledge.library import Library
from knowledge.sync.report import SyncReport
from tests.library.library_bench import Bench
from tests.sync.doubles import DictSource, passages

ENGINE = EngineStatus(EngineState.READY, model="r1")


async def everything_shown(library: Library, report: SyncReport) -> str:
    shelf = ReadyLibrary(library, None)
    shelf.first_sync_done.set()
    state = await library.status()
    found = [await shelf.search(words, limit=20) for words in ("Lyon office closes", "type:md Lyon")]
    unknown = [await explain_source(shelf, name) for name in ("board", "noard")]
    assert unknown[0] == unknown[1].replace("noard", "board"), "as if there were no such source"
    readable = await library.count_readable(ANY_MEMBER)
    parts = [*unknown, *(one.text + one.context for result in found for one in result.hits)]
    parts += [repr(one.hits) + kb_texts.format_search_results(replace(one, query=""), "en") for one in found]
    for language in LANGUAGES:
        visible = redact_status(state, readable, ANY_MEMBER, language)
        parts += [status_texts.format_status(ENGINE, visible, language), status_texts.format_sources(visible, language)]
        parts += [kb_texts.format_approval_request(one, language) for one in visible.sources]
        parts.append(kb_texts.format_report(redact_report(report, state, readable, ANY_MEMBER, language), language))
    parts.append(repr(build_page_status(ENGINE, state.sources, readable, list(await library.suggest_questions()))))
    parts.append(describe_sources(await library.list_documents(), datetime.now(UTC), "en"))
    return "\n".join(parts)


async def explain_source(shelf: ReadyLibrary, name: str) -> str:
    with pytest.raises(UnknownSource) as unknown:
        await shelf.search(f"in:{name} Lyon", limit=20)
    return render_both(explain_error(unknown.value))


async def test_restricted_documents_stay_hidden(tmp_path: Path) -> None:
    """Neither text nor title nor name is shown: not as a hit, a suggestion, a failure or a pending deletion."""
    board, docs = DictSource("board", "/board"), DictSource("docs", "/docs")
    board.readers = frozenset({"U1"})
    for n in range(20):
        board.put(f"lyon-{n}.md", f"# Close the Lyon office {n}\nWhen the office in Lyon closes: in {n} days.")
    board.put("lyon-deal.md", "broken")
    docs.put("offices.md", "# Open an office\nWhen an office opens, or closes.")
    docs.put("torn.md", "broken")
    async with Bench(tmp_path, passages).library(board, docs) as library:
        first = await everything_shown(library, await library.refresh())
        assert "torn.md is broken" in first
        assert "When an office opens" in first
        for n in range(1, 20):
            del board.texts[f"lyon-{n}.md"]
        second = await everything_shown(library, await library.refresh())
        [held] = [one.pending_deletions for one in (await library.status()).sources if one.name == "board"]
        assert held == 19
        for document in (first, second):
            assert "lyon" not in document.lower()
            assert "board" not in document.replace("“board”", "").replace("“noard”", "")
