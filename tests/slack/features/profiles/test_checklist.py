"""Checklists in Slack: each statement with its answer, its clauses and where these stand."""

from __future__ import annotations

import pytest

from bot.profiles.registry import SHIPPED
from bot.slack.wire.text.tables import read_table_block
from tests.slack.features.profiles.profiles_bot import ProfilesBot
from tests.slack.running_bot import get_text

pytestmark = pytest.mark.slow

SAMPLE = (SHIPPED / "nda-checklist" / "sample.md").read_bytes()
WARDS = """\
kind = "checklist"
[title]
en = "Wards"
zh = "病房清单"
[instructions]
en = "Check."
"""
WARD = """
[[statements]]
name = "ward_{n}"
title = {{ en = "Ward {n} is named", zh = "提到第 {n} 病房" }}
statement = {{ en = "Ward {n} is named." }}
search = {{ en = "ward {n}" }}
entailed = ['\\bward {n}\\b']
"""


async def wait_for_rows(bot: ProfilesBot, last: str = "A person decides", person: str = "ada") -> list[list[str]]:
    """Return the texts of the cells of all tables of a result, without their heads; ``last`` ends it."""
    end = await bot.wait_for_result(last, person)
    assert end["root"] != end["ts"], "in a thread"
    said = await bot.files.sandbox.messages("@kvasir", person)
    blocks = [block for one in said if one["root"] == end["root"] for block in one.get("blocks") or ()]
    tables = [block for block in blocks if block["type"] == "table"]
    assert not [block for block in blocks if block["type"] == "markdown" and "| ---" in block["text"]]
    return [row.strip("| ").split(" | ") for one in tables for row in read_table_block(one).splitlines()[2:]]


async def test_the_shortcut_lists_profiles_by_kind_and_checks_a_contract(bot: ProfilesBot) -> None:
    ts = await bot.files.send("Our NDA", {"nda.md": SAMPLE})
    view = await bot.open_modal(ts)
    (block,) = view["blocks"]
    groups = block["element"]["option_groups"]
    assert {group["label"]["text"]: [one["value"] for one in group["options"]] for group in groups} == {
        "Take values out": ["contract", "kyc", "medical-record"],
        "Check a contract": ["nda-checklist"],
        "Write a note of a visit": ["visit-note"],
    }
    await bot.submit(view, "nda-checklist")
    rows = await wait_for_rows(bot)
    assert ["No solicitation", "not mentioned"] in rows
    (copies,) = [row for row in rows if row[0] == "Copies"]
    assert copies[1:3] == ["contradicted", "The Receiving Party shall not copy the Confidential Information."]
    assert copies[3].startswith("passage ")
    found = await bot.wait_for_result("shall not copy the Confidential Information.")
    assert f"/p{ts.replace('.', '')}" in str(found["blocks"]), "each row leads to the message"
    assert not [one for one in await bot.files.sandbox.messages("#general") if one.get("bot_id")], "nobody else sees it"
    (entry,) = bot.audit.entries
    assert (entry.person.endswith("/U0ADA00001"), entry.facts["profile"]) == (True, "nda-checklist")
    assert entry.sealed == {"files": ["nda.md"]}


async def test_a_clause_formats_nothing_and_pings_nobody(bot: ProfilesBot) -> None:
    clause = "The Receiving Party shall not copy the [Information](https://evil.example) | *x* <!channel> @channel."
    ts = await bot.files.send("Our NDA", {"nda.md": clause.encode()})
    await bot.use_shortcut(ts, "nda-checklist")
    message = await bot.wait_for_result("evil.example")
    assert "https://evil.example" not in str(message["blocks"])
    assert "<!channel>" not in get_text(message) + str(message["blocks"])


async def test_a_long_checklist_comes_in_tables_that_slack_takes(bot: ProfilesBot) -> None:
    folder = bot.home / "profiles" / "wards"
    folder.mkdir(parents=True)
    (folder / "profile.toml").write_text(WARDS + "".join(WARD.format(n=n) for n in range(100)), encoding="utf-8")
    text = " ".join(f"The patient sleeps in ward {n}, which has {'very ' * 60}good beds." for n in range(100))
    ts = await bot.files.send("Our wards", {"wards.txt": text.encode()})
    await bot.use_shortcut(ts, "wards")
    rows = await wait_for_rows(bot)
    assert [row[0] for row in rows] == [f"Ward {n} is named" for n in range(100)]
    assert {row[1] for row in rows} == {"entailed"}


async def test_answers_come_in_the_language_of_the_person(bot: ProfilesBot) -> None:
    folder = bot.home / "profiles" / "wards"
    folder.mkdir(parents=True)
    (folder / "profile.toml").write_text(WARDS + WARD.format(n=1), encoding="utf-8")
    ts = await bot.files.send("Our wards", {"wards.txt": b"The patient sleeps in ward 2."})
    view = await bot.open_modal(ts, person="chen")
    assert "核对合同" in str(view["blocks"])
    await bot.submit(view, "wards", "chen")
    assert await wait_for_rows(bot, "由人来决定", "chen") == [["提到第 1 病房", "未提及"]]
