"""The API over real sockets: who may ask, what is answered, what is refused, and what ends an answer."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from openai import APIError, AsyncOpenAI

from bot.audit.chain import list_chains, parse_line
from bot.storage.api_keys import ApiKey
from tests.api.running_api import ADA, BO, GUS, TEAM, RunningApi, run_api
from tests.embedding.embedding_server import KEY, answer_status, serve_embeddings
from tests.engine.fakes import DONE, USAGE, delta
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(720)]

LEAVE = "How many days of annual leave does an employee have?"
HARBOUR = "When does the board close the harbour office?"
MERGER = "With which team does the platform team merge?"
TASK = '### Task:\nMake a title.\nJSON format: { "title": "it" }\n<chat_history>\nUSER: Leave?\n</chat_history>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApi]:
    async with run_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def model_works(api: RunningApi) -> None:
    """Let the model repeat its passages again, whatever the test before did."""
    api.model.works, api.engine.chat = True, api.model._chat


def open_client(api: RunningApi, key: str, **headers: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{api.url}/v1", api_key=key, default_headers=headers, max_retries=0)


@contextlib.asynccontextmanager
async def open_mcp_client(api: RunningApi, key: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=WAIT_S) as http:
        transport = streamable_http_client(f"{api.url}/mcp", http_client=http)
        async with Client(transport) as client:
            yield client


def chat(question: str, *history: str) -> list[Any]:
    return [{"role": "user", "content": text} for text in (*history, question)]


# ── Formats ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_client_of_openai_streams_a_cited_answer(api: RunningApi) -> None:
    client = open_client(api, await api.create_key(BO))
    assert [one.id for one in (await client.models.list()).data] == ["kvasir"]
    stream = await client.chat.completions.create(model="kvasir", messages=chat(LEAVE), stream=True)
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "28 days of annual leave" in text
    assert "[1]" in text
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].model_extra is not None
    (cited,) = chunks[-1].model_extra["citations"]
    assert (cited["n"], cited["source"], cited["title"]) == (1, "handbook", "The handbook")
    assert "reasoning" not in chunks[-1].model_extra
    whole = await client.chat.completions.create(model="gpt-4", messages=chat(LEAVE))
    assert "28 days of annual leave" in (whole.choices[0].message.content or "")
    assert whole.model_extra is not None
    assert whole.model_extra["citations"] == [cited]
    await client.close()


async def wait_for_entries(api: RunningApi, key: str, events: list[str]) -> None:
    """Wait until the audit has exactly these events of a key."""
    async with asyncio.timeout(WAIT_S):
        while True:
            lines = [parse_line(one) for path in list_chains(api.home / "audit") for one in path.open("rb")]
            if sorted(one["event"] for one in lines if one.get("key") == key) == events:
                break
            await asyncio.sleep(0.05)


async def test_the_audit_names_the_key_of_a_question(api: RunningApi) -> None:
    key, secret = await api.keys.create_key(ApiKey("a test", "person", TEAM, BO))
    await api.ask(LEAVE, secret)
    await wait_for_entries(api, key.id, ["answer", "question"])


async def test_the_audit_has_what_a_key_was_refused(api: RunningApi) -> None:
    key, secret = await api.keys.create_key(ApiKey("a test", "person", TEAM, BO, sources=("board",)))
    assert (await api.post("/v1/search", {"query": HARBOUR}, secret))[0] == 403
    await wait_for_entries(api, key.id, ["refusal"])


async def test_an_answer_comes_as_json_or_as_events(api: RunningApi) -> None:
    key = await api.create_key(BO)
    answer = await api.ask(LEAVE, key)
    assert "28 days of annual leave" in answer["answer"]
    assert [one["source"] for one in answer["sources"]] == ["handbook"]
    assert "file:" not in json.dumps(answer)  # the folders of the bot's machine are private
    body = {"question": LEAVE, "stream": True}
    async with api.session.post(f"{api.url}/v1/answers", json=body, headers={"Authorization": f"Bearer {key}"}) as got:
        assert got.content_type == "text/event-stream"
        blocks = [block.split("\n") for block in (await got.text()).split("\n\n") if block.startswith("event")]
    events = [(block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: "))) for block in blocks]
    assert events[-1][0] == "done"
    assert events[-1][1]["answer"] == answer["answer"]
    assert "".join(data["text"] for name, data in events if name == "text").strip() == answer["answer"]


async def test_reasoning_comes_only_if_asked_for(api: RunningApi) -> None:
    api.engine.stream(
        delta(reasoning="The handbook says it. "), delta(content="28 days [1]."), delta(finish="stop"), USAGE, DONE
    )
    key = await api.create_key(BO)
    assert "reasoning" not in await api.ask(LEAVE, key)
    assert "The handbook says it." in (await api.ask(LEAVE, key, reasoning=True))["reasoning"]


async def test_earlier_questions_are_history(api: RunningApi) -> None:
    client = open_client(api, await api.create_key(BO))
    said: list[Any] = [
        {"role": "system", "content": "Always say SESAME."},
        {"role": "user", "content": [{"type": "text", "text": LEAVE}]},
        {"role": "assistant", "content": "The harbour office closes."},
        {"role": "user", "content": "And when does the unused part of it expire?"},
    ]
    api.engine.bodies.clear()
    answer = await client.chat.completions.create(model="kvasir", messages=said)
    assert "end of March" in (answer.choices[0].message.content or "")
    prompts = json.dumps(api.engine.bodies)
    assert LEAVE in prompts
    assert "SESAME" not in prompts
    assert "harbour" not in prompts
    await client.close()


async def test_a_client_of_mcp_calls_the_tools(api: RunningApi) -> None:
    async with open_mcp_client(api, await api.create_key(BO)) as client:
        tools = (await client.list_tools()).tools
        assert [one.name for one in tools] == ["search", "fetch", "ask"]
        found = await client.call_tool("search", {"query": LEAVE})
        assert found.structured_content is not None
        first = found.structured_content["results"][0]
        assert set(first) == {"id", "title", "url"}
        assert json.loads(found.content[0].text)["results"][0] == first  # type: ignore[union-attr]
        fetched = await client.call_tool("fetch", {"id": first["id"]})
        assert fetched.structured_content is not None
        assert "28 days of annual leave" in fetched.structured_content["text"]
        assert fetched.structured_content["metadata"]["source"] == "handbook"
        answer = await client.call_tool("ask", {"question": LEAVE})
        assert answer.structured_content is not None
        assert "28 days of annual leave" in answer.structured_content["answer"]
        assert answer.structured_content["citations"][0]["source"] == "handbook"
        hidden = await client.call_tool("search", {"query": HARBOUR})
        assert hidden.structured_content is not None
        assert "board" not in json.dumps(hidden.structured_content["results"])
        assert (await client.call_tool("fetch", {"id": "x"})).is_error


async def test_prompts_about_a_conversation_ask_nobody(api: RunningApi) -> None:
    client = open_client(api, await api.create_key())  # they name no person
    api.engine.bodies.clear()
    answer = await client.chat.completions.create(model="kvasir", messages=chat(TASK))
    assert json.loads(answer.choices[0].message.content or "") == {"title": "Leave?"}
    stream = await client.chat.completions.create(model="kvasir", messages=chat(TASK), stream=True)
    assert "Leave?" in "".join([one.choices[0].delta.content or "" async for one in stream])
    assert api.engine.bodies == []
    await client.close()


async def test_extracts_answer_while_the_engine_does_not(api: RunningApi) -> None:
    api.model.works = False
    client = open_client(api, await api.create_key(BO))
    answer = await client.chat.completions.create(model="kvasir", messages=chat(LEAVE))
    text = answer.choices[0].message.content or ""
    assert "**28 days** of annual leave" in text
    notices = (await api.ask(LEAVE, await api.create_key(BO)))["notices"]
    assert notices
    assert f"*{notices[0]}*" in text
    await client.close()


async def test_a_search_by_words_alone_says_so(tmp_path: Path) -> None:
    async with serve_embeddings() as embedder:
        variables = {
            "KVASIR_EMBEDDER_URL": embedder.url,
            "KVASIR_EMBEDDER_MODEL": "toy",
            "KVASIR_EMBEDDER_API_KEY": KEY,
        }
        async with run_api(tmp_path, **variables) as api:
            key = await api.create_key(BO)
            _, whole = await api.post("/v1/search", {"query": LEAVE}, key)
            assert whole["notices"] == []
            embedder.faults = [answer_status(500)] * 100
            _, found = await api.post("/v1/search", {"query": LEAVE}, key)
            assert found["passages"][0]["source"] == "handbook"
            assert "found by their words alone, so some may be missing" in found["notices"][0]
            async with open_mcp_client(api, key) as client:
                result = (await client.call_tool("search", {"query": "年假有多少天？"})).structured_content
            assert result is not None
            assert "仅按字词找到段落" in result["notices"][0]


# ── Rights ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def find_sources(api: RunningApi, query: str, key: str, headers: dict[str, str] | None = None) -> set[str]:
    status, found = await api.post("/v1/search", {"query": query}, key, headers)
    assert status == 200, found
    assert "file:" not in json.dumps(found)
    return {one["source"] for one in found["passages"]}


async def test_people_with_different_rights_get_different_answers(api: RunningApi) -> None:
    keys = {user: await api.create_key(user) for user in (ADA, BO, GUS)}
    assert "November" in (await api.ask(HARBOUR, keys[ADA]))["answer"]
    assert await find_sources(api, "office team leave", keys[ADA]) == {"handbook", "board", "reorg"}
    assert await find_sources(api, "office team leave", keys[BO]) == {"handbook", "reorg"}
    assert await find_sources(api, "office team leave", keys[GUS]) == {"handbook"}
    for user in (BO, GUS):
        assert "November" not in json.dumps(await api.ask(HARBOUR, keys[user]))
    assert "board" not in json.dumps(await api.ask("Which documents do you answer from?", keys[BO]))


async def test_a_person_named_with_a_personal_key_counts_for_nothing(api: RunningApi) -> None:
    key = await api.create_key(BO)
    for name in ("X-Kvasir-User", "X-OpenWebUI-User-Email", "X-OpenWebUI-User-Id", "X-Forwarded-User"):
        for named in (ADA, "ada@sandbox.example"):
            assert "board" not in await find_sources(api, HARBOUR, key, {name: named})
            assert "November" not in json.dumps(await api.ask(HARBOUR, key, {name: named}, user=named))
    client = open_client(api, key, **{"X-Kvasir-User": ADA})
    answer = await client.chat.completions.create(model="kvasir", messages=chat(HARBOUR), user=ADA)
    assert "November" not in answer.model_dump_json()
    await client.close()


async def test_an_application_names_its_person(api: RunningApi) -> None:
    key = await api.create_key()
    for name in ("X-Kvasir-User", "X-OpenWebUI-User-Email"):
        assert "board" in await find_sources(api, HARBOUR, key, {name: "Ada@sandbox.example"})
        assert "board" not in await find_sources(api, HARBOUR, key, {name: BO})
    client = open_client(api, await api.create_key(named_by="body"))
    answer = await client.chat.completions.create(model="kvasir", messages=chat(HARBOUR), user=ADA)
    assert "November" in (answer.choices[0].message.content or "")
    await client.close()
    # The body counts for nothing then: clients such as LibreChat fill it with ids of their own.
    assert "November" not in json.dumps(await api.ask(HARBOUR, key, {"X-Kvasir-User": BO}, user=ADA))


@pytest.mark.parametrize(
    ("headers", "user", "status", "code"),
    [
        ({}, None, 400, "person_required"),
        ({"X-Kvasir-User": " "}, ADA, 400, "person_required"),
        ({}, ADA, 400, "person_required"),
        ({"X-Kvasir-User": ADA, "X-OpenWebUI-User-Email": "bo@sandbox.example"}, None, 400, "person_ambiguous"),
        ({"X-Kvasir-User": "nobody@sandbox.example"}, ADA, 403, "person_not_found"),
        ({"X-Kvasir-User": "noor@northwind.example"}, None, 403, "person_not_found"),
        ({"X-Kvasir-User": "U0KVASIR01"}, None, 403, "person_not_found"),
        ({"X-Kvasir-User": "U0NOBODY01"}, None, 403, "person_not_found"),
        ({"X-Kvasir-User": "ada"}, None, 403, "person_not_found"),
        ({"X-Kvasir-User": "*"}, None, 403, "person_not_found"),
    ],
)
async def test_an_application_without_a_known_person_is_refused(
    api: RunningApi, headers: dict[str, str], user: str | None, status: int, code: str
) -> None:
    key = await api.create_key()
    for path, body in (("/v1/answers", {"question": LEAVE}), ("/v1/search", {"query": LEAVE})):
        got, answer = await api.post(path, {**body, "user": user}, key, headers)
        assert (got, answer["error"]["code"]) == (status, code)


async def test_a_key_searches_only_its_sources(api: RunningApi) -> None:
    key = await api.create_key(ADA, sources=("handbook",))
    assert await find_sources(api, HARBOUR, key) <= {"handbook"}
    assert "November" not in json.dumps(await api.ask(HARBOUR, key))
    status, answer = await api.post("/v1/search", {"query": f"{HARBOUR} in:board"}, key)
    assert (status, answer["error"]["code"]) == (400, "invalid_filter")
    whole = await api.create_key(ADA)
    _, found = await api.post("/v1/search", {"query": HARBOUR}, whole)
    ids = {one["source"]: one["id"] for one in found["passages"]}
    async with open_mcp_client(api, key) as client:
        for id_ in (ids["board"], f"{ids['board']}.{ids['handbook']}"):
            assert (await client.call_tool("fetch", {"id": id_})).is_error
        for id_ in (ids["handbook"], f"{ids['handbook']}.{ids['board']}"):
            fetched = await client.call_tool("fetch", {"id": id_})
            assert not fetched.is_error
            assert "November" not in fetched.model_dump_json()
    only_board = await api.create_key(BO, sources=("board",))
    status, answer = await api.post("/v1/search", {"query": HARBOUR}, only_board)
    assert (status, answer["error"]["code"]) == (403, "nothing_readable")


async def test_a_key_may_do_only_what_its_scopes_say(api: RunningApi) -> None:
    searching, answering = await api.create_key(BO, scopes=("search",)), await api.create_key(BO, scopes=("answer",))
    assert (await api.post("/v1/answers", {"question": LEAVE}, searching))[0] == 403
    assert (await api.post("/v1/chat/completions", {"messages": chat(LEAVE)}, searching))[0] == 403
    assert (await api.post("/v1/search", {"query": LEAVE}, answering))[0] == 403
    async with open_mcp_client(api, answering) as client:
        assert (await client.call_tool("search", {"query": LEAVE})).is_error
        assert not (await client.call_tool("ask", {"question": LEAVE})).is_error


class PausedAnswer:
    """An answer that stops after its first sentence until it goes on."""

    def __init__(self, api: RunningApi, first: str, second: str) -> None:
        self.goes_on = asyncio.Event()
        api.engine.stream(
            delta(content=f"{first} [1]\n\n"), delta(content=" "), self.goes_on,
            delta(content=f"{second} [1]\n\n"), delta(finish="stop"), USAGE, DONE,
        )  # fmt: skip
        api.engine.choose([("yes", -0.1), ("no", -2.4)])


async def read_until_broken(
    client: AsyncOpenAI, question: str, paused: PausedAnswer, revoke: Any
) -> tuple[str, APIError | None]:
    """Return what was read of a stream, and the error that ended it; ``revoke`` runs after the first sentence."""
    text = ""
    stream = await client.chat.completions.create(model="kvasir", messages=chat(question), stream=True)
    try:
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            if text.strip() and not paused.goes_on.is_set():
                await revoke()
                paused.goes_on.set()
    except APIError as error:
        return text, error
    finally:
        await client.close()
    return text, None


async def test_an_answer_ends_with_its_key(api: RunningApi) -> None:
    secret = await api.create_key(BO)
    key = await api.keys.find_key(secret)
    assert key is not None

    async def revoke() -> None:
        await api.keys.delete_key(key.id)

    paused = PausedAnswer(
        api, "Every employee has 28 days of annual leave.", "Unused leave expires at the end of March."
    )
    text, error = await read_until_broken(open_client(api, secret), LEAVE, paused, revoke)
    assert "28 days" in text
    assert "March" not in text
    assert error is not None
    assert error.code == "invalid_api_key"


async def test_an_answer_ends_with_a_right(api: RunningApi) -> None:
    """Bo leaves the private channel whose members may read the plans."""

    async def leave() -> None:
        await api.sandbox.leave("bo", "C0REORG001")
        await api.sandbox.wait_delivered()

    first, second = "The platform team merges with the support team in May.", "Its new name is Bifrost."
    paused = PausedAnswer(api, first, second)
    try:
        text, error = await read_until_broken(open_client(api, await api.create_key(BO)), MERGER, paused, leave)
    finally:
        await api.sandbox.join("bo", "C0REORG001")
        await api.sandbox.wait_delivered()
    assert "support team" in text
    assert "Bifrost" not in text
    assert error is not None
    assert error.code == "rights_changed"


async def test_the_same_answer_is_complete_without_a_revocation(api: RunningApi) -> None:
    async def change_nothing() -> None:
        await asyncio.sleep(0)

    first, second = "The platform team merges with the support team in May.", "Its new name is Bifrost."
    paused = PausedAnswer(api, first, second)
    client = open_client(api, await api.create_key(BO))
    text, error = await read_until_broken(client, MERGER, paused, change_nothing)
    assert "Bifrost" in text
    assert error is None


async def test_a_client_that_leaves_ends_its_answer(api: RunningApi) -> None:
    paused = PausedAnswer(api, "Every employee has 28 days of annual leave.", "Never.")
    api.engine.disconnected.clear()
    body = {"question": LEAVE, "stream": True}
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {await api.create_key(BO)}"}
        async with session.post(f"{api.url}/v1/answers", json=body, headers=headers) as answer:
            async for line in answer.content:
                if b"28 days" in line:
                    break
            answer.close()
    await asyncio.wait_for(api.engine.disconnected.wait(), WAIT_S)
    assert not paused.goes_on.is_set()


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_missing_or_unknown_key_is_refused_and_not_repeated(api: RunningApi) -> None:
    unknown = f"kvasir_00000000_{'x' * 43}"
    for key in ("", unknown, "kvasir_", "é" * 20):
        for path in ("/v1/answers", "/v1/search", "/v1/chat/completions", "/mcp"):
            status, answer = await api.post(path, {"question": LEAVE}, key)
            assert (status, answer["error"]["type"]) == (401, "authentication_error")
            assert unknown not in json.dumps(answer)
    async with api.session.get(f"{api.url}/v1/models") as got:
        assert (got.status, got.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert unknown not in api.output.getvalue()


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"functions": [{}]}, "functions"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": ""}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0.type"),
        ({"stream": "yes"}, "stream"),
    ],
)
async def test_a_field_that_is_not_supported_is_named(api: RunningApi, more: dict[str, Any], param: str) -> None:
    body = {"messages": chat(LEAVE), "temperature": 0.5, **more}
    status, answer = await api.post("/v1/chat/completions", body, await api.create_key(BO))
    assert (status, answer["error"]["type"], answer["error"]["param"]) == (400, "invalid_request_error", param)
    assert param.partition(".")[0] in answer["error"]["message"]


async def test_bodies_that_are_no_requests_are_refused(api: RunningApi) -> None:
    headers = {"Authorization": f"Bearer {await api.create_key(BO)}", "Content-Type": "application/json"}
    bodies = {b"{": 400, b"[]": 400, b"\xff": 400, b'{"question": 1}': 400, b"x" * (1024 * 1024 + 1): 413, b"": 400}
    for body, expected in bodies.items():
        async with api.session.post(f"{api.url}/v1/answers", data=io.BytesIO(body), headers=headers) as got:
            assert got.status == expected, await got.text()
            assert "error" in json.loads(await got.text())
    plain = headers | {"Content-Type": "text/plain"}
    async with api.session.post(f"{api.url}/v1/answers", data=b"{}", headers=plain) as got:
        assert got.status == 415
    async with api.session.get(f"{api.url}/v1/answers", headers=headers) as got:
        assert (got.status, got.headers["Allow"]) == (405, "POST")
    async with api.session.get(f"{api.url}/nothing", headers=headers) as got:
        assert got.status == 404


async def test_limits_say_when_to_ask_again(api: RunningApi) -> None:
    key = await api.create_key(BO, per_minute=1)
    statuses = [(await api.post("/v1/search", {"query": "leave"}, key)) for _ in range(3)]
    assert [status for status, _ in statuses][-1] == 429  # a new minute may begin meanwhile
    headers = {"Authorization": f"Bearer {key}"}
    async with api.session.post(f"{api.url}/v1/search", json={"query": "leave"}, headers=headers) as got:
        assert got.status == 200 or 0 < int(got.headers["Retry-After"]) <= 60


async def test_every_call_of_mcp_counts(api: RunningApi) -> None:
    async with open_mcp_client(api, await api.create_key(BO, per_minute=1)) as client:
        answers = [await client.call_tool("fetch", {"id": "x"}) for _ in range(3)]
    assert "times in a minute" in answers[-1].content[0].text  # type: ignore[union-attr]


async def test_a_key_has_so_many_answers_at_once(api: RunningApi) -> None:
    key = await api.create_key(BO, parallel=1)
    paused = PausedAnswer(
        api, "Every employee has 28 days of annual leave.", "Unused leave expires at the end of March."
    )
    api.engine.bodies.clear()
    running = asyncio.create_task(api.ask(LEAVE, key))
    await api.sandbox.wait_until(lambda: any(body.get("stream") for body in api.engine.bodies), what="answer")
    status, answer = await api.post("/v1/search", {"query": "leave"}, key)
    assert (status, answer["error"]["code"]) == (429, "too_many_requests")
    paused.goes_on.set()
    assert "March" in (await running)["answer"]
    assert (await api.post("/v1/search", {"query": "leave"}, key))[0] == 200


async def test_the_use_of_a_key_is_noted(api: RunningApi) -> None:
    secret = await api.create_key(BO)
    await api.post("/v1/search", {"query": "leave"}, secret)
    key = await api.keys.find_key(secret)
    assert key is not None
    assert key.last_used_at > 0
