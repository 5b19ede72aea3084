"""Tests of ``kvasir erase`` and ``kvasir export``, most of them while the bot answers in the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.cli import erasers
from bot.cli.commands.erase import erase_everywhere
from bot.cli.erasers import ERASERS, ErasedStore, Erasure, erase_uploads
from bot.config.settings import Settings, load_settings
from bot.storage.answers import Answers, StoredAnswer
from bot.storage.preferences import PersonalPreferences, Preferences
from bot.storage.tables import turns
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey
from knowledge.interfaces import EVERYONE, SourceKey
from knowledge.library import Library
from knowledge.opening import open_content
from knowledge.settings import SourceSpec
from knowledge.sources.pages.page_list import PageList, open_page_list
from knowledge.sources.uploads.source import PushSource, open_upload_store
from knowledge.stores.lancedb.store import LanceDBStore
from tests.e2e.conftest import Place
from tests.library.library_bench import Bench
from tests.slack.posting.test_answer_layout import answer_at_length, list_files, wait_until_no_file
from tests.slack.running_bot import PausedScript, RunningBot, run_bot_in_sandbox
from tests.sync.doubles import HangingSource, passages

ADA, BO = "U0ADA00001", "U0BO000002"
PLANTED = "planted7f3a"


def make_settings(bot: RunningBot, folder: Path, **more: str) -> Settings:
    (folder / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n')
    environ = {"KVASIR_HOME": str(folder / "home"), "KVASIR_CACHE": str(folder / "cache"), **bot.sandbox.env}
    environ["KVASIR_DATABASE_URL"] = bot.ledger.database._url.render_as_string(hide_password=False)
    return load_settings(environ | more, folder)


def count_planted(folder: Path, pattern: str) -> int:
    return sum(path.read_bytes().count(PLANTED.encode()) for path in folder.rglob(pattern) if path.is_file())


async def erase_without_index(settings: Settings, subject: str, *, is_trial: bool = False) -> list[ErasedStore]:
    """Run all erasers but the one that opens the library, as another process would."""
    async with open_ledger(settings.database_url) as ledger:
        erasure = Erasure(settings, ledger.database, subject, is_trial=is_trial)
        return [one for erase in ERASERS if erase.__name__ != "erase_uploads" for one in await erase(erasure)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def bot(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningBot]:
    url = None if request.param == "sqlite" else request.getfixturevalue("empty_postgres")
    async with run_bot_in_sandbox(tmp_path / "sandbox", "socket", database=url) as running:
        yield running


async def test_a_person_is_erased_while_her_question_is_answered(bot: RunningBot, tmp_path: Path) -> None:
    settings = make_settings(bot, tmp_path)
    for number in range(5):
        root = await bot.ask(f"@Kvasir {PLANTED} {number}?")
        await bot.wait_for_answer(root)
    his = await bot.sandbox.say("bo", "#general", "@Kvasir what does he ask?")
    await bot.wait_for_answer(his)
    await PersonalPreferences(bot.ledger.database).change_preferences("T0SANDBOX1", ADA, lambda _: Preferences("deep"))
    bot.answerer.script = script = PausedScript(first=f"{PLANTED} is answered. ")
    open_question = await bot.ask(f"@Kvasir {PLANTED} at last?")
    await script.paused.wait()

    async def read_texts() -> list[Any]:
        return list(
            await bot.ledger.database.fetch_rows(
                sa.select(turns.c.user, turns.c.text, turns.c.state).order_by(turns.c.id)
            )
        )

    before = await read_texts()
    counted = await erase_without_index(settings, ADA, is_trial=True)
    assert await read_texts() == before, "a trial changes nothing"
    receipt = await erase_without_index(settings, ADA)
    assert receipt == counted
    assert all(one.is_complete for one in receipt)
    assert {one.store: one.erased for one in receipt}["questions (bot_turns)"] == 6
    await bot.wait_until_idle()

    async def is_withdrawn() -> bool:
        return not await bot.list_answers(open_question)

    await bot.sandbox.wait_until(is_withdrawn, what="end of the open answer")
    assert not script.resume.is_set(), "nobody waited for the answer"
    assert await bot.list_answers(root), "messages in Slack are Slack's"
    found = {(row.user, row.text.rpartition("> ")[2]) for row in await read_texts()}
    assert found == {("", ""), (BO, "what does he ask?")}
    assert await Answers(bot.ledger.database).count_answers("T0SANDBOX1", ADA) == 0
    assert await Answers(bot.ledger.database).count_answers("T0SANDBOX1", BO) == 1
    assert await PersonalPreferences(bot.ledger.database).find_preferences("T0SANDBOX1", ADA) == Preferences()
    if settings.database_url.startswith("sqlite"):
        assert count_planted(tmp_path, "ledger.sqlite3*") == 0
    else:
        assert any("backups are the server's" in one.remains for one in receipt)


@pytest.mark.slow
async def test_canvases_are_deleted_in_slack_or_named(bot: RunningBot, tmp_path: Path) -> None:
    bot.answerer.script = answer_at_length
    settings = make_settings(bot, tmp_path)
    for left in (True, False):
        await bot.wait_for_answer(await bot.ask("@Kvasir what are all limits?"), "Its parts:")
        await bot.wait_until_idle()
        [canvas] = await list_files(bot)
        fault = [{"method": "canvases.delete", "error": "not_allowed", "times": 1}] if left else []
        await bot.sandbox.faults(*fault)
        [receipt, *_] = await erase_without_index(settings, ADA)
        assert (receipt.erased, receipt.is_complete) == (1 - left, not left)
        if left:
            assert f"Slack did not delete {canvas['id']}. Delete them there." in receipt.remains
            await bot.sandbox.api("canvases.delete", canvas_id=canvas["id"])
        await wait_until_no_file(bot)


async def test_a_failed_eraser_does_not_stop_the_others(bot: RunningBot, tmp_path: Path) -> None:
    settings = make_settings(bot, tmp_path)
    await bot.wait_for_answer(await bot.ask(f"@Kvasir {PLANTED}?"))
    (added,) = (spec for spec in settings.knowledge.sources if spec.kind == "push")
    cards = open_upload_store(added, settings.home).folder / "cards"
    cards.mkdir(parents=True)
    (cards / "torn.json").write_text("{")
    async with open_ledger(settings.database_url) as ledger:
        receipt = await erase_everywhere(Erasure(settings, ledger.database, ADA))
    (failed,) = (one for one in receipt if not one.is_complete)
    assert failed.remains.startswith("The added documents in")
    assert failed.remains.endswith("Then run this command again.")
    assert {one.store: one.erased for one in receipt}["questions (bot_turns)"] == 1


async def test_added_files_are_erased_completely_or_the_receipt_says_what_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if an earlier run deleted the files already. A file that another person replaces meanwhile stays."""
    bench = Bench(tmp_path, passages)
    bench.store = functools.partial(LanceDBStore, sleep=lambda _: asyncio.sleep(0))  # type: ignore[assignment]
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "added"\nkind = "push"\n')
    settings = load_settings({"KVASIR_HOME": str(bench.home), "KVASIR_CACHE": str(tmp_path / "cache")}, tmp_path)
    (spec,) = (one for one in settings.knowledge.sources if one.kind == "push")
    store = open_upload_store(spec, settings.home)
    for number in range(30):
        store.store_document(f"{number}.md", f"# Note\n{PLANTED} note {number}".encode(), by=ADA)
    source = PushSource(SourceKey(spec.name, "push", str(store.folder)), store, readers=EVERYONE, must_exist=False)
    async with bench.library(source) as library, open_ledger(settings.database_url) as ledger:
        await library.refresh()

        @contextlib.asynccontextmanager
        async def open_library(_: Settings) -> AsyncIterator[Library]:
            store.store_document("0.md", b"# Note\nHis own note", by=BO)
            yield library

        async def erase() -> ErasedStore:
            (erased,) = await erase_uploads(Erasure(settings, ledger.database, ADA))
            return erased

        monkeypatch.setattr(erasers, "open_configured_library", open_library)
        monkeypatch.setattr(erasers, "_SYNC_S", 0.0)
        hanging = HangingSource()
        hanging.key = source.key
        async with bench.library(hanging) as leader:
            running = asyncio.create_task(leader.refresh())
            while leader.syncs.find_progress("added") is None or not leader.syncs.leader.lease.term:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.01)
            for count in (30, 0):
                receipt = await erase()
                assert (receipt.erased, receipt.is_complete) == (count, False)
            running.cancel()
        receipt = await erase()
        assert "kvasir sync --approve added, then run this command again" in receipt.remains
        (status,) = (await library.status()).sources
        await library.refresh(spec.name, approve={spec.name: status.approval_mark})
        assert (await erase()).is_complete
    assert [(one.name, one.added_by) for one in store.list_records()] == [("0.md", BO)]
    assert count_planted(bench.home, "lancedb/**/*") == 0


