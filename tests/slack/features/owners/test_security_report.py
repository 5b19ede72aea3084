"""Tests of the security audit's report to administrators and owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.config.configuration import Access
from bot.config.settings import load_settings
from bot.security.audit import SecurityAudit
from bot.storage.sent_notices import SentNotices
from tests.slack.features.owners.test_digest import ADA, BO, CHEN
from tests.slack.running_bot import FakeLibrary, RunningBot, get_text, run_bot_in_sandbox
from tests.slack_sandbox import TEAM_ID

SOURCE = '[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n'


@pytest.fixture
def audited(tmp_path: Path) -> SecurityAudit:
    """Audit an installation without owners, whose key at the engine is missing."""
    (tmp_path / "kvasir.toml").write_text(SOURCE + '[security]\naccept = ["running-as-root", "loose-modes"]\n')
    variables = {"KVASIR_HOME": str(tmp_path / "audited"), "KVASIR_ENGINE_URL": "https://gpu<1>:30000"}
    return SecurityAudit(load_settings(variables, tmp_path), {})


@pytest.fixture
async def bot(tmp_path: Path, library: FakeLibrary, audited: SecurityAudit) -> AsyncIterator[RunningBot]:
    """Run a bot with the owner Ada, the administrator Chen, and Bo, who owns one source."""
    access = Access(frozenset({ADA}), {"docs": frozenset({BO})}, frozenset({CHEN}))
    dependencies = {"access": access, "security_audit": audited}
    async with run_bot_in_sandbox(tmp_path, library=library, dependencies=dependencies) as running:
        yield running


async def read_reports(bot: RunningBot, person: str) -> list[str]:
    found = await bot.sandbox.messages("@kvasir", person)
    return [text for text in map(get_text, found) if text.startswith(("*The security audit", "*Kvasir 安全审计"))]


async def audit_again(bot: RunningBot) -> None:
    """Audit as if it were another day."""
    await SentNotices(bot.ledger.database).remove_notice(TEAM_ID, "security", today())
    await bot.app.run_scheduled("audit")


def today() -> str:
    return datetime.now(UTC).date().isoformat()


async def test_owners_and_administrators_get_the_report_once_a_day(bot: RunningBot, audited: SecurityAudit) -> None:
    await bot.app.run_scheduled("audit")
    await bot.app.run_scheduled("audit")
    (report,) = await read_reports(bot, "ada")
    assert "*2 problems*" in report
    assert "*no-owners*: Nobody is named in [access] owners" in report
    assert "gpu&lt;1&gt;:30000 gets no key" in report
    assert "rights-drift" in report.partition("Not checked: ")[2]  # a kernel may also lack the parser's sandbox
    assert "new" not in report
    (page,) = audited.folder.glob("*.html")
    assert str(page) in report
    (chinese,) = await read_reports(bot, "chen")
    assert "*2 个问题*" in chinese
    assert await read_reports(bot, "bo") == []


async def test_the_next_report_says_what_changed(bot: RunningBot, audited: SecurityAudit) -> None:
    await bot.app.run_scheduled("audit")
    for path in [*audited.folder.iterdir()]:  # as it would have been a week ago
        text = path.read_text(encoding="utf-8").replace('"no-owners"', '"open-ports"')
        path.with_name(f"2026-01-01T070000Z{path.suffix}").write_text(text, encoding="utf-8")
        path.unlink()
    await audit_again(bot)
    report = (await read_reports(bot, "ada"))[-1]
    assert "*no-owners* (new): " in report
    assert "*engine-without-key*: " in report
    assert "No longer found: open-ports: [access] owners" in report
    assert len(list(audited.folder.glob("*.json"))) == 2


async def test_one_of_several_processes_audits(bot: RunningBot, audited: SecurityAudit) -> None:
    assert await SentNotices(bot.ledger.database).add_notice(TEAM_ID, "security", today())  # another process
    await bot.app.run_scheduled("audit")
    assert await read_reports(bot, "ada") == []
    assert not audited.folder.exists()
