"""Test the commands that run for a person, against the workspace on this machine and Confluence's fake."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from tests.e2e.conftest import Place
from tests.slack_sandbox import SandboxClient, open_sandbox
from tests.sources.confluence.fake_confluence import FakeConfluence, FakePage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]

ADA, BO, GUS = "U0ADA00001", "U0BO000002", "U0GUS00005"


@pytest.fixture
async def wiki() -> AsyncIterator[FakeConfluence]:
    async with FakeConfluence(cloud=False, token="s3cret") as fake:
        fake.space("ENG")
        fake.people, fake.members = {"ada": "Ada", "bo": "Bo"}, {"staff": ["ada", "bo"], "board": ["ada"]}
        yield fake


@pytest.fixture
def minutes(wiki: FakeConfluence) -> FakePage:
    return wiki.page("Minutes of the board", "<p>The harbour office closes in March.</p>", groups=["board"])


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[SandboxClient]:
    async with open_sandbox(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path, wiki: FakeConfluence) -> Place:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "plan.md").write_text("# Plan\n\nThe harbour office gets a new roof.\n")
    (tmp_path / "people.csv").write_text(f"slack,principals\n{GUS},contractors\n")
    (tmp_path / "kvasir.toml").write_text(
        f'[[source]]\nname = "wiki"\nkind = "confluence"\nurl = "{wiki.url}"\nedition = "data-center"\n'
        'token_env = "WIKI_TOKEN"\nemail_domain = "sandbox.example"\neveryone = ["confluence:group:staff"]\n'
        '[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\nreaders = ["contractors"]\n'
        '[identity]\nfile = "people.csv"\n'
    )
    return Place(tmp_path)


async def test_a_person_learns_why_and_finds_what_he_may_read(
    place: Place, wiki: FakeConfluence, minutes: FakePage, box: SandboxClient
) -> None:
    keys = {"WIKI_TOKEN": "s3cret", **box.env}
    await place.json("sync", **keys)

    document = f"wiki/ENG/{minutes.id}"
    status, out, _ = await place.command("access", "explain", "ada@sandbox.example", document, **keys)
    assert (status, "yes: U0ADA00001 reads it as * + confluence:group:board" in out) == (0, True)
    status, out, _ = await place.command("access", "explain", BO, "minutes of the board", **keys)
    assert status == 1
    assert f"no: its page restriction admits confluence:group:board ({document} “Minutes of the board”)" in out
    assert "U0BO000002 holds *, " in out
    assert "confluence:group:staff" in out
    status, out, _ = await place.command("access", "explain", BO, "docs/plan.md", **keys)
    assert (status, "no: kvasir.toml lets only contractors read it" in out) == (1, True)
    explained = await place.json("access", "explain", GUS, "docs/plan.md", **keys)
    assert (explained["user"], explained["documents"][0]["allowed"]) == (GUS, True)
    assert explained["documents"][0]["as"] == ["contractors"]
    status, out, _ = await place.command("access", "explain", BO, "docs/nothing.md", "--json", **keys)
    assert (status, json.loads(out)["documents"]) == (1, [])
    status, _, err = await place.command("access", "explain", "U0NOBODY01", "docs/plan.md", **keys)
    assert (status, "gets no answers" in err) == (1, True)

    async def search(person: str) -> list[str]:
        found = await place.json("search", "harbour office", "--as", person, **keys)
        return [hit["title"] for hit in found["hits"]]

    assert await search(ADA) == [minutes.title]
    assert await search("bo@sandbox.example") == []
    assert await search(GUS) == ["Plan"]

    wiki.members["board"] = ["bo"]
    assert await search(ADA) == []
    assert await search(BO) == [minutes.title]


async def test_a_person_is_answered_from_what_he_may_read(
    place: Place, minutes: FakePage, box: SandboxClient, cache_without_engine: str
) -> None:
    """As next to ``kvasir run``, so without tokens; answers are extracts."""
    port = str(URL(box.base_url).port)
    keys = {"WIKI_TOKEN": "s3cret", "KVASIR_SANDBOX_PORT": port, "KVASIR_CACHE": cache_without_engine}
    await place.json("sync", **keys)
    question = "What happens to the harbour office?"
    answer = await place.json("ask", question, "--as", ADA, **keys)
    assert [one["document"] for one in answer["sources"]] == [f"ENG/{minutes.id}"]
    answer = await place.json("ask", question, "--as", BO, **keys)
    assert answer["sources"] == []
    (place.folder / "people.csv").write_text("nothing\n")
    _, out, _ = await place.command("doctor", **keys)
    assert "FAIL identities" in out
    answer = await place.json("ask", question, "--as", GUS, **keys)
    assert answer["sources"] == []
