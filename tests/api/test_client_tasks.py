"""Prompts about conversations, as Open WebUI words them, and questions that look alike."""

from __future__ import annotations

import json

import pytest

from bot.api.client_tasks import answer_client_task

HISTORY = (
    "### Chat History:\n<chat_history>\nUSER: How many days of leave do I have?\nASSISTANT: 28 [1]\n</chat_history>"
)
TITLE = f'### Task:\nGenerate a title.\n### Output:\nJSON format: {{ "title": "your title here" }}\n{HISTORY}'


def ask(key: str, history: str = HISTORY) -> dict[str, object]:
    prompt = f'### Task:\nDo it.\n### Output:\nJSON format: {{ "{key}": ["one", "two"] }}\n{history}'
    answer = answer_client_task(prompt)
    assert answer is not None
    result: dict[str, object] = json.loads(answer)
    return result


def test_a_title_is_the_first_question() -> None:
    assert json.loads(answer_client_task(TITLE) or "") == {"title": "How many days of leave do I have?"}
    assert json.loads(answer_client_task(f"\n {TITLE}") or "") == {"title": "How many days of leave do I have?"}
    assert ask("title", "<chat_history>\nUSER: 我有多少天年假？\n</chat_history>") == {"title": "我有多少天年假？"}
    assert ask("title", "<chat_history></chat_history>") == {"title": ""}


def test_a_long_title_is_cut_at_a_word() -> None:
    title = str(ask("title", f"<chat_history>\nUSER: {'seven words ' * 9}\n</chat_history>")["title"])
    assert title == "seven words seven words seven words seven words seven words…"
    assert len(str(ask("title", f"<chat_history>\nUSER: {'字' * 90}\n</chat_history>")["title"])) == 61


@pytest.mark.parametrize(
    ("key", "value"), [("tags", ["General"]), ("follow_ups", []), ("queries", []), ("text", ""), ("prompt", "")]
)
def test_other_tasks_get_an_empty_answer(key: str, value: object) -> None:
    assert ask(key) == {key: value}


def test_an_unknown_task_gets_an_empty_object() -> None:
    assert answer_client_task(f"### Task:\nDo something else.\n{HISTORY}") == "{}"


@pytest.mark.parametrize(
    "question",
    [
        "How many days of leave do I have?",
        "### Task: what does this heading of the handbook mean?",
        "What is <chat_history></chat_history>?",
        "### Task:\nRespond to the user query using the provided context.\n<context>…</context>\nHow many days?",
        "### Task:\n<chat_history>",
        "",
    ],
)
def test_a_question_is_no_task(question: str) -> None:
    assert answer_client_task(question) is None
