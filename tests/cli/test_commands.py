"""Test the commands as scripts use them: JSON shapes, exit statuses, one sync at a time, without Slack and engine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.answering.events import AnswerEvent, Notice, Passage, Text
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.cli.commands.ask import _collect_answer
from bot.slack.wire.scopes import SCOPES
from bot.storage.replicas import Replicas
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from bot.storage.verified_answers import VerifiedAnswers
from knowledge.sync.manifest.requests import Requests
from tests.database.scripts import run_script
from tests.e2e.conftest import Place
from tests.slack_sandbox import open_sandbox
from tests.sources.website.fake_site import WebSite
from tests.sync.leaders import lead_elsewhere
from tests.waiting import WAIT_S
from tests.web.searching.fake_providers import FakeSearxng

PAGES = {
    "leave.md": "# Leave\n\n## Days\n\nEvery member of staff has thirty days of leave a year.\n",
    "pay.md": "# Pay\n\nSalaries are paid on the last working day of a month.\n",
    "报销.md": "# 报销\n\n差旅费应在出差结束后三十天内报销。\n",
}
HIT = {"source", "document", "title", "heading", "url", "text", "score", "as_of"}
SOURCE = {
    "listed", "unchanged", "added", "updated", "deleted", "held", "failed", "chunks_written", "chunks_kept", "seconds",
    "error", "failures",
}  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]


def make_place(folder: Path) -> Place:
    (folder / "docs").mkdir()
    for name, text in PAGES.items():
        (folder / "docs" / name).write_text(text, encoding="utf-8")
    (folder / "kvasir.toml").write_text('[[source]]\nname = "hr"\nkind = "folder"\npath = "docs"\n')
    return Place(folder)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture(scope="module")
def synced_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a place for tests that only read what one sync has stored."""
    place = make_place(tmp_path_factory.mktemp("synced"))
    asyncio.run(place.json("sync"))
    return place


async def test_sync_search_and_status_print_their_json_shapes(place: Place) -> None:
    synced = await place.json("sync")
    assert set(synced) == {"ok", "sources", "repaired", "seconds"}
    assert set(synced["sources"]["hr"]) == SOURCE
    assert synced["sources"]["hr"]["added"] == 3
    again = (await place.json("sync", "hr"))["sources"]["hr"]
    assert (again["unchanged"], again["chunks_written"], again["chunks_kept"]) == (3, 0, 3)

    found = await place.json("search", "how many days off do I get?", "--limit", "2")
    assert set(found) == {"query", "hits", "seconds"}
    assert len(found["hits"]) == 2
    assert set(found["hits"][0]) == HIT
    assert found["hits"][0]["document"] == "leave.md"
    assert (found["hits"][0]["title"], found["hits"][0]["heading"]) == ("Leave", "Days")
    assert (await place.json("search", "出差费用多久内报销？"))["hits"][0]["document"] == "报销.md"
    assert (await place.json("search", "When do I have to hand in travel expenses?"))["hits"][0][
        "document"
    ] == "报销.md"

    status = await place.json("status")
    assert set(status) >= {"engine", "store", "sources"}
    assert set(status["engine"]) >= {"state", "progress", "url"}
    assert status["engine"]["state"] == "absent"
    assert status["store"] == "lancedb"
    report = status["sources"]["hr"]
    assert (report["documents"], report["stale"], report["held_first"]) == (3, False, [])
    assert report["age_s"] < report["max_age_s"] == 93_600
    assert report["next_at"]
    _, out, _ = await place.command("status")
    assert "hr" in out
    assert "No problems." not in out
    assert "No process leads" in out
    assert "added" not in out


async def test_search_answers_line_by_line(synced_place: Place) -> None:
    questions = "when are salaries paid?\n\n\udcff broken\n几天内报销？".encode("utf-8", errors="surrogateescape")
    status, out, err = await synced_place.command("search", "-", "--limit", "1", stdin=questions)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [bool(line["hits"]) for line in lines] == [True, False, False, True]
    assert lines[0]["hits"][0]["document"] == "pay.md"
    assert lines[3]["hits"][0]["document"] == "报销.md"
    assert all("error" in line for line in lines[1:3])
    assert status == 1
    assert "2 line(s)" in err