# ── The commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def place(place: Place) -> Place:
    with (place.folder / "kvasir.toml").open("a") as file:
        file.write('[access]\nowners = ["U0ADA00001"]\n[web]\n')
    return place


async def fill_place(place: Place, cache: str, **environ: str) -> PageList:
    """Store a question, an answer, files of two people and a page; sync; return the list of pages."""
    place.home.mkdir()
    settings = load_settings(place.environ(KVASIR_CACHE=cache, **environ), place.folder)
    specs = {spec.kind: spec for spec in settings.knowledge.sources}
    store, pages = open_upload_store(specs["push"], settings.home), open_page_list(specs["pages"], settings.home)
    for user, word in ((ADA, PLANTED), (BO, "other")):
        for number in range(3):
            data = f"# Diary {number}\n\nThe {word} word number {number} of the diary.\n".encode()
            name = f"{word}-{number}.md"
            store.store_document(name, data, by=user, readers=[user], origin="D1:1.0", document=f"{user}/{name}")
    pages.add_page("http://127.0.0.1:9/page", ADA)
    async with open_ledger(settings.database_url) as ledger:
        for user, word in ((ADA, PLANTED), (BO, "other")):
            key = QuestionKey("T01", "C1", f"{len(word)}.0")
            answer = StoredAnswer(key, key.ts, user, "en", f"{word}?", f"{word}!", (), "engine", "r1")
            await Answers(ledger.database).save_answer(answer)
    await place.command("sync", KVASIR_CACHE=cache, **environ)
    return pages


