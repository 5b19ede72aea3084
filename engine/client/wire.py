"""Pure: SGLang's HTTP interface as data: build requests, parse events and replies, map errors."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from engine.client.framing import TokenPrompt
from engine.errors import (
    EngineError,
    EngineInterrupted,
    EngineOverloaded,
    EngineRefused,
    EngineStarting,
    EngineUnauthorized,
    EngineUnavailable,
    PromptTooLong,
)
from engine.interfaces import ChatMessage, Sampling, Usage
from engine.notes import EngineNote, NoteCode
from engine.planning.plans import MIN_CONTEXT_TOKENS
from engine.text import replace_surrogates

FinishReason = Literal["stop", "length", "abort"]
_TOO_LONG = re.compile(r"context length|longer than the model|too long|exceeds the maximum", re.IGNORECASE)
_TOO_BIG = "Out of memory even after retracting"
"""SGLang's message for a request whose context alone exceeds the KV cache."""
_PROGRESS_FIELDS = ("total_prefill_uncached_tokens", "total_prefill_busy_us", "decode_moments")
_ALTERNATIVES = 20
"""How many tokens with their logprobs a request asks for; OpenAI's interface allows no more."""
_JSON_ERRORS = (ValueError, RecursionError)
"""What ``json.loads`` raises; ``RecursionError`` for deep nesting."""
_COUNT = re.compile(r"(?<!\d)(\d+)(?: input)? tokens")


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """One event of a streamed answer."""

    reasoning: str = field(default="", repr=False)
    content: str = field(default="", repr=False)
    finish: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What a server reports about itself."""

    model: str
    context_tokens: int | None
    split_by_server: bool | None
    """Whether the server separates the thinking; None if it is not SGLang, or a router that does not report it."""
    tokenizer_path: str | None = None
    """A folder or a hub id, as the server reports it."""
    people: int | None = None
    """Concurrent answers with a useful context each; None if the server does not report it."""
    on_cpu: bool = False


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """The load of a server at one moment."""

    running: int
    waiting: int
    cache_use: float
    """The share of the KV cache in use, 0 to 1, of the fullest part."""
    progress_marker: tuple[str, ...] | None
    """A value that changes with every prefill and every decoded token; None if the server does not report it."""


def build_chat_request(
    model: str, messages: Sequence[ChatMessage], sampling: Sampling, request_id: str
) -> dict[str, Any]:
    """Return the body of a streamed chat completion."""
    body = {
        "model": model,
        "messages": serialize_messages(messages),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        "separate_reasoning": True,
        "rid": f"{request_id}-{uuid.uuid4().hex}",  # SGLang refuses the id of a running request
    }
    if sampling.json_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(sampling.json_schema)},
        }
    return body


def build_salt_field(cache_salt: str) -> dict[str, Any]:
    """Return the field that keeps a request's prefix apart from those of other salts; none without a salt."""
    return {"cache_salt": cache_salt} if cache_salt else {}


def build_option_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request for one token and its likeliest alternatives, from that of an answer."""
    streaming = {"stream", "stream_options"}
    fields = {name: value for name, value in request.items() if name not in streaming}
    return {**fields, "logprobs": True, "top_logprobs": _ALTERNATIVES}


def parse_option_scores(reply: Mapping[str, Any], options: Sequence[str]) -> tuple[float, ...]:
    """Return each option's share of the probability of all options as the reply's first token.

    Raises:
        EngineRefused: the reply has no logprobs, or no option is among the likeliest tokens.

    """
    masses = dict.fromkeys((option.strip().casefold() for option in options), 0.0)
    for token in _list_first_tokens(reply):
        word, logprob = _as_string(token.get("token")).strip().casefold(), token.get("logprob")
        if word in masses and isinstance(logprob, (int, float)):
            masses[word] += math.exp(min(0.0, logprob))
    total = sum(masses.values())
    if not total:
        raise EngineRefused(NoteCode.NO_PROBABILITIES.fill())
    return tuple(masses[option.strip().casefold()] / total for option in options)


def _list_first_tokens(reply: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the likeliest first tokens of a reply; none without logprobs."""
    tokens = _as_mapping(_first_mapping(reply.get("choices")).get("logprobs")).get("content")
    likeliest = _first_mapping(tokens).get("top_logprobs")
    return [_as_mapping(one) for one in likeliest] if isinstance(likeliest, list) else []