async def test_ask_without_an_engine_shows_extracts_and_a_notice(
    synced_place: Place, cache_without_engine: str
) -> None:
    answer = await synced_place.json("ask", "how many days of leave do I have?", KVASIR_CACHE=cache_without_engine)
    assert set(answer) == {"answer", "extracts", "sources", "notices", "marked", "removed", "route", "web", "timings"}
    assert answer["route"] == {"web": "never", "why": "weak", "policy": "off", "answered_by": "passages"}
    assert "thirty days" in answer["answer"]
    assert set(answer["sources"][0]) == {"n", "source", "document", "title", "heading", "url", "as_of", "web"}
    assert answer["notices"]
    assert not (Path(cache_without_engine) / "engine").exists(), "ask installs nothing"


async def test_a_notice_begins_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    async def list_events() -> AsyncGenerator[AnswerEvent]:
        for event in (Text("Thirty days."), Notice("One."), Notice("Two."), Text("More.\n"), Notice("Three.")):
            yield event

    await _collect_answer(list_events(), quiet=False)
    assert capsys.readouterr() == ("Thirty days.\nMore.\n", "One.\nTwo.\nThree.\n")


async def test_ask_shows_a_verified_answer(place: Place, cache_without_engine: str) -> None:
    """The terminal has the same line as Slack: an owner's answer comes first, if its chunks are current."""
    await place.json("sync")
    async with open_ledger(f"sqlite:///{place.home / 'kvasir.db'}") as ledger:
        rows = await ledger.database.fetch_rows(sa.text("SELECT id FROM knowledge_chunks WHERE heading = 'Days'"))
        passage = Passage(1, "hr", "leave.md", "Leave", "Days", None, "", chunks=tuple(id_ for (id_,) in rows))
        answer = VerifiedAnswer(
            id="a1", team="T1", question="How many days off?", answer="Thirty. [1]", language="en", passages=(passage,),
            owner="U1", owner_name="Ada", verified_at=time.time(), expires_at=time.time() + 86_400.0,
        )  # fmt: skip
        await VerifiedAnswers(ledger.database, SharedChanges(ledger.database)).save_answer(answer)
    asked = await place.json("ask", "how many days off?", KVASIR_CACHE=cache_without_engine)
    assert (asked["answer"], asked["route"]["answered_by"]) == ("Thirty. [1]", "verified")
    assert asked["notices"][0].startswith("✓ Verified by Ada on ")
    other = await place.json("ask", "when are salaries paid?", KVASIR_CACHE=cache_without_engine)
    assert other["route"]["answered_by"] == "passages"


async def test_ask_answers_line_by_line(synced_place: Place, cache_without_engine: str) -> None:
    lines = "when are salaries paid?\n\n谢谢\n\udcff broken\n几天内报销？\n".encode("utf-8", errors="surrogateescape")
    status, out, err = await synced_place.command("ask", "-", stdin=lines, KVASIR_CACHE=cache_without_engine)
    answers = [json.loads(line) for line in out.splitlines()]
    assert [one["sources"][0]["document"] if one.get("sources") else None for one in answers] == [
        "pay.md", None, None, None, "报销.md",
    ]  # fmt: skip
    assert ["error" in one for one in answers] == [False, True, False, True, False]
    assert answers[2]["route"]["answered_by"] == "courtesy"
    assert all({"answer", "marked", "removed"} <= set(one) for one in answers if "error" not in one)
    assert (status, "2 line(s)" in err) == (1, True)


async def test_wrong_use_exits_with_2_and_failure_with_1(place: Place, tmp_path: Path) -> None:
    assert (await place.command("search"))[0] == 2
    assert (await place.command("search", "x", "--limit", "0"))[0] == 2
    assert (await place.fork_command("dance"))[0] == 2
    empty = Place(tmp_path / "docs")
    status, _, err = await empty.command("status")
    assert (status, "kvasir.toml" in err) == (2, True)
    status, _, err = await place.command("sync", "hrr")
    assert (status, "hr" in err, "Traceback" in err) == (1, True, False)
    status, _, err = await place.command("run", SLACK_BOT_TOKEN="xoxb-1")
    assert (status, "SLACK_APP_TOKEN" in err) == (2, True)
    status, _, err = await place.command("run", "--no-sandbox")
    assert (status, "SLACK_BOT_TOKEN" in err) == (2, True)


