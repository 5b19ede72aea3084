"""A bound on thinking, as SGLang takes it with a request: a logit processor for the ids of the model that is served.

SGLang's own ``DeepSeekR1ThinkingBudgetLogitProcessor`` knows R1's ids alone and never fires on a distill. A request
may bring a class of its own, pickled. Ours carries no code: it is SGLang's base class with other numbers in it, spelled
out here in the pickle machine's own words, so that neither side needs anything of the other's installed.
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
"""The release in which the base class was seen. A name that a release lacks would end its scheduler, so a bound goes
only to a server that says that it is this one."""

_BASE = ("sglang.srt.sampling.custom_logit_processor", "ThinkingBudgetLogitProcessor")


def supports_budget(server_info: Mapping[str, Any]) -> bool:
    """Tell from what SGLang's ``/server_info`` says (may be empty) whether requests may bring a bound."""
    return server_info.get("enable_custom_logit_processor") is True and server_info.get("version") == _RELEASE


def build_budget_fields(think: ThinkingIds, tokens: int) -> dict[str, Any]:
    """Return the fields of a request whose thinking ends after ``tokens`` (and a newline) if it has not by itself."""
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
