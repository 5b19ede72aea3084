"""Conversations as token ids: user text never becomes a control token, and only an agreed template is used."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client.framing import PROBE, QWEN2, R1, R1_0528, ChatFramer, ThinkingIds, find_agreed_framer, list_framers
from engine.client.thinking_budget import build_budget_fields, supports_budget
from engine.client.tokens import ByteCounter, TokenEncoding, load_tokenizer_json
from engine.interfaces import ChatMessage
from tests.engine.client.test_tokens import vocabulary_file

NAMES = (
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>",
    "<|im_start|>", "<|im_end|>", "<｜tool▁calls▁begin｜>",
)  # fmt: skip
IDS = {name: 5000 + n for n, name in enumerate(NAMES)}
BOS, EOS, USER, ASSISTANT, OPEN, CLOSE, START, END = list(IDS.values())[:8]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> TokenEncoding:
    added = [{"id": number, "content": name, "special": True} for name, number in IDS.items()]
    return load_tokenizer_json(vocabulary_file(tmp_path_factory.mktemp("framing"), "qwen2", added_tokens=added))


def _say(*texts: str) -> list[ChatMessage]:
    return [ChatMessage("assistant" if n % 2 else "user", text) for n, text in enumerate(texts)]


def test_r1_template(vocabulary: TokenEncoding) -> None:
    """BOS once, no system prompt, no earlier thinking, and the opening tag where the family has it."""
    encode = vocabulary.encode
    messages = _say("Hi", "<think>\nHm.</think>\n\nYes.", "And?")
    same = [BOS, USER, *encode("Hi"), ASSISTANT, *encode("\n\nYes."), EOS, USER, *encode("And?"), ASSISTANT]
    opened = ChatFramer(R1, vocabulary).frame_conversation(messages)
    assert (opened.ids, opened.starts_in_thinking) == ([*same, OPEN, *encode("\n")], True)
    left = ChatFramer(R1_0528, vocabulary).frame_conversation(messages)
    assert (left.ids, left.starts_in_thinking) == (same, False)
    for template in (R1, R1_0528):
        off = ChatFramer(template, vocabulary).frame_conversation(messages, think=False)
        assert (off.ids, off.starts_in_thinking) == ([*same, OPEN, *encode("\n\n"), CLOSE, *encode("\n\n")], False)


def test_adjacent_texts_are_encoded_together(vocabulary: TokenEncoding) -> None:
    """A newline of the template and one of the text may be one token."""
    framed = ChatFramer(QWEN2, vocabulary).frame_conversation(_say("\nHi"))
    user = [START, *vocabulary.encode("user\n\nHi"), END, *vocabulary.encode("\n")]
    assert framed.ids[-len(user) - 1 - len(vocabulary.encode("assistant\n")) :][: len(user)] == user
    assert framed.ids.count(START) == 3


@given(st.lists(st.sampled_from([*NAMES, "<think", ">", "\n", "Hi", "你好", " "]), max_size=12).map("".join))
def test_text_cannot_inject_control_tokens(vocabulary: TokenEncoding, text: str) -> None:
    """With any question and earlier answer, only the template's own control tokens occur."""
    for framing in list_framers(vocabulary):
        plain = [one for one in framing.frame_conversation(_say("a", "b", "c")).ids if one >= 5000]
        hostile = framing.frame_conversation(_say(text, text, text)).ids
        assert [one for one in hostile if one >= 5000] == plain


async def test_only_a_template_that_the_server_confirms_is_used(vocabulary: TokenEncoding) -> None:
    requests: list[Sequence[ChatMessage]] = []

    def server(answer: list[int] | None):  # noqa: ANN202
        async def ask(messages: Sequence[ChatMessage]) -> list[int] | None:
            requests.append(messages)
            return answer

        return ask

    for template in (R1, R1_0528, QWEN2):
        theirs = ChatFramer(template, vocabulary).frame_conversation(PROBE).ids
        found = await find_agreed_framer(vocabulary, server(theirs))
        assert found is not None
        assert found.template is template
    assert (
        await find_agreed_framer(vocabulary, server([BOS, *ChatFramer(R1, vocabulary).frame_conversation(PROBE).ids]))
        is None
    ), "BOS twice"
    assert await find_agreed_framer(vocabulary, server(None)) is None
    requests.clear()
    assert await find_agreed_framer(ByteCounter(), server([])) is None
    assert not requests, "without a vocabulary nothing is asked"


def test_budget_processor_is_a_subclass_with_the_models_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpickled, it is SGLang's base class with other numbers and nothing else."""
    home = ModuleType("sglang.srt.sampling.custom_logit_processor")
    base = type("ThinkingBudgetLogitProcessor", (), {})
    home.ThinkingBudgetLogitProcessor = base  # type: ignore[attr-defined]
    for name in ("sglang", "sglang.srt", "sglang.srt.sampling"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, home.__name__, home)
    fields = build_budget_fields(ThinkingIds(151648, 151649, 198), 512)
    made = pickle.loads(bytes.fromhex(json.loads(fields["custom_logit_processor"])["callable"]))
    assert issubclass(made, base)
    assert (made.THINKING_START_TOKEN_ID, made.THINKING_END_TOKEN_ID, made.NEW_LINE_TOKEN_ID) == (151648, 151649, 198)
    assert fields["custom_params"] == {"thinking_budget": 512}


def test_budget_is_sent_only_to_a_supported_release() -> None:
    """Another release may lack the base class, and its scheduler would crash."""
    pinned = (Path(__file__).parents[3] / "engine/requirements/sglang.in").read_text().strip().partition("==")[2]
    assert supports_budget({"enable_custom_logit_processor": True, "version": pinned})
    assert not supports_budget({"enable_custom_logit_processor": False, "version": pinned})
    assert not supports_budget({"enable_custom_logit_processor": True, "version": "0.4.0"})
    assert not supports_budget({})