@pytest.mark.slow
@pytest.mark.usefixtures("hasty_store")
async def test_the_command_leaves_nothing_in_any_file(place: Place, cache_without_engine: str) -> None:
    pages = await fill_place(place, cache_without_engine)
    environ = {"KVASIR_CACHE": cache_without_engine}
    assert count_planted(place.home, "lancedb/**/*") > 0
    assert count_planted(place.home, "kvasir.db*") > 0

    status, out, err = await place.command("erase", ADA, "--dry-run", **environ)
    assert (status, "A real run would erase U0ADA00001:" in out) == (0, True), err
    assert re.search(r"3  added files", out)
    assert "Messages in Slack" in out
    assert count_planted(place.home, "sources/**/*") > 0

    receipt = await place.json("erase", ADA, **environ)
    assert receipt["complete"]
    erased = {one["store"]: one["erased"] for one in receipt["stores"]}
    assert erased["answers (bot_answers)"] == 1
    assert erased["added files, with their passages in the index"] == 3
    assert erased["names at pages of the web that the person added"] == 1
    assert [page.added_by for page in pages.list_pages()] == [""]
    for path in place.home.rglob("*"):
        if path.is_file():
            assert PLANTED.encode() not in path.read_bytes(), path
            assert ADA.encode() not in path.read_bytes(), path
    assert any(b"other" in path.read_bytes() for path in place.home.rglob("lancedb/**/*") if path.is_file())
    assert (await place.json("search", "thirty days of leave", **environ))["hits"], "the rest is there"


@pytest.mark.slow
async def test_an_export_has_the_rows_and_files_of_one_person(place: Place, cache_without_engine: str) -> None:
    await fill_place(place, cache_without_engine)
    status, out, err = await place.command("export", ADA)
    assert status == 0, err
    exported = json.loads(out)
    assert [row["question"] for row in exported["tables"]["bot_answers"]] == [f"{PLANTED}?"]
    assert [page["url"] for page in exported["pages"]] == ["http://127.0.0.1:9/page"]
    assert sorted(file["name"] for file in exported["files"]) == [f"{ADA}/{PLANTED}-{number}.md" for number in range(3)]
    assert "other" not in out
    status, _, err = await place.command("export", ADA, "--json", "out")
    assert (status, "It is personal data" in err) == (0, True)
    written = sorted((place.folder / "out").iterdir())
    assert len(written) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    assert json.loads((place.folder / "out" / "person.json").read_text()) == exported
    await place.command("export", ADA, "--json", "ada.json")
    assert json.loads((place.folder / "ada.json").read_text()) == exported


