"""Recognises prompts of chat programs about a conversation: its title, its tags, what to ask next. Pure.

Open WebUI sends them to the model of the conversation. They begin with ``### Task:`` and have the conversation between
``<chat_history>`` tags; before these, they name the key of the JSON that they expect. (What it sends for a question
about its own files begins alike, but has no such tags.) A search for them would find nothing and keep people waiting.
"""

from __future__ import annotations

import json
import re
from typing import Final

_BEGIN: Final = "### Task:"
_HISTORY: Final = ("<chat_history>", "</chat_history>")
_KEY: Final = re.compile(r'"(title|tags|follow_ups|queries|text|prompt)":')
_FIRST_QUESTION: Final = re.compile(r"USER:[ \t]*(\S[^\n]*)")
_MOST_CHARACTERS: Final = 60
_EMPTY: Final[dict[str, object]] = {
    "title": "", "tags": ["General"], "follow_ups": [], "queries": [], "text": "", "prompt": "",
}  # fmt: skip


def answer_client_task(prompt: str) -> str | None:
    """Return the answer to a prompt about a conversation; None if the prompt is a question."""
    task, _, rest = prompt.lstrip().partition(_HISTORY[0])
    history, end, _ = rest.rpartition(_HISTORY[1])
    if not (task.startswith(_BEGIN) and end):
        return None
    key = _KEY.search(task)
    if key is None:
        return "{}"
    value = _make_title(history) if key[1] == "title" else _EMPTY[key[1]]
    return json.dumps({key[1]: value}, ensure_ascii=False)


def _make_title(history: str) -> str:
    """Return the first question of a conversation, cut at a word."""
    found = _FIRST_QUESTION.search(history)
    words = " ".join(found[1].split()) if found else ""
    if len(words) <= _MOST_CHARACTERS:
        return words
    return f"{words[: _MOST_CHARACTERS + 1].rpartition(' ')[0] or words[:_MOST_CHARACTERS]}…"
