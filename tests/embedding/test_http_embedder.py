"""The embedder behind HTTP: what it sends, who goes first, and what it says of each failure of a server."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from knowledge.embedding import choose_spec, open_embedder
from knowledge.embedding.http_api.embedder import CANARY, CallLimits, HttpEmbedder
from knowledge.embedding.http_api.settings import HttpEmbedderSettings
from knowledge.embedding.http_api.tokens import estimate_tokens
from knowledge.embedding.local_e5.files import FOLDER
from knowledge.embedding.local_e5.tokeniser import Tokeniser
from knowledge.errors import EmbedderError, EmbedderUnavailable
from knowledge.interfaces import Priority
from knowledge.sync.manifest.embedder_records import EmbedderRecords
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.web.http.proxies import Proxies, Proxy
from knowledge.web.http.settings import ServerAddress, WebSettings
from tests.embedding.embedding_server import (
    KEY,
    EmbeddingServer,
    Fault,
    answer_status,
    change_data,
    cut_connection,
    make_json,
    serve_embeddings,
)
from tests.embedding.toy_embedder import ToyEmbedder
from tests.import_graph import ROOT
from tests.waiting import WAIT_S
from tests.web.http.certificates import Authority

SHORT = CallLimits(attempts=1, call_s=0.05, total_s=1.0)
STATUSES: dict[int, Callable[[], web.HTTPException]] = {
    400: web.HTTPBadRequest,
    413: lambda: web.HTTPRequestEntityTooLarge(200, 300),
    422: web.HTTPUnprocessableEntity,
}
TEXTS = ["The office opens at nine.", "Invoices are paid within thirty days.", "Bread needs flour."]


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with serve_embeddings() as server:
        yield server


def make_settings(server: EmbeddingServer, **options: Any) -> HttpEmbedderSettings:
    return HttpEmbedderSettings(ServerAddress(server.url, KEY), "toy", **{"batch": 3, **options})


class Waits:
    """A sleep that takes no time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


async def make_embedder(settings: HttpEmbedderSettings, waits: Waits | None = None, **options: Any) -> HttpEmbedder:
    embedder = HttpEmbedder(settings, estimate_tokens, sleep=(waits or Waits()).sleep, **options)
    await embedder.identify()
    return embedder


@pytest.fixture
async def embedder(server: EmbeddingServer) -> AsyncIterator[HttpEmbedder]:
    embedder = await make_embedder(make_settings(server))
    server.requests.clear()
    yield embedder
    await embedder.close()


async def test_it_sends_openais_form_with_key_and_prefixes(server: EmbeddingServer) -> None:
    settings = make_settings(server, query_prefix="query: ", passage_prefix="passage: ", dimensions=256)
    embedder = await make_embedder(settings)
    server.requests.clear()
    await embedder.embed_query("When?")
    await embedder.embed_passages(TEXTS[:1])
    await embedder.embed_symmetric(["It opens."])
    assert [request["input"] for request in server.requests] == [
        ["query: When?"],
        [f"passage: {TEXTS[0]}", CANARY],
        ["passage: It opens.", CANARY],
    ]
    for request in server.requests:
        assert request["key"] == f"Bearer {KEY}"
        assert (request["model"], request["dimensions"], request["encoding_format"]) == ("toy", 256, "float")
    await embedder.close()


