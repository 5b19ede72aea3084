"""Limit the thinking of a request by a custom logit processor of SGLang for the ids of the served model.

SGLang's own ``DeepSeekR1ThinkingBudgetLogitProcessor`` knows only R1's ids and has no effect on a distill. A request
can bring a pickled class. Ours contains no code: it is SGLang's base class with other numbers. The pickle is
written opcode by opcode, so that neither side needs packages of the other.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from engine.client.framing import ThinkingIds

_RELEASE = "0.5.23"
"""The release whose base class is known. A name that a release lacks would crash its scheduler, so a budget goes only
to a server that reports this release."""

_BASE = ("sglang.srt.sampling.custom_logit_processor", "ThinkingBudgetLogitProcessor")


def supports_budget(server_info: Mapping[str, Any]) -> bool:
    """Return whether a server with this ``/server_info`` (may be empty) accepts a thinking budget."""
    return server_info.get("enable_custom_logit_processor") is True and server_info.get("version") == _RELEASE


def build_budget_fields(think: ThinkingIds, tokens: int) -> dict[str, Any]:
    """Return the request fields that end the thinking after ``tokens`` and a newline."""
    return {"custom_logit_processor": build_processor(think), "custom_params": {"thinking_budget": tokens}}


@lru_cache(maxsize=8)
def build_processor(think: ThinkingIds) -> str:
    """Return the class ``type(name, (base,), ids)`` as SGLang's ``CustomLogitProcessor.from_str`` reads it."""
    ids = {
        "THINKING_START_TOKEN_ID": think.open,
        "THINKING_END_TOKEN_ID": think.close,
        "NEW_LINE_TOKEN_ID": think.newline,
    }
    name = _pickle_text("KvasirThinkingBudget")
    namespace = (
        pickle.EMPTY_DICT + pickle.MARK + b"".join(_pickle_text(key) + _pickle_int(value) for key, value in ids.items())
    )
    stream = (
        pickle.PROTO + b"\x02" + _pickle_global("builtins", "type")
        + pickle.MARK + name + _pickle_global(*_BASE) + pickle.TUPLE1 + namespace + pickle.SETITEMS + pickle.TUPLE
        + pickle.REDUCE + pickle.STOP
    )  # fmt: skip
    return json.dumps({"callable": stream.hex()})


def _pickle_global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _pickle_text(text: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(text.encode())) + text.encode()


def _pickle_int(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)