def _first_mapping(values: object) -> Mapping[str, Any]:
    return _as_mapping(values[0]) if isinstance(values, list) and values else {}


def serialize_messages(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Return messages as JSON objects."""
    return [{"role": message.role, "content": replace_surrogates(message.content)} for message in messages]


def build_id_fields(prompt: TokenPrompt) -> dict[str, Any]:
    """Return the fields of a request by token ids. The server does not separate the thinking; our decoder does."""
    return {"input_ids": prompt.ids, "separate_reasoning": False, **prompt.extra_fields}


def build_no_thinking_fields(messages: list[dict[str, str]]) -> dict[str, Any]:
    """Return the fields that let a model continue after an empty thought, where the server frames the messages."""
    empty_thought = {"role": "assistant", "content": "<think>\n\n</think>\n\n"}
    return {"messages": [*messages, empty_thought], "continue_final_message": True}


def parse_chat_event(data: str, *, began: bool) -> ChatEvent:
    """Parse the data of one event.

    Raises:
        EngineError: the event contains an error (a router sends one when a worker dies), or is not a chat event.

    """
    try:
        event = json.loads(data)
    except _JSON_ERRORS as error:
        raise EngineInterrupted(NoteCode.EVENT_INVALID.fill()) from error
    if not isinstance(event, dict):
        raise EngineInterrupted(NoteCode.EVENT_INVALID.fill())
    if "error" in event:
        raise _map_stream_error(event["error"], began=began)
    first = _first_mapping(event.get("choices"))
    delta = _as_mapping(first.get("delta"))
    return ChatEvent(
        reasoning=replace_surrogates(_as_string(delta.get("reasoning_content"))),
        content=replace_surrogates(_as_string(delta.get("content"))),
        finish=_parse_finish_reason(first.get("finish_reason")),
        usage=_parse_usage(event.get("usage")),
    )


def map_http_error(status: int, body: str) -> EngineError:
    """Return the error for an HTTP status; it does not contain the body's words."""
    message = _extract_message(body)
    if _TOO_BIG in message:
        return PromptTooLong(NoteCode.PROMPT_TOO_LARGE.fill())
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.SERVICE_UNAVAILABLE:
        return EngineUnavailable(NoteCode.SERVER_FAILED.fill(status=status))
    if status == HTTPStatus.SERVICE_UNAVAILABLE and "queue" not in message.lower():
        return EngineStarting(NoteCode.LOADING_MODEL.fill())
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return EngineOverloaded(NoteCode.SERVER_QUEUE_FULL.fill())
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return EngineUnauthorized(NoteCode.KEY_REFUSED.fill())
    return _map_refusal(status, message)


def _map_refusal(status: int, message: str) -> EngineRefused:
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or _TOO_LONG.search(message):
        return PromptTooLong(_explain_too_long(message))
    if status == HTTPStatus.NOT_FOUND:
        return EngineRefused(NoteCode.NO_CHAT_API.fill())
    return EngineRefused(NoteCode.REQUEST_REFUSED.fill(status=status))


def parse_served_model(models: Mapping[str, Any], info: Mapping[str, Any], server: Mapping[str, Any]) -> ServedModel:
    """Return what ``/v1/models`` and SGLang's ``/model_info`` and ``/server_info`` (may be empty) say together.

    Raises:
        EngineRefused: the server serves no model.

    """
    first = _first_mapping(models.get("data"))
    name = _as_string(first.get("id")) or _as_string(info.get("served_model_name"))
    if not name:
        raise EngineRefused(NoteCode.NO_MODEL_SERVED.fill())
    split = info.get("reasoning_parser") is not None if "reasoning_parser" in info else None
    context, path = _as_count(first.get("max_model_len")), _as_string(info.get("tokenizer_path")) or None
    return ServedModel(name, context, split, path, _estimate_people(server, context), server.get("device") == "cpu")


def _estimate_people(server: Mapping[str, Any], context_tokens: int | None) -> int | None:
    """Return how many answers a server can run at once, by its own limit and by its KV cache."""
    state = _first_mapping(server.get("internal_states"))
    copies = _as_count(server.get("dp_size")) or 1
    most = _as_count(state.get("effective_max_running_requests_per_dp"))
    kv_tokens = _as_count(server.get("max_total_num_tokens"))
    each_tokens = min(context_tokens or MIN_CONTEXT_TOKENS, MIN_CONTEXT_TOKENS)
    room = max(1, kv_tokens // each_tokens) if kv_tokens else None
    limits = [limit for limit in (most, room) if limit]
    return min(limits) * copies if limits else None


def parse_load(answer: Mapping[str, Any]) -> ServerLoad | None:
    """Return the load of all parts from SGLang's ``/v1/loads``; None for any other reply."""
    loads = answer.get("loads")
    parts = [part for part in loads if isinstance(part, dict)] if isinstance(loads, list) else []
    if not parts:
        return None
    uses = [use for part in parts if isinstance(use := part.get("token_usage"), (int, float))]
    progress = tuple(json.dumps([part.get(name) for name in _PROGRESS_FIELDS]) for part in parts)
    return ServerLoad(
        running=sum(_as_count(part.get("num_running_reqs")) or 0 for part in parts),
        waiting=sum(_as_count(part.get("num_waiting_reqs")) or 0 for part in parts),
        cache_use=float(max(uses, default=0.0)),
        progress_marker=progress if all(part.get(_PROGRESS_FIELDS[0]) is not None for part in parts) else None,
    )


def parse_json_object(text: str) -> dict[str, Any]:
    """Parse a reply that must be a JSON object.

    Raises:
        EngineRefused: it is not one.

    """
    try:
        value = json.loads(text)
    except _JSON_ERRORS:
        value = None
    if not isinstance(value, dict):
        raise EngineRefused(NoteCode.NOT_SGLANG.fill())
    return value


def _map_stream_error(error: object, *, began: bool) -> EngineError:
    details = _as_mapping(error) or {"message": error}
    code = _as_count(details.get("code")) or 500
    if began and _TOO_BIG not in _as_string(details.get("message")) and code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return EngineInterrupted(NoteCode.FAILED_IN_ANSWER.fill())
    return map_http_error(code, json.dumps(details, default=str))


def _extract_message(body: str) -> str:
    """Return the message of an error body, in any of the formats of SGLang and its routers."""
    try:
        value = json.loads(body)
    except _JSON_ERRORS:
        return body
    inner = value.get("error") if isinstance(value, dict) else None
    source = inner if isinstance(inner, dict) else _as_mapping(value)
    return _as_string(source.get("message")) or _as_string(inner) or _as_string(source.get("detail"))


def _explain_too_long(message: str) -> EngineNote:
    counts = [int(number) for number in _COUNT.findall(message)]
    if len(counts) != 2:  # noqa: PLR2004
        return NoteCode.PROMPT_TOO_LONG.fill()
    return NoteCode.PROMPT_TOO_LONG_BY.fill(tokens=max(counts), fit=min(counts))


def _parse_finish_reason(value: object) -> FinishReason | None:
    if not isinstance(value, str):
        return None
    return value if value in {"length", "abort"} else "stop"  # type: ignore[return-value]


def _parse_usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    prompt, completion = (
        _as_mapping(value.get("prompt_tokens_details")),
        _as_mapping(value.get("completion_tokens_details")),
    )
    reasoning = _as_count(value.get("reasoning_tokens"))
    return Usage(
        prompt_tokens=_as_count(value.get("prompt_tokens")),
        completion_tokens=_as_count(value.get("completion_tokens")),
        reasoning_tokens=reasoning if reasoning is not None else _as_count(completion.get("reasoning_tokens")),
        cached_tokens=_as_count(prompt.get("cached_tokens")),
    )


def _as_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _as_count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
