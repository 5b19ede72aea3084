"""What an owner, a member and a guest see of restricted sources in Slack, with the real library."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import Access
from bot.ready_library import ReadyLibrary
from tests.library.library_bench import Bench
from tests.slack.running_bot import RunningBot, get_text, run_bot
from tests.slack_sandbox import open_sandbox
from tests.sync.doubles import DictSource, passages

pytestmark = pytest.mark.slow

HERE = "#project"
"""A public channel with a guest."""


@contextlib.asynccontextmanager
async def run_bot_with_board(tmp_path: Path, *owners: str) -> AsyncIterator[RunningBot]:
    """Run a bot with a source for Ada alone, and one for every full member."""
    board, docs = DictSource("board", "/srv/bd"), DictSource("docs", "/srv/docs")
    board.readers = frozenset({"U0ADA00001"})
    for n in range(20):
        board.put(f"lyon-{n}.md", f"# Close the Lyon office {n}\nWhen the office in Lyon closes: in {n} days.")
    board.put("lyon-deal.md", "broken")
    docs.put("offices.md", "# Open an office\nWhen an office opens.")
    async with Bench(tmp_path, passages).library(board, docs) as library, open_sandbox(tmp_path) as sandbox:
        await library.refresh()
        ready = ReadyLibrary(library, None)
        ready.first_sync_done.set()
        dependencies = {"access": Access(frozenset(owners)), "search": ready.search}
        real: Any = library
        async with run_bot(sandbox, tmp_path, library=real, dependencies=dependencies) as bot:
            yield bot


async def run_command(bot: RunningBot, person: str, typed: str, contains: str) -> str:
    """Type a command and return the answer that only the person sees."""
    before = {m["ts"] for m in await bot.sandbox.messages(HERE, person)}
    await bot.sandbox.command(person, HERE, typed)
    found = await bot.sandbox.wait_for_message(
        lambda m: m.get("ephemeral") and m["ts"] not in before and contains in get_text(m), channel=HERE, person=person
    )
    return get_text(found)


async def read_home(bot: RunningBot, person: str) -> str:
    async def published() -> bool:
        return await bot.sandbox.home(person) is not None

    await bot.sandbox.wait_until(published)
    return str(await bot.sandbox.home(person))


@pytest.mark.parametrize(("person", "visible"), [("ada", {"board", "docs"}), ("bo", {"docs"}), ("gus", set[str]())])
async def test_people_see_only_sources_of_which_they_may_read_something(
    tmp_path: Path, person: str, visible: set[str]
) -> None:
    async with run_bot_with_board(tmp_path) as bot:
        texts = [
            await run_command(bot, person, "/kb status", "*Engine*"),
            await run_command(bot, person, "/kb sources", "dict" if visible else "No source has documents"),
            await read_home(bot, person),
            await run_command(bot, person, "/kb refresh", "*board*" if "board" in visible else "Refreshed in"),
        ]
        texts += [get_text(m) for m in await bot.sandbox.messages("@kvasir", person)]
        for text in texts[:3]:
            assert {name for name in ("board", "docs") if name in text} == visible
        if "board" not in visible:
            for typed in ("/kb search offices in:{}", "/kb refresh {}"):
                answers = [
                    await run_command(bot, person, typed.format(name), f"There is no source “{name}”")
                    for name in ("board", "noard")
                ]
                assert answers[0] == answers[1].replace("noard", "board")
                texts.append(answers[0].replace("“board”", ""))
            assert not [
                secret for secret in ("board", "lyon", "/srv/bd", "20 documents") if secret in str(texts).lower()
            ]


async def test_only_the_owner_sees_what_only_owners_see(tmp_path: Path) -> None:
    async with run_bot_with_board(tmp_path, "U0MIRA0004") as bot:
        sources = await run_command(bot, "mira", "/kb sources", "*docs*")
        assert "*board*: 20 documents" in sources
        assert "dict · /srv/bd" in sources
        assert "board" not in await run_command(bot, "mira", "/kb search office", "“office”")
        assert "board" not in str([get_text(m) for m in await bot.sandbox.messages(HERE, "bo")])