async def test_a_broken_document_fails_the_sync_and_the_others_stay(place: Place) -> None:
    (place.folder / "docs" / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing more")
    status, out, err = await place.command("sync", "--json")
    assert status == 1
    report = json.loads(out)["sources"]["hr"]
    assert (report["added"], report["failed"]) == (3, 1)
    assert "broken.pdf" in err


async def test_one_sync_at_a_time(place: Place) -> None:
    await place.json("status")
    async with lead_elsewhere(f"sqlite:///{place.home / 'kvasir.db'}") as lease:
        sync = asyncio.create_task(place.command("sync", "--json"))
        requests = Requests(lease.database)
        async with asyncio.timeout(WAIT_S):
            while not (asked := await requests.take_requests(lease.term)):  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.05)
        assert [(one.action, one.source) for one in asked] == [("refresh", "")]
    status, out, _ = await sync  # nobody leads now, so the command does it
    assert (status, json.loads(out)["sources"]["hr"]["added"]) == (0, 3)


async def test_a_removed_source_answers_nobody_and_is_deleted_by_approval_alone(place: Place) -> None:
    await place.json("sync")
    configured = (place.folder / "kvasir.toml").read_text()
    (place.folder / "other").mkdir()
    (place.folder / "other" / "a.md").write_text("# Other\n\nAnother text.\n")
    (place.folder / "kvasir.toml").write_text('[[source]]\nname = "notes"\nkind = "folder"\npath = "other"\n')
    assert (await place.json("search", "how many days of leave?"))["hits"] == []
    status, _, err = await place.command("sync")
    assert status == 3
    assert "hr: It is not in this kvasir.toml, and its 3 documents are pending deletion." in err
    removed = (await place.json("status"))["removed"]
    root = str(place.folder / "docs")
    assert removed == [{"name": "hr", "kind": "folder", "root": root, "documents": 3, "listed_by": []}]
    _, out, _ = await place.command("status")
    assert "Its documents answer nobody here." in " ".join(out.split())
    assert "To delete them: kvasir sync --approve hr" in " ".join(out.split())
    (place.folder / "kvasir.toml").write_text(configured)
    status, out, _ = await place.command("sync", "--json")
    assert (status, json.loads(out)["sources"]["hr"]["unchanged"]) == (3, 3), "written back, nothing is lost"
    (place.folder / "kvasir.toml").write_text('[[source]]\nname = "notes"\nkind = "folder"\npath = "other"\n')
    status, out, _ = await place.command("sync", "--approve", "hr", "--json")
    assert (status, json.loads(out)["sources"]["hr"]["deleted"]) == (0, 3), "nothing waits any more"
    (place.folder / "kvasir.toml").write_text('[[source]]\nname = "notes"\nkind = "folder"\npath = "docs"\n')
    _, _, err = await place.command("sync")
    assert f"It was folder {place.folder / 'other'}." in err


async def test_doctor_reports_problems(place: Place) -> None:
    status, out, _ = await place.command("doctor")
    assert status == 0, out
    assert "hr: It has never been synced" in out
    assert "ok   owners: none is named" in out
    assert "ok   web search: off, nothing is fetched for an answer; a table [web] in kvasir.toml turns it on" in out
    config = place.folder / "kvasir.toml"
    config.write_text(config.read_text() + '[access]\nowners = ["U012AB3CD"]\n[web]\n')
    _, out, _ = await place.command("doctor")
    assert "ok   owners: U012AB3CD may approve" in out
    assert "ok   web search: no provider is set up" in out
    status, out, _ = await place.command("doctor", WEAVIATE_URL="http://127.0.0.1:9")
    assert status == 1
    assert "FAIL knowledge" in out


async def test_doctor_names_a_wrong_profile(place: Place) -> None:
    (folder := place.folder / "profiles" / "lease").mkdir(parents=True)
    (folder / "profile.toml").write_text('kind = "note"\n[title]\nen = "Lease"\n')
    status, out, _ = await place.command("doctor", "--json")
    found = {one["what"]: one for one in json.loads(out)["findings"]}["profiles"]
    assert (status, found["ok"]) == (1, False)
    assert "lease/profile.toml: write the sections" in found["told"]


async def test_passages_that_the_manifest_refused_have_a_line_with_the_next_step(place: Place) -> None:
    assert (await place.json("status"))["refused"] is None
    await place.json("sync")
    url = f"sqlite:///{place.home / 'kvasir.db'}"
    await run_script(url, "UPDATE knowledge_indexes SET refused = 12, refused_at = 1")
    assert (await place.json("status"))["refused"] == {"at": "1970-01-01T00:00:01+00:00", "passages": 12}
    for command in ("status", "doctor"):
        _, out, _ = await place.command(command)
        assert "the store proposed 12 passages to people who may not read them" in " ".join(out.split())
        assert "start kvasir sync" in " ".join(out.split())