@pytest.mark.slow
@pytest.mark.usefixtures("hasty_store")
async def test_a_shared_database_keeps_nothing_of_an_erased_person(
    place: Place, cache_without_engine: str, empty_postgres: str
) -> None:
    """What a host had in files is moved into the database, exported and erased there."""
    environ = {"KVASIR_CACHE": cache_without_engine, "KVASIR_DATABASE_URL": empty_postgres}
    await fill_place(place, cache_without_engine, KVASIR_DATABASE_URL=empty_postgres)
    text = (place.folder / "kvasir.toml").read_text()
    (place.folder / "kvasir.toml").write_text(text + '[[source]]\nname = "letters"\nkind = "push"\n')
    async with open_content(load_settings(place.environ(**environ), place.folder).knowledge) as content:
        letters = open_upload_store(SourceSpec("letters", "push", {}, place.folder), place.home, content)
        await letters.run(lambda: letters.store_document("old.md", f"# Old\n\n{PLANTED}".encode(), by=ADA))
    await place.command("sync", "letters", **environ)
    (place.folder / "kvasir.toml").write_text(text)  # the source is not configured any more
    assert count_planted(place.home, "sources/**/*") == 0
    status, _, err = await place.command("export", ADA, "--json", "out", **environ)
    assert status == 0, err
    assert len(list((place.folder / "out").iterdir())) == 5
    exported = json.loads((place.folder / "out" / "person.json").read_text())
    assert ([page["added_by"] for page in exported["pages"]], len(exported["files"])) == ([ADA], 4)
    status, out, err = await place.command("erase", ADA, "--json", **environ)
    assert status == 1, err
    receipt = json.loads(out)
    erased = {one["store"]: one["erased"] for one in receipt["stores"]}
    assert erased["added files, with their passages in the index"] == 4
    [remains] = [one["remains"] for one in receipt["stores"] if one["store"].startswith("added files")]
    assert "kvasir sync --approve letters" in remains
    assert erased["names at pages of the web that the person added"] == 1
    async with open_ledger(empty_postgres) as ledger:
        rows = await ledger.database.fetch_rows(sa.text("SELECT name, meta, data FROM knowledge_content"))
        assert len(rows) == 4, "his files, and the page"
        assert not [row for row in rows if ADA in f"{row}" or PLANTED in f"{row}"]
    _, out, _ = await place.command("add", "--list", **environ)
    assert BO in out


@pytest.mark.slow
async def test_wrong_ids_are_refused(place: Place) -> None:
    for arguments, says in (
        (("erase", "ada"), "ada is no Slack id such as U012AB3CD"),
        (("export", "Users"), "is no Slack id of a person"),
        (("export", "T012AB3CD"), "is no Slack id of a person"),
    ):
        status, _, err = await place.command(*arguments)
        assert (status, says in err) == (2, True), err


@pytest.mark.slow
@pytest.mark.usefixtures("hasty_store")
async def test_a_workspace_without_oauth_is_erased(place: Place, cache_without_engine: str) -> None:
    await fill_place(place, cache_without_engine)
    environ = {"KVASIR_CACHE": cache_without_engine}
    counted = await place.json("erase", "T01", "--dry-run", **environ)
    receipt = await place.json("erase", "T01", **environ)
    assert receipt["stores"] == counted["stores"]
    assert {one["store"]: one["erased"] for one in receipt["stores"]}["answers (bot_answers)"] == 2
    again = await place.json("erase", "T01", **environ)
    assert sum(one["erased"] for one in again["stores"]) == 0


@pytest.mark.slow
@pytest.mark.timeout(720)
async def test_nothing_is_left_while_kvasir_runs_in_the_workspace_on_this_machine(
    place: Place, cache_without_engine: str
) -> None:
    """The workspace itself keeps its messages, as Slack does. A start makes a folder private that others could read."""
    environ = {"KVASIR_ENGINE_URL": "http://127.0.0.1:9", "KVASIR_CACHE": cache_without_engine}
    await fill_place(place, cache_without_engine)
    for path in (place.home, *place.home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    async with place.run(**environ) as run:

        async def ask(text: str, *, person: str = "ada") -> None:
            ts = await run.box.say(person, "#general", f"@Kvasir {text}")
            await run.box.wait_for_message(
                lambda m: m["root"] == ts and m.get("bot_id") and "hirty days" in json.dumps(m), deadline_s=120.0
            )

        for number in range(5):
            await ask(f"how many days of leave a year, {PLANTED} {number}?")
        await ask("how many days of leave a year?", person="bo")
        assert count_planted(place.home, "kvasir.db*") > 0
        assert [path for path in (place.home, *place.home.rglob("*")) if path.stat().st_mode & 0o077] == []

        _, out, _ = await place.fork_command("erase", ADA, "--json", **environ)
        receipt = json.loads(out)
        assert receipt["complete"]
        assert {one["store"]: one["erased"] for one in receipt["stores"]}["questions (bot_turns)"] == 5
        await ask("how many days of leave a year does everybody get?", person="bo")
        for path in place.home.rglob("*"):
            if path.is_file() and "sandbox" not in path.parts:
                assert PLANTED.encode() not in path.read_bytes(), path
                assert ADA.encode() not in path.read_bytes(), path
        assert count_planted(place.folder, "cache/web/*") == 0
        await ask("how many days of leave are there a year?")
