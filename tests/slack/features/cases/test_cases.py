"""Tests of cases in Slack: owners see them, decide with a reason, and nobody else does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import Access
from bot.storage.cases import Case, CaseHit, Cases, Outcome
from knowledge.errors import SourceUnavailable
from knowledge.interfaces import Hit
from tests.slack.running_bot import FakeLibrary, RunningBot, get_text, run_bot_in_sandbox, wait_for_ephemeral
from tests.slack.test_audit import run_audited

pytestmark = pytest.mark.slow

ADA, BO = "U0ADA00001", "U0BO000002"
PAYMENTS = [["2026-03-1" + str(n), "C-2001", "C-1007", "9700.00", f"T-{n}"] for n in range(5)]
CASE = Case("c1", "money-laundering", "C-*2001*", 3.7, [CaseHit("structuring", 5, PAYMENTS)])
POLICY = Hit("p1", "docs", "aml.md", "AML policy", "Structuring", None, "Report it.", 0.9, 0.9, datetime.now(UTC))


@pytest.fixture
async def case_bot(tmp_path: Path) -> AsyncIterator[RunningBot]:
    """Run a bot whose one owner is Ada, with an open case."""
    access = {"access": Access(frozenset({ADA}))}
    library = FakeLibrary(hits=(POLICY,))
    async with run_bot_in_sandbox(tmp_path, library=library, dependencies=access) as bot:
        await Cases(bot.ledger.database).open_cases([CASE])
        yield bot


async def find_list(bot: RunningBot, contains: str) -> dict[str, Any]:
    found: dict[str, Any] = await bot.sandbox.wait_for_message(
        lambda m: m.get("ephemeral") and contains in get_text(m), person="ada"
    )
    return found


async def press(bot: RunningBot, shown: dict[str, Any], action: str = "yes") -> None:
    button = f"kvasir:case:{int(action == 'no')}"
    await bot.sandbox.press("ada", "#general", shown["ts"], button, value=f"{action} c1")


async def submit(bot: RunningBot, reason: str) -> None:
    modal = await bot.sandbox.wait_for_modal(ADA)
    values = {"reason": {"reason": {"type": "plain_text_input", "value": reason}}}
    await bot.sandbox.submit("ada", modal["id"], values)


async def test_an_owner_sees_a_case_and_decides_it(case_bot: RunningBot) -> None:
    bot, stored = case_bot, Cases(case_bot.ledger.database)
    await bot.sandbox.command("ada", "#general", "/kb cases")
    shown = await find_list(bot, "1 open case")
    text = get_text(shown)
    for part in ("Money laundering · score 3.7", "Several amounts just below the reporting limit*: 5 transactions"):
        assert part in text
    assert "2026-03-10 · C-2001 → C-1007 · 9700.00 (T-0)" in text
    assert "and 2 more" in text
    assert "AML policy › Structuring" in text
    assert "> Report it." in text
    await press(bot, shown)
    await submit(bot, "Four payments below the limit.")
    await wait_for_ephemeral(bot, "is suspicious")
    found = await stored.find_case("c1")
    assert found is not None
    assert (found.outcome, found.decided_by) == (Outcome.YES, ADA)
    await bot.sandbox.command("ada", "#general", "/kb cases")
    assert "1 of 1 are suspicious (100%)" in get_text(await find_list(bot, "There are no open cases"))


async def test_a_case_is_decided_once(case_bot: RunningBot) -> None:
    bot, stored = case_bot, Cases(case_bot.ledger.database)
    await bot.sandbox.command("ada", "#general", "/kb cases")
    shown = await find_list(bot, "1 open case")
    await press(bot, shown)
    await bot.sandbox.wait_for_modal(ADA)
    await stored.decide_case("c1", Outcome.NO, "Known.", "T1", BO)
    await submit(bot, "Why not.")
    await bot.sandbox.wait_for_modal(ADA, "decided or deleted meanwhile")
    await press(bot, shown)
    await wait_for_ephemeral(bot, "decided or deleted meanwhile")
    found = await stored.find_case("c1")
    assert found is not None
    assert (found.outcome, found.decided_by) == (Outcome.NO, BO)


async def test_nobody_else_sees_or_decides_cases(case_bot: RunningBot) -> None:
    bot = case_bot
    await bot.sandbox.command("bo", "#general", "/kb cases")
    refusal = await bot.sandbox.wait_for_message(lambda m: "Only an owner" in get_text(m), person="bo")
    assert "C-1007" not in get_text(refusal)
    await bot.sandbox.command("ada", "#general", "/kb cases")
    shown = await find_list(bot, "1 open case")
    await bot.sandbox.press("bo", "#general", shown["ts"], "kvasir:case:1", value="no c1")
    await bot.sandbox.wait_delivered()
    assert (await Cases(bot.ledger.database).list_open(5))[1] == 1


async def test_cases_are_shown_without_passages_and_without_their_profile(case_bot: RunningBot) -> None:
    bot, stored = case_bot, Cases(case_bot.ledger.database)
    bot.library.failure = SourceUnavailable("down")
    gone = replace(CASE, id="c2", profile="gone", account="C-77")
    await stored.open_cases([gone, *(replace(gone, id=f"d{n}", account=f"C-{n}", score=1.0) for n in range(5))])
    await bot.sandbox.command("ada", "#general", "/kb cases")
    text = get_text(await find_list(bot, "7 open cases"))
    assert "C-77* · gone" in text
    assert "structuring*: 5 transactions" in text
    assert "passages of the policy may be missing" in text
    assert "2 more cases follow" in text


async def test_the_audit_has_the_decision_and_its_sealed_reason(tmp_path: Path) -> None:
    library = FakeLibrary(hits=(POLICY,))
    access = {"access": Access(frozenset({ADA}))}
    async with run_audited(tmp_path, dependencies=access, library=library) as audited:
        bot = audited.bot
        await Cases(bot.ledger.database).open_cases([CASE])
        await bot.sandbox.command("ada", "#general", "/kb cases")
        await press(bot, await find_list(bot, "1 open case"), "no")
        await submit(bot, "Paid by salary planted-91.")
        await wait_for_ephemeral(bot, "is not suspicious")
        entries = await audited.read_entries()
    (decided,) = [one for one in entries if one.event == "case"]
    assert {"action": "no", "case": "c1", "rules": ["structuring"]}.items() <= dict(decided.facts).items()
    assert dict(decided.sealed or {}) == {"text": "Paid by salary planted-91."}
    assert any(one.event == "read" and "aml.md" in str(one.facts) for one in entries)
    assert "C-*2001*" not in str([one.facts for one in entries])
    assert "planted-91" not in "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*.jsonl") if path.is_file()
    )