async def test_dimensions_are_not_asked_for_unless_configured(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    await embedder.embed_query("When?")
    assert "dimensions" not in server.requests[0]
    assert embedder.dimensions == 256


async def test_texts_that_no_server_takes_are_changed(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    await embedder.embed_passages(["", "\ud800", "中" * 100_000])
    sent = server.texts
    assert sent[:2] == [".", "?"]
    assert max(map(estimate_tokens, sent)) <= 480


# ── Failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────

NAN: Fault = change_data(lambda data: [{**one, "embedding": [math.nan, *one["embedding"][1:]]} for one in data])
SHORTER: Fault = change_data(lambda data: [{**one, "embedding": one["embedding"][:128]} for one in data])
FAILURES: dict[str, tuple[Fault, type[EmbedderError], str]] = {
    "429": (answer_status(429, **{"Retry-After": "3600"}), EmbedderUnavailable, "is busy (HTTP 429). Start that"),
    "500": (answer_status(500), EmbedderUnavailable, "failed (HTTP 500). Start that server"),
    "503": (answer_status(503), EmbedderUnavailable, "failed (HTTP 503). Start that server"),
    "cut": (cut_connection, EmbedderUnavailable, "broke off its answer. Start that server"),
    "401": (answer_status(401), EmbedderError, "refuses the key (HTTP 401). Check the address, the model and the key"),
    "404": (answer_status(404), EmbedderError, "does not know this path or model (HTTP 404). Check"),
    "400": (answer_status(400), EmbedderError, "refuses the call (HTTP 400). Check"),
    "redirect": (answer_status(307, Location="http://127.0.0.1:1/"), EmbedderError, "refuses the call (HTTP 307)"),
    "dimensions": (SHORTER, EmbedderError, "answers with vectors of 128 numbers instead of 256. Check"),
    "NaN": (NAN, EmbedderError, "answers with vectors that are zero, infinite or not numbers (NaN). Check"),
    "zero": (
        change_data(lambda data: [{**one, "embedding": [0.0] * 256} for one in data]),
        EmbedderError,
        "answers with vectors that are zero",
    ),
    "too few": (change_data(lambda data: data[1:]), EmbedderError, "answers with other texts than the 3 that were"),
    "twice the same index": (
        change_data(lambda data: [{**one, "index": 0} for one in data]),
        EmbedderError,
        "answers with other texts than the 3 that were",
    ),
    "no JSON": (lambda *_: make_json("<html>"), EmbedderError, "answers with something other than embeddings"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_each_failure_is_named_and_the_next_call_works(
    embedder: HttpEmbedder, server: EmbeddingServer, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    fault, kind, text = FAILURES[failure]
    for embed in (lambda: embedder.embed_passages(TEXTS[:2]), lambda: embedder.embed_symmetric(TEXTS[:2])):
        server.faults = [fault] * 20
        with caplog.at_level(logging.DEBUG), pytest.raises(EmbedderError) as raised:
            await embed()
        assert isinstance(raised.value, EmbedderUnavailable) is (kind is EmbedderUnavailable)
        assert text in str(raised.value)
        assert f"toy at {server.url.removeprefix('http://')}" in str(raised.value)
        assert embedder.trouble == str(raised.value)
        assert KEY not in f"{raised.value!r} {raised.value.__cause__} {caplog.text} {embedder.trouble}"
    server.faults.clear()
    await embedder.embed_passages(TEXTS)
    assert embedder.trouble == ""


@pytest.mark.parametrize("fault", [answer_status(429), answer_status(502), cut_connection])
async def test_a_passing_failure_costs_no_document(server: EmbeddingServer, fault: Fault) -> None:
    waits = Waits()
    embedder = await make_embedder(make_settings(server), waits)
    expected = await embedder.embed_passages(TEXTS)
    server.faults = [fault, fault, fault]
    assert np.allclose(await embedder.embed_passages(TEXTS), expected)
    assert len(waits.seconds) == 3
    assert waits.seconds == sorted(waits.seconds), "each wait is longer"
    await embedder.close()


async def test_it_waits_as_long_as_the_server_asks(server: EmbeddingServer) -> None:
    waits = Waits()
    embedder = await make_embedder(make_settings(server), waits)
    server.faults = [answer_status(429, **{"Retry-After": "17"})]
    await embedder.embed_passages(TEXTS[:1])
    assert 17 <= waits.seconds[0] < 22
    server.faults = [answer_status(429, **{"Retry-After": "17"})]
    with pytest.raises(EmbedderUnavailable):
        await embedder.embed_query("Who waits so long?")
    assert len(waits.seconds) == 1
    await embedder.close()


async def test_a_reordered_reply_is_put_in_order(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    expected = await embedder.embed_passages(TEXTS)
    server.faults = [change_data(lambda data: data[::-1])] * 2
    assert np.array_equal(await embedder.embed_passages(TEXTS), expected)


async def test_a_killed_server_is_named_and_another_one_takes_over() -> None:
    async with serve_embeddings() as server:
        embedder = await make_embedder(make_settings(server))
        expected = await embedder.embed_query("When?")
    with pytest.raises(EmbedderUnavailable, match=r"cannot be reached\. Start that server"):
        await embedder.embed_query("When?")
    async with serve_embeddings(port=int(server.url.rpartition(":")[2])):
        await wait_until(lambda: not embedder.trouble)
        assert np.allclose(await embedder.embed_query("When?"), expected)
    await embedder.close()


@pytest.mark.parametrize("fault", [answer_status(500), answer_status(401), answer_status(400), cut_connection])
async def test_questions_are_refused_at_once_until_the_canary_came_back(
    server: EmbeddingServer, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = CallLimits(attempts=1, call_s=WAIT_S, total_s=WAIT_S)
    monkeypatch.setattr("knowledge.embedding.http_api.embedder.LIMITS", dict.fromkeys(Priority, once))
    may_ask = asyncio.Event()

    async def sleep(_: float) -> None:
        await may_ask.wait()

    embedder = HttpEmbedder(make_settings(server), estimate_tokens, sleep=sleep)
    server.faults = [fault] * 10
    with pytest.raises(EmbedderError, match=f"toy at {server.url.removeprefix('http://')}"):
        await embedder.identify()
    asked = len(server.requests)
    for _ in range(3):
        with pytest.raises(EmbedderError, match="toy at 127"):
            await embedder.embed_query("When?")
        with pytest.raises(EmbedderError, match="toy at 127"):
            await embedder.embed_passages(["of a page"], priority=Priority.ANSWER)
    assert len(server.requests) == asked
    server.faults.clear()
    may_ask.set()
    await wait_until(lambda: not embedder.trouble)
    assert (await embedder.embed_query("When?")).shape == (256,)
    await embedder.close()


async def test_passages_of_a_sync_are_sent_all_the_same(server: EmbeddingServer) -> None:
    never = asyncio.Event()

    async def sleep(_: float) -> None:
        await never.wait()

    embedder = HttpEmbedder(make_settings(server), estimate_tokens, sleep=sleep)
    server.faults = [answer_status(401)]
    with pytest.raises(EmbedderError, match="refuses the key"):
        await embedder.identify()
    assert (await embedder.embed_passages(TEXTS)).shape == (3, 256)
    assert (embedder.trouble, embedder.dimensions) == ("", 256)
    assert (await embedder.embed_query("When?")).shape == (256,)
    await embedder.close()


async def test_all_calls_for_a_question_have_one_deadline(
    embedder: HttpEmbedder, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = CallLimits(attempts=100, call_s=WAIT_S, total_s=0.05)
    monkeypatch.setattr("knowledge.embedding.http_api.embedder.LIMITS", dict.fromkeys(Priority, limits))
    right, never = server.embed, asyncio.Event()

    async def embed(texts: Any) -> Any:
        await never.wait()
        return await right(texts)

    server.embed = embed
    with pytest.raises(EmbedderUnavailable, match=r"gave no answer within 0\.05 s\. Start that server"):
        await embedder.embed_query("When?")
    assert "0.05 s" in embedder.trouble
    never.set()
    await wait_until(lambda: not embedder.trouble)


async def test_a_slow_server_has_a_deadline(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = await make_embedder(make_settings(server))
    monkeypatch.setattr("knowledge.embedding.http_api.embedder.LIMITS", dict.fromkeys(Priority, SHORT))
    server.gate.clear()
    with pytest.raises(EmbedderUnavailable, match=r"gave no answer within 0\.05 s"):
        await embedder.embed_passages(TEXTS)
    await embedder.close()


# ── Another model ────────────────────────────────────────────────────────────────────────────────────────────────────


async def other_model(texts: Any) -> Any:
    vectors = await ToyEmbedder(256).embed_symmetric(texts)
    return vectors[:, ::-1]


async def test_passages_of_another_model_are_refused_at_once(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    server.embed = other_model
    with pytest.raises(EmbedderError, match=r"another model .* KVASIR_EMBEDDER_REVISION"):
        await embedder.embed_passages(TEXTS)


async def test_a_question_notices_the_other_model_that_passages_found(
    embedder: HttpEmbedder, server: EmbeddingServer
) -> None:
    await embedder.embed_query("a question by the model of the index")
    server.embed = other_model
    for embed in (embedder.embed_passages(TEXTS), embedder.embed_query("one"), embedder.embed_query("another")):
        with pytest.raises(EmbedderError, match="another model"):
            await embed
    assert "another model" in embedder.trouble


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_texts_that_are_too_long_for_the_server_are_cut(
    embedder: HttpEmbedder, server: EmbeddingServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    embed, long = server.embed, "flour " * 60
    sent: list[str] = []

    async def refuse_long(texts: Any) -> Any:
        if max(map(len, texts)) > 200:
            refusal = STATUSES[status]()
            raise refusal
        sent.extend(texts)
        return await embed(texts)

    server.embed = refuse_long
    vectors = await embedder.embed_passages([*TEXTS, long, *TEXTS])
    assert {*TEXTS, long[: len(long) // 2]} <= set(sent)
    assert np.allclose(vectors[[0, 1, 2, 4, 5, 6]], await embedder.embed_passages([*TEXTS, *TEXTS]))
    assert "first half of a passage of 360 characters" in caplog.text
    server.embed = embed
    assert np.allclose(vectors[3], (await embedder.embed_passages([long[: len(long) // 2]]))[0])


async def test_a_call_that_the_server_refuses_for_another_reason_ends_soon(
    embedder: HttpEmbedder, server: EmbeddingServer
) -> None:
    async def refuse(_texts: Any) -> Any:
        raise web.HTTPBadRequest(text=KEY)

    server.embed = refuse
    server.requests.clear()
    with pytest.raises(EmbedderError, match=r"refuses the call \(HTTP 400\)"):
        await embedder.embed_passages(["flour " * 60] * 40)
    assert len(server.requests) < 8


async def test_questions_notice_another_model_within_a_minute(server: EmbeddingServer) -> None:
    seconds = [0.0]
    embedder = await make_embedder(make_settings(server), now=lambda: seconds[0])
    server.embed = other_model
    await embedder.embed_query("a question by the last minute's model")
    seconds[0] = 61.0
    for _ in range(2):
        with pytest.raises(EmbedderError, match="another model"):
            await embedder.embed_query("a question")
    await embedder.close()


async def test_the_vector_is_compared_with_the_one_in_the_database(server: EmbeddingServer, tmp_path: Path) -> None:
    spec = choose_spec({"URL": server.url, "MODEL": "toy", "API_KEY": KEY}, WebSettings())
    again = choose_spec({"URL": server.url, "MODEL": "toy", "REVISION": "2"}, WebSettings())
    manifest = await open_manifest(f"sqlite:///{tmp_path}/kvasir.db")
    records, elsewhere = EmbedderRecords(manifest.database, ""), EmbedderRecords(manifest.database, "elsewhere")

    async def open_with(chosen: Any, memory: EmbedderRecords) -> str:
        opened = await open_embedder(chosen, tmp_path, None, memory=memory)  # type: ignore[arg-type]
        assert opened.identity == chosen.identity
        await opened.close()
        return opened.trouble

    assert [await open_with(spec, records), await open_with(spec, records)] == ["", ""]
    server.embed = other_model
    assert "another model" in await open_with(spec, records)
    assert [await open_with(again, records), await open_with(spec, elsewhere)] == ["", ""]
    server.embed = lambda texts: ToyEmbedder(128).embed_symmetric(texts)
    assert "128 numbers instead of 256" in await open_with(spec, records)
    await manifest.close()


async def test_the_first_of_two_processes_decides(server: EmbeddingServer, tmp_path: Path) -> None:
    """Both find no vector; the other one stores that of another server first."""
    manifest = await open_manifest(f"sqlite:///{tmp_path}/kvasir.db")
    spec = choose_spec({"URL": server.url, "MODEL": "toy"}, WebSettings())

    class Overtaken(EmbedderRecords):
        async def load_canary(self, identity: str) -> Any:
            found = await super().load_canary(identity)
            (other,) = await other_model([CANARY])
            await self.add_canary(identity, other)
            return found

    opened = await open_embedder(spec, tmp_path, None, memory=Overtaken(manifest.database, ""))  # type: ignore[arg-type]
    assert "another model" in opened.trouble
    await opened.close()
    await manifest.close()


async def test_a_server_that_is_down_stops_no_opening(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = await open_manifest(f"sqlite:///{tmp_path}/kvasir.db")
    records = EmbedderRecords(manifest.database, "")
    async with serve_embeddings() as server:
        spec = choose_spec({"URL": server.url, "MODEL": "toy"}, WebSettings())
        await (await open_embedder(spec, tmp_path, None, memory=records)).close()  # type: ignore[arg-type]
    opened = await open_embedder(spec, tmp_path, None, memory=records)  # type: ignore[arg-type]
    assert "cannot be reached" in opened.trouble
    assert opened.trouble in caplog.text
    assert opened.dimensions == 256
    await opened.close()
    other = choose_spec({"URL": server.url, "MODEL": "never-seen"}, WebSettings())
    opened = await open_embedder(other, tmp_path, None, memory=records)  # type: ignore[arg-type]
    assert ("cannot be reached" in opened.trouble, opened.dimensions) == (True, 0)
    async with serve_embeddings(port=int(server.url.rpartition(":")[2])):
        await wait_until(lambda: not opened.trouble)
        assert (await opened.embed_query("When?")).shape == (256,)
    assert await records.load_canary(other.identity) is not None
    await opened.close()
    await manifest.close()


def test_the_identity_changes_with_what_changes_vectors(server: EmbeddingServer) -> None:
    same = [make_settings(server), make_settings(server, batch=64, concurrency=8)]
    others = [
        make_settings(server, **{name: value})
        for name, value in [
            ("dimensions", 128), ("query_prefix", "q"), ("passage_prefix", "q"), ("revision", "2"),
        ]
    ]  # fmt: skip
    assert len({one.identity for one in same}) == 1
    assert len({one.identity for one in (*same, *others)}) == 5
    assert KEY not in repr(same)


# ── Who goes first ───────────────────────────────────────────────────────────────────────────────────────────────────


async def wait_until(condition: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - a server does not report what it works on
            await asyncio.sleep(0.001)


async def test_a_question_waits_for_one_batch_at_most(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    """The server works on one request at a time, and has begun one with passages."""
    server.gate.clear()
    bulk = asyncio.create_task(embedder.embed_passages([f"passage {n}" for n in range(40)]))
    await wait_until(lambda: server.under_way == 1)
    question = asyncio.create_task(embedder.embed_query("A question?"))
    page = asyncio.create_task(embedder.embed_passages(["page one", "page two"], priority=Priority.ANSWER))
    await wait_until(lambda: server.under_way == 2)
    server.gate.set()
    await asyncio.gather(question, page)
    assert server.served[1:4] == ["passage 0", "A question?", "page one"]
    await bulk
    assert [text for text in server.served if text.startswith("passage")] == [f"passage {n}" for n in range(0, 40, 2)]


async def test_calls_take_turns_within_the_concurrency(server: EmbeddingServer) -> None:
    embedder = await make_embedder(make_settings(server, concurrency=3))
    many = [f"passage {n}" for n in range(60)]
    server.gate.clear()
    calls = [asyncio.create_task(embedder.embed_passages(texts)) for texts in (many, ["one", "two"])]
    await wait_until(lambda: server.under_way == 3)
    server.gate.set()
    large, small = await asyncio.gather(*calls)
    assert server.most_under_way == 3
    assert server.served.index("one") < 10
    assert (large.shape, small.shape) == ((60, 256), (2, 256))
    assert np.allclose(large, await embedder.embed_symmetric(many))
    await embedder.close()


async def test_cancelled_calls_leave_the_line_wherever_they_are(server: EmbeddingServer) -> None:
    embedder = await make_embedder(make_settings(server))
    for begun in range(4):
        server.gate.clear()
        calls = [asyncio.create_task(embedder.embed_passages(TEXTS)) for _ in range(3)]
        for _ in range(begun):
            await asyncio.sleep(0)
        for call in calls[:2]:
            call.cancel()
        server.gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in results[:2]] == [asyncio.CancelledError] * 2
        assert results[2].shape == (3, 256)  # type: ignore[union-attr]
    await embedder.close()


async def test_a_failed_batch_ends_the_others_of_its_call(server: EmbeddingServer) -> None:
    embedder = await make_embedder(make_settings(server, concurrency=2))
    server.faults = [answer_status(401)]
    with pytest.raises(EmbedderError, match="HTTP 401"):
        await embedder.embed_passages([f"passage {n}" for n in range(40)])
    assert len(server.requests) < 6
    assert (await embedder.embed_passages(TEXTS)).shape == (3, 256)
    await embedder.close()


async def test_a_question_is_checked_after_a_failure(server: EmbeddingServer) -> None:
    embedder = await make_embedder(make_settings(server))
    await embedder.embed_query("a question")
    server.faults = [cut_connection]
    server.embed = other_model
    with pytest.raises(EmbedderError, match="another model"):
        await embedder.embed_query("a question")
    await embedder.close()


async def test_a_model_whose_vectors_depend_on_the_batch_is_not_refused(server: EmbeddingServer) -> None:
    """As those that are quantised to eight bits for each batch: the canary alone decides."""
    right = server.embed

    async def embed(texts: Any) -> Any:
        vectors = await right(texts)
        noise = np.full(256, 0.01, np.float32) * (len(texts) > 1)
        return vectors + noise * np.where(np.arange(256) % 2, 1, -1)

    embedder = await make_embedder(make_settings(server))
    server.embed = embed
    assert (await embedder.embed_passages(TEXTS)).shape == (3, 256)
    assert [CANARY] in [request["input"] for request in server.requests[-2:]]
    server.embed = other_model
    with pytest.raises(EmbedderError, match="another model"):
        await embedder.embed_passages(TEXTS)
    await embedder.close()


@pytest.mark.parametrize("models", ["BAB", "BAAB", "BAAAB", "BAAAAB", "ABAB", "B"])
async def test_two_models_behind_one_address_are_refused(server: EmbeddingServer, models: str) -> None:
    """The other one is a little different, as one in 8 bits. ``models`` answer the calls in turn."""
    right = server.embed
    noise = np.full(256, 0.012, np.float32) * np.where(np.arange(256) % 2, 1, -1)

    async def embed(texts: Any) -> Any:
        model = answers.pop(0)
        answers.append(model)
        return await right(texts) + noise * (model == "B")

    embedder, answers = await make_embedder(make_settings(server)), list(models)
    server.embed = embed
    refused = []
    for _ in models:
        try:
            await embedder.embed_passages(TEXTS[:2])
        except EmbedderError as error:
            refused.append(str(error))
    assert refused
    assert all("another model than the index was made with" in one for one in refused)
    await embedder.close()


async def test_a_failure_does_not_hide_a_cancellation(server: EmbeddingServer) -> None:
    """Both come in the same step of the event loop."""
    calls: list[asyncio.Task[Any]] = []
    refuse = answer_status(401)

    def fail(request: web.Request, data: list[dict[str, Any]]) -> web.StreamResponse | None:
        calls.append(call)
        return refuse(request, data)

    def read_clock() -> float:
        if calls:
            calls[0].cancel()
        return 0.0

    embedder = await make_embedder(make_settings(server, concurrency=2), now=read_clock)
    server.faults = [fail]
    call = asyncio.create_task(embedder.embed_passages([f"passage {n}" for n in range(4)]))
    with pytest.raises(asyncio.CancelledError):
        await call
    await embedder.close()


# ── The length of texts ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_tokens_are_counted_by_a_vocabulary_without_its_padding(server: EmbeddingServer, tmp_path: Path) -> None:
    vocabulary = Tokenizer(WordLevel({"[UNK]": 0, "room": 1}, unk_token="[UNK]"))
    vocabulary.pre_tokenizer = Whitespace()
    vocabulary.enable_padding(length=128)
    vocabulary.enable_truncation(200)
    vocabulary.save(str(tmp_path / "tokenizer.json"))
    variables = {"URL": server.url, "MODEL": "toy", "TOKENIZER": tmp_path / "tokenizer.json"}
    opened = await open_embedder(choose_spec(variables, WebSettings()), tmp_path, None)  # type: ignore[arg-type]
    assert opened.count_tokens("room twelve") == 2
    assert opened.count_tokens("room " * 300) == 300
    await opened.embed_query("room " * 600)
    assert len(server.texts[-1].split()) == 480
    await opened.close()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(EmbedderError, match=r"KVASIR_EMBEDDER_TOKENIZER names .* no tokenizer"):
        await open_embedder(choose_spec(variables, WebSettings()), tmp_path, None)  # type: ignore[arg-type]


async def test_the_estimate_is_rarely_too_low(cache: Path) -> None:
    (vocabulary,) = cache.glob(f"models/{FOLDER}/vocabulary.model")
    exact = Tokeniser(vocabulary.read_bytes()).count_tokens
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "knowledge" / "search").glob("*.py")]
    texts = [text for page in pages for text in page.read_text(encoding="utf-8").split("\n\n") if len(text) > 40]
    too_low = [text for text in texts if estimate_tokens(text) < exact(text)]
    assert len(too_low) <= len(texts) / 100


# ── The connection ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_trusts_the_companys_authority_and_no_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with serve_embeddings(tls=authority.server("localhost")) as server:
        trusting = choose_spec({"URL": server.url, "MODEL": "toy"}, WebSettings(ca_file=authority.ca_file))
        await (await open_embedder(trusting, tmp_path, None)).close()  # type: ignore[arg-type]
        other = choose_spec({"URL": server.url, "MODEL": "toy"}, WebSettings())
        opened = await open_embedder(other, tmp_path, None)  # type: ignore[arg-type]
        assert "has no certificate that Kvasir trusts (KVASIR_CA_FILE)" in opened.trouble
        await opened.close()


async def test_it_goes_through_the_proxy_of_the_configuration(server: EmbeddingServer) -> None:
    """Nothing listens there, and the server itself is not asked."""
    proxies = Proxies(http=Proxy("http://127.0.0.1:9"))
    address = ServerAddress(server.url, KEY, WebSettings(proxies=proxies))
    embedder = HttpEmbedder(HttpEmbedderSettings(address, "toy"), estimate_tokens, sleep=Waits().sleep)
    with pytest.raises(EmbedderUnavailable, match="cannot be reached"):
        await embedder.embed_query("When?")
    assert server.requests == []
    await embedder.close()
