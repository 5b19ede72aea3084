"""``kvasir check``: contracts one by one, and two versions, as a table, as JSON and as comma-separated values."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest

from bot.audit.chain import list_chains, parse_line
from bot.profiles.registry import SHIPPED
from tests.e2e.conftest import Place
from tests.engine.fakes import fake_sglang

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]


@pytest.fixture
def place(place: Place) -> Place:
    shutil.copy(SHIPPED / "nda-checklist" / "sample.md", place.folder / "old.md")
    shutil.copy(SHIPPED / "nda-checklist" / "sample.new.md", place.folder / "new.md")
    (place.folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    return place


async def test_contracts_are_checked_one_by_one(place: Place) -> None:
    async with fake_sglang() as engine:
        environ = {"KVASIR_ENGINE_URL": engine.url}
        status, out, err = await place.command("check", "nda-checklist", "old.md", "broken.pdf", "--json", **environ)
        assert status == 1, err
        first, second = [json.loads(line) for line in out.splitlines()]
        assert (first["file"], second["file"], "error" in second) == ("old.md", "broken.pdf", True)
        assert first["statements"]["no_solicitation"]["label"] == "not_mentioned"
        assert first["statements"]["no_solicitation"]["clauses"] == []
        (clause,) = first["statements"]["copies"]["clauses"]
        assert clause["text"] == "The Receiving Party shall not copy the Confidential Information."
        passages = {one["n"]: one["text"] for one in first["passages"]}
        assert passages[clause["passage"]][clause["start"] : clause["end"]] == clause["text"]

        status, out, err = await place.command("check", "nda-checklist", "old.md", "--csv", **environ)
        rows = list(csv.DictReader(io.StringIO(out)))
        assert (status, {row["file"] for row in rows}) == (0, {"old.md"})
        assert [row["label"] for row in rows if row["statement"] == "copies"] == ["contradicted"]
        assert "old.md: A person decides" in err

        status, out, _ = await place.command("check", "nda-checklist", "old.md", **environ)
        assert (
            "Copies                                        contradicted\n    The Receiving Party shall not copy" in out
        )
        assert "No solicitation                               not mentioned\n" in out
        assert engine.bodies == [], "rules know all statements, and the model is small"
    entries = [
        parse_line(line) for path in list_chains(place.home / "audit") for line in path.read_bytes().splitlines()
    ]
    assert [one["profile"] for one in entries if one and one["event"] == "extraction"] == ["nda-checklist"] * 3


async def test_two_versions_are_compared(place: Place) -> None:
    async with fake_sglang() as engine:
        environ = {"KVASIR_ENGINE_URL": engine.url}
        asked = ("check", "nda-checklist", "old.md", "--against", "new.md")
        status, out, err = await place.command(*asked, "--json", **environ)
        assert status == 0, err
        found = json.loads(out)
        labels = {one["statement"]: (one["before"], one["after"]) for one in found["changes"]}
        assert labels["no_solicitation"] == ("not_mentioned", "entailed")
        assert labels["retained_copies"] == ("entailed", "not_mentioned")
        assert "copies" not in labels
        assert (found["file"], found["against"]) == ("old.md", "new.md")
        assert "It may retain one copy where the law requires it." in found["removed"]

        _, out, err = await place.command(*asked, **environ)
        assert "- No solicitation                               not mentioned\n+ No solicitation" in out
        assert "Removed clauses\n" in out
        assert err.count("A person decides") == 2

        _, out, _ = await place.command(*asked, "--csv", **environ)
        rows = list(csv.DictReader(io.StringIO(out)))
        assert {row["change"] for row in rows} == {"answer", "added", "removed"}

        status, _, err = await place.command(*asked[:3], "new.md", "--against", "new.md", **environ)
        assert (status, "Write: kvasir check PROFILE OLD --against NEW" in err) == (2, True)
        status, _, err = await place.command(*asked[:4], "missing.md", **environ)
        assert (status, "missing.md: No such file" in err) == (1, True)


async def test_a_wrong_profile_names_the_next_step(place: Place) -> None:
    status, _, err = await place.command("check", "nda-checklst", "old.md")
    assert (status, "Did you mean “nda-checklist”" in err) == (1, True)
    status, _, err = await place.command("check", "contract", "old.md")
    assert (status, "here one of kind checklist is needed: nda-checklist" in err) == (1, True)
