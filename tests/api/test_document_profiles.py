"""Profiles that the API applies to files: who may ask, what comes back, what is refused and recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.profiles.registry import SHIPPED
from tests.api.running_api import BO, RunningApi, run_api
from tests.parsing import makers

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(720)]
SAMPLE = (SHIPPED / "contract" / "sample.md").read_bytes()
NDA = (SHIPPED / "nda-checklist" / "sample.md").read_bytes()
VISIT = (SHIPPED / "visit-note" / "sample.txt").read_bytes()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApi]:
    async with run_api(tmp_path_factory.mktemp("api")) as running:
        yield running


async def post_file(
    api: RunningApi, key: str, data: bytes, path: str = "/v1/extract", **query: str
) -> tuple[int, dict[str, Any]]:
    params = {"profile": "contract", "file": "supply.md", **query}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/octet-stream"}
    async with api.session.post(f"{api.url}{path}", params=params, data=data, headers=headers) as answer:
        return answer.status, json.loads(await answer.text())


async def test_values_come_with_their_places(api: RunningApi) -> None:
    status, found = await post_file(api, await api.create_key(BO), SAMPLE)
    assert status == 200, found
    (date,) = found["values"]["agreement_date"]
    assert (date["text"], date["normalised"]) == ("March 3, 2025", "2025-03-03")
    passages = {one["n"]: one["text"] for one in found["passages"]}
    assert all(
        passages[one["passage"]][one["start"] : one["end"]] == one["text"]
        for values in found["values"].values()
        for one in values
    )
    assert (api.home / "audit").exists()
    recorded = read_audit(api)
    assert '"extraction"' in recorded
    assert "Nordlys" not in recorded


def read_audit(api: RunningApi) -> str:
    return "".join(path.read_text() for path in (api.home / "audit").glob("*.jsonl"))


async def test_a_contract_is_checked_against_a_list(api: RunningApi) -> None:
    key = await api.create_key(BO)
    status, found = await post_file(api, key, NDA, "/v1/check", profile="nda-checklist", file="nda.md")
    assert status == 200, found
    assert (found["file"], found["profile"]) == ("nda.md", "nda-checklist")
    assert found["statements"]["no_solicitation"]["label"] == "not_mentioned"
    copies = found["statements"]["copies"]
    passages = {one["n"]: one["text"] for one in found["passages"]}
    assert copies["label"] == "contradicted"
    assert [passages[one["passage"]][one["start"] : one["end"]] for one in copies["clauses"]] == [
        "The Receiving Party shall not copy the Confidential Information."
    ]
    assert "nda-checklist" in read_audit(api)


async def test_a_note_has_the_lines_of_each_sentence(api: RunningApi) -> None:
    """The model repeats what it reads, so that its sentences are supported."""
    key = await api.create_key(BO)
    status, note = await post_file(api, key, VISIT, "/v1/note", profile="visit-note", file="visit.txt")
    assert status == 200, note
    assert (note["file"], note["profile"]) == ("visit.txt", "visit-note")
    assert [one["title"] for one in note["sections"]] == ["History", "Examination", "Results", "Assessment and plan"]
    sentences = [one for section in note["sections"] for one in section["sentences"]]
    assert sentences
    assert all(line.startswith("l. ") for one in sentences for line in one["lines"])
    assert "The note is a draft" in note["notices"][-1]
    assert "visit-note" in read_audit(api)
    assert "penicillin" not in read_audit(api)


async def test_each_route_takes_profiles_of_its_kind_and_files_that_fit(api: RunningApi) -> None:
    key = await api.create_key(BO)
    status, refused = await post_file(api, key, NDA, "/v1/check", profile="contract")
    assert (status, refused["error"]["code"]) == (404, "unknown_profile")
    status, refused = await post_file(api, key, NDA, "/v1/note", profile="visit-note", file="nda.pdf")
    assert (status, refused["error"]["code"]) == (400, "unreadable_file")
    status, refused = await post_file(api, key, b"A letter.", "/v1/note", profile="visit-note", file="letter.txt")
    assert (status, refused["error"]["code"]) == (400, "unreadable_file")
    assert "no line begins with a speaker" in refused["error"]["message"]


async def test_a_key_needs_the_scope_of_answers(api: RunningApi) -> None:
    for path in ("/v1/extract", "/v1/check", "/v1/note"):
        status, refused = await post_file(api, await api.create_key(BO, scopes=("search",)), SAMPLE, path)
        assert (status, refused["error"]["code"]) == (403, "missing_scope")
    status, refused = await post_file(api, "kvasir_none", SAMPLE)
    assert status == 401


@pytest.mark.parametrize(
    ("data", "query", "refusal"),
    [
        (SAMPLE, {"profile": "lease"}, (404, "unknown_profile")),
        (SAMPLE, {"profile": "../secret"}, (404, "unknown_profile")),
        (SAMPLE, {"profile": ""}, (404, "unknown_profile")),
        (SAMPLE, {"colour": "red"}, (400, "invalid_field")),
        (b"%PDF-1.7 broken", {"file": "a.pdf"}, (400, "unreadable_file")),
    ],
)
async def test_a_wrong_request_is_refused(
    api: RunningApi, data: bytes, query: dict[str, str], refusal: tuple[int, str]
) -> None:
    status, refused = await post_file(api, await api.create_key(BO), data, **query)
    assert (status, refused["error"]["code"]) == refusal, refused


async def test_a_file_may_be_larger_than_other_bodies(api: RunningApi) -> None:
    key = await api.create_key(BO)
    large = makers.pdf([["This Agreement shall be governed by the laws of Norway."]]) + b"\n%" + b"x" * 3_000_000
    status, found = await post_file(api, key, large, file="large.pdf")
    assert (status, [one["page"] for one in found["passages"]]) == (200, [1])
    status, refused = await post_file(api, key, b"x" * 20_000_001)
    assert status == 413, refused
