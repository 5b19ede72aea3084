"""``kvasir transactions`` as a process: files and a database, passages of the policy, cases and figures."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.cli.commands.transactions import make_case
from bot.profiles.registry import SHIPPED, Profiles, load_profile
from bot.profiles.transactions.payments import PaymentReader, PaymentTable
from bot.profiles.transactions.ranking import rank_accounts
from bot.storage.cases import Cases, Outcome
from bot.storage.turns.ledger import open_ledger
from tests.e2e.conftest import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SAMPLE = SHIPPED / "money-laundering" / "sample.csv"
ACCOUNT = "DE89370400440532013000"


def write_place(folder: Path) -> Place:
    (folder / "docs").mkdir()
    shutil.copy(SAMPLE.with_name("sample-policy.md"), folder / "docs" / "aml.md")
    (folder / "kvasir.toml").write_text(
        '[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n'
        '[[source]]\nname = "ledger"\nkind = "sql"\nurl_env = "LEDGER_URL"\nkey = "id"\n'
        'query = "SELECT * FROM payments"\nreaders = ["U0ADA00001"]\nexclude = ["T-1"]\n',
        encoding="utf-8",
    )
    return Place(folder)


def write_database(path: Path) -> None:
    with SAMPLE.open(encoding="utf-8") as file, sqlite3.connect(path) as database:
        rows = list(csv.DictReader(file))
        database.execute("CREATE TABLE payments (id TEXT, time TEXT, sender TEXT, receiver TEXT, amount NUMERIC)")
        database.executemany("INSERT INTO payments VALUES (:id, :time, :sender, :receiver, :amount)", rows)
        database.execute("INSERT INTO payments VALUES ('bad', 'soon', 'A', 'B', 5)")


def read_lines(out: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *accounts, last = map(json.loads, out.splitlines())
    return accounts, last["table"]


async def test_accounts_are_ranked_with_the_passages_of_the_policy(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    write_database(tmp_path / "ledger.db")
    environ = {"LEDGER_URL": "sqlite:///ledger.db"}
    status, _, err = await place.command("sync", "docs", **environ)
    assert status == 0, err
    status, out, err = await place.command(
        "transactions", "money-laundering", str(SAMPLE), "--json", "--share", "20", **environ
    )
    assert status == 0, err
    accounts, facts = read_lines(out)
    assert (facts["rows"], facts["accounts"], facts["flagged"], facts["skipped"]) == (164, 43, 8, {})
    found = {one["account"]: {rule["rule"]: rule for rule in one["rules"]} for one in accounts}
    structuring = found["C-2001"]["structuring"]
    assert "reporting limit" in structuring["policy"]["text"]
    assert [one["amount"] for one in structuring["transactions"]] == [9700.0, 9450.0, 9800.0, 9600.0]
    assert found["C-2101"]["cycle"]["policy"]["document"] == "aml.md"
    headings = {name: rule["policy"]["heading"] for rules in found.values() for name, rule in rules.items()}
    assert headings == {
        "cycle": "Round-tripping",
        "fan-in": "Many senders or receivers",
        "large-amount": "Large transactions",
        "linked": "Suspicious partners",
        "repeat": "Repeated payments",
        "structuring": "Structuring",
        "unusual-amount": "Unusual amounts",
    }
    # The same rows from a database, with one that cannot be read.
    status, out, err = await place.command(
        "transactions", "money-laundering", "--source", "ledger", "--json", "--share", "20", **environ
    )
    assert status == 0, err
    same, facts = read_lines(out)
    assert [one["account"] for one in same] == [one["account"] for one in accounts]
    assert (facts["rows"], facts["skipped"], facts["first_skipped"]) == (165, {"time": 1}, ["row 165: time"])


async def test_tables_for_people_and_spreadsheets(tmp_path: Path) -> None:
    place = Place(tmp_path)
    status, out, err = await place.command("transactions", "money-laundering", str(SAMPLE))
    assert status == 0, err
    assert "1. C-2101  score 5.2" in out
    assert "Money comes back to the account over others: 3 transactions, adds 3.7" in out
    assert "2026-03-22T09:27  C-2101 → C-2102  6,400.00  (T-0042)" in out
    assert "164 rows, 43 accounts: 19 hit a rule, 4 are flagged. A person decides about each." in err
    evil = tmp_path / "evil.csv"
    evil.write_text("time,sender,receiver,amount,id\n2026-01-01,=1+1,x,5000000,\x1b[31mT\nsoon,a,b,1,T2\n")
    status, out, err = await place.command("transactions", "money-laundering", str(evil), "--csv", "--share", "100")
    assert status == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["account"] for row in rows} == {"'=1+1", "x"}
    assert "\x1b" not in out
    assert "1 rows were left out: 1 without a readable time (row 2: time)." in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("money-laundering",), "Name a file"),
        (("money-laundering", "nothing.csv"), "cannot be read"),
        (("money-laundry", "x.csv"), "Did you mean “money-laundering”"),
        (("money-laundering", "--source", "ledger"), "has no source 'ledger' of kind sql"),
        (("money-laundering", "wrong.csv"), "no column 'receiver'. Did you mean “reciever”"),
        (("money-laundering", "empty.csv"), "it is empty"),
        (("money-laundering", "unreadable.csv"), "1 without a readable amount"),
        (("money-laundering", str(SAMPLE), "--share", "0"), "above 0"),
        (("money-laundering", str(SAMPLE), "--share", "nan"), "above 0"),
    ],
)
async def test_a_wrong_use_names_the_next_step(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    (tmp_path / "wrong.csv").write_text("id,time,sender,reciever,amount\n")
    (tmp_path / "empty.csv").write_text("id,time,sender,receiver,amount\n")
    (tmp_path / "unreadable.csv").write_text("id,time,sender,receiver,amount\nT,2026-01-01,a,b,many\n")
    status, out, err = await Place(tmp_path).command("transactions", *arguments)
    assert (status, out) == (1, "")
    assert reason in err
    assert "Traceback" not in err


def test_a_case_stays_the_same_when_rows_move() -> None:
    profile = load_profile(Profiles(None).find_profile("money-laundering"))
    columns = replace(profile.columns, id="")

    def list_cases(rows: Sequence[Mapping[str, str]]) -> set[str]:
        reader = PaymentReader(columns)
        reader.read_rows(rows)
        ranking = rank_accounts(profile, PaymentTable(reader.payments))
        return {make_case("aml", one, has_names=False).id for one in ranking.accounts}

    with SAMPLE.open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    new = {**rows[0], columns.sender: "X-1", columns.receiver: "X-2", columns.amount: "1.00"}
    assert list_cases([new, *rows]) == list_cases(rows) != set()


async def test_cases_are_opened_once_and_decisions_become_figures(tmp_path: Path) -> None:
    place = Place(tmp_path)
    table = tmp_path / "private.csv"
    table.write_text(SAMPLE.read_text(encoding="utf-8").replace("C-2001", ACCOUNT), encoding="utf-8")
    flags = ("transactions", "money-laundering", str(table), "--share", "20", "--open-cases")
    status, _, err = await place.command(*flags)
    assert status == 0, err
    assert "8 new cases, 0 known before" in err
    status, _, err = await place.command(*flags)
    assert "0 new cases, 8 known before" in err
    async with open_ledger(f"sqlite:///{place.home / 'kvasir.db'}") as ledger:
        stored = Cases(ledger.database)
        found, count = await stored.list_open(20)
        assert count == 8
        for one in found:
            is_yes = any(hit.rule == "structuring" for hit in one.hits)
            await stored.decide_case(one.id, Outcome.YES if is_yes else Outcome.NO, "planted-5c", "T1", "U1")
    status, out, err = await place.command("transactions", "money-laundering", "--figures", "--json")
    assert status == 0, err
    figures = {one["rule"]: one for one in map(json.loads, out.splitlines())}
    assert (figures["structuring"]["yes"], figures["structuring"]["no"]) == (2, 0)
    assert figures["structuring"]["weight"] > 0 > figures["cycle"]["weight"]
    assert figures["cycle"]["precision"] == 0
    status, out, _ = await place.command("transactions", "money-laundering", "--figures")
    assert "structuring             2 of 2 cases are suspicious (100%); suggested weight" in out
    # Neither the audit nor a log has an account or a reason.
    files = [path for path in place.home.rglob("*") if path.is_file() and ".db" not in path.name]
    texts = {str(path): path.read_text(errors="replace") for path in files}
    assert any('"case"' in text for text in texts.values())
    assert [name for name, text in texts.items() if ACCOUNT in text or "planted-5c" in text] == []