async def test_doctor_names_missing_scopes_and_what_they_are_for(place: Place, tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        _, out, _ = await place.command("doctor", **sandbox.env)
        assert "ok   Slack: the token is valid" in out
        await sandbox.faults(scopes=sorted(SCOPES.keys() - {"mpim:read", "usergroups:read"}))
        status, out, _ = await place.command("doctor", **sandbox.env)
    assert status == 1
    assert "FAIL Slack" in out
    assert "mpim:read (to see who reads a group message); usergroups:read (to see who is in the user groups" in out


async def test_doctor_has_each_search_provider_search(place: Place) -> None:
    config = place.folder / "kvasir.toml"
    config.write_text(config.read_text() + "[web]\n")
    async with AsyncExitStack() as stack:
        searxng = FakeSearxng()
        await searxng.start(stack)
        url = f"http://127.0.0.1:{searxng.port}"
        _, out, _ = await place.command("doctor", KVASIR_SEARXNG_URL=url)
        assert "ok   web search: searxng: each answered a search" in out
        searxng.formats = ("html",)
        status, out, _ = await place.command("doctor", KVASIR_SEARXNG_URL=url)
    assert status == 1
    assert "FAIL web search: SearXNG refuses the search (HTTP 403). Its settings.yml must list json" in out


async def test_doctor_checks_the_machine_for_the_engine(place: Place) -> None:
    """The JSON names a used port and a model that does not fit, with the next step."""
    report = await place.json("doctor")
    assert report["ok"]
    looks = {finding["what"]: finding["told"] for finding in report["findings"]}
    assert {
        "driver",
        "cards",
        "memory",
        "model",
        "weights",
        "old weights",
        "hub",
        "environment",
        "ports",
    } <= looks.keys()
    assert re.search(r"Qwen2\.5-(Coder-)?(0|1)\.5B-Instruct, bf16, on the CPU.*Its weights are in ", looks["model"])
    assert "nothing has to be downloaded" in looks["hub"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        environ = {"KVASIR_MODEL": str(place.folder / "docs"), "KVASIR_SANDBOX_PORT": str(port)}
        status, out, _ = await place.command("doctor", "--json", **environ)
    looks = {finding["what"]: finding for finding in json.loads(out)["findings"]}
    assert status == 1
    assert f"Port {port} on 127.0.0.1 is in use" in looks["ports"]["told"]
    assert "config.json" in looks["model"]["told"]
    assert not looks["weights"]["ok"]


async def test_doctor_knows_that_kvasir_runs_and_that_its_engine_does_not(place: Place) -> None:
    place.home.mkdir()
    async with open_ledger(f"sqlite:///{place.home / 'kvasir.db'}") as ledger:
        for team in ("T1", "T2"):
            await Replicas(ledger.database, team, "1").record_heartbeat()
        await Replicas(ledger.database, "T1", "1", name="another-machine|7|1.0|x").record_heartbeat()
    with socket.create_server(("127.0.0.1", 0)) as server:
        environ = {"KVASIR_ENGINE_URL": "http://127.0.0.1:9", "KVASIR_SANDBOX_PORT": str(server.getsockname()[1])}
        status, out, _ = await place.command("doctor", "--json", **environ)
    results = {finding["what"]: finding for finding in json.loads(out)["findings"]}
    assert "cards" not in results
    assert results["ports"]["told"] == f"not checked: Kvasir is running and uses them (process {os.getpid()})"
    assert status == 1
    assert not results["engine"]["ok"]
    assert results["engine"]["told"].startswith("No server answers at the engine's address http://127.0.0.1:9.")


async def test_manifest_equals_the_file_in_the_repository(place: Place) -> None:
    status, out, _ = await place.command("manifest")
    assert status == 0
    assert out == (Path(__file__).parents[2] / "deploy" / "slack-manifest.yaml").read_text(encoding="utf-8")


async def test_bulk_deletions_wait_for_approval(place: Place) -> None:
    """Exit status 3 says that documents are pending deletion; approving lists again and deletes them."""
    for n in range(30):
        (place.folder / "docs" / f"page {n}.md").write_text(f"# Page {n}\n\nThe number of this page is {n}.\n")
    assert (await place.json("sync"))["ok"]
    for n in range(30):
        (place.folder / "docs" / f"page {n}.md").unlink()
    status, out, err = await place.command("sync", "--json")
    assert (status, json.loads(out)["sources"]["hr"]["held"]) == (3, 30)
    assert "30 documents are pending deletion" in err
    assert "page 0.md" in err
    assert "kvasir sync --approve hr" in err
    report = (await place.json("status"))["sources"]["hr"]
    assert (report["documents"], report["held"], len(report["held_first"])) == (33, 30, 5)
    _, out, _ = await place.command("status")
    assert "kvasir sync --approve hr" in " ".join(out.split())

    (place.folder / "docs" / "page 7.md").write_text("# Page 7\n\nThis one is back.\n")
    status, out, err = await place.command("sync", "--approve", "hr")
    assert status == 0, err
    assert "29 deleted" in out
    assert (await place.json("status"))["sources"]["hr"]["documents"] == 4


async def test_a_file_is_added_found_replaced_and_removed(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "parking.md").write_text("# Parking\n\nThe barrier opens with the code 4711.\n")
    (folder / "film.mkv").write_bytes(b"\x1aE\xdf\xa3")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    status, out, err = await place.command("add", str(folder / "parking.md"), "--title", "How to park")
    assert status == 0, err
    assert "parking.md: added in added; answers can use it now" in out
    (hit, *_) = (await place.json("search", "which code opens the barrier?", "--limit", "1"))["hits"]
    assert (hit["source"], hit["document"], hit["title"]) == ("added", "parking.md", "How to park")

    status, out, err = await place.command(
        "add", str(folder / "film.mkv"), str(folder / "broken.pdf"), str(folder / "absent.md"), "--json"
    )
    report = json.loads(out)
    assert status == 1
    assert set(report["failed"]) == {str(folder / "film.mkv"), "broken.pdf", str(folder / "absent.md")}
    assert report["found"] == []
    assert "Kvasir does not read film.mkv" in err

    (folder / "parking.md").write_text("# Parking\n\nThe barrier opens with the code 1337.\n")
    assert (await place.json("add", str(folder / "parking.md")))["kept"] == {"parking.md": "replaced"}
    assert "1337" in (await place.json("search", "barrier code", "--limit", "1"))["hits"][0]["text"]
    documents = (await place.json("add", "--list"))["documents"]
    assert [(d["name"], bool(d["added_by"])) for d in documents] == [("broken.pdf", True), ("parking.md", True)]

    await place.command("add", "--remove", "broken.pdf")
    removed = await place.json("add", "--remove", "parking.md")
    assert removed["removed"] == ["parking.md"]
    found = (await place.json("search", "barrier code"))["hits"]
    assert all(hit["source"] != "added" for hit in found), "the last one too, though the guard would hold it"
    status, _, err = await place.command("add", "--remove", "parking.md")
    assert (status, "no document of that name" in err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add",), "Give files"),
        (("add", "a.md", "--list"), "Give files"),
        (("add", "a.md", "b.md", "--title", "T"), "--title is for one"),
        (("add", "a.md", "--to", "hr"), "not a source that stores added documents"),
    ],
)
async def test_wrong_use_of_add_exits_with_2(place: Place, arguments: tuple[str, ...], says: str) -> None:
    status, _, err = await place.command(*arguments)
    assert (status, says in err) == (2, True), err


async def test_a_web_page_is_added_found_and_removed(place: Place) -> None:
    """Without owners no source accepts it; then it is found and listed, and removed on request."""
    site = WebSite()
    await site.start()
    site.page("/tides", "<h1>Tides</h1><p>The causeway of Aldmark is dry from nine until eleven on Sundays.</p>")
    url = f"{site.url}/tides"
    try:
        status, _, err = await place.command("add", url)
        assert (status, "No source accepts pages" in err) == (2, True)
        with (place.folder / "kvasir.toml").open("a") as file:
            file.write(f'[access]\nowners = ["U012AB3CD"]\n[web]\nprivate = ["{site.host}"]\n')
        added = await place.json("add", url)
        assert added == {"source": "pages", "pages": {url: "added; answers can use it now"}, "failed": {}}
        (hit, *_) = (await place.json("search", "when is the causeway dry?"))["hits"]
        assert (hit["source"], hit["url"]) == ("pages", url)
        assert [page["url"] for page in (await place.json("add", "--list"))["pages"]] == [url]
        assert (await place.json("add", "--remove", url))["pages"] == {url: "removed; answers do not use it any more"}
        status, out, _ = await place.command("add", "--json", "--remove", url)
        assert (status, json.loads(out)["failed"]) == (1, {url: "this page was not added. See kvasir add --list."})
        hits = (await place.json("search", "when is the causeway dry?"))["hits"]
        assert [one for one in hits if one["source"] == "pages"] == []
    finally:
        await site.stop()
