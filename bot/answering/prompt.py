"""Build the prompt: instructions, earlier turns, passages and the question, within a budget of tokens.

Pure. R1 takes no system prompt, so the instructions open the first user turn. The order serves the prefix cache. First
comes what is the same for everybody, then the passages with which the conversation began. Each earlier turn follows
with the passages that it added. Then come the new passages by their numbers (``passage_order``: not their ranks), and
last the question. A follow-up extends the prompt before it, or its beginning once old turns are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.answering.asker import Tone
from bot.answering.events import Exchange, Passage
from bot.answering.history_window import find_window_start
from bot.answering.markdown.citations import strip_displayed
from bot.answering.markdown.sentences import join_wrapped_lines
from bot.answering.quoting import format_quotes, neutralise_control_tokens
from bot.answering.retrieval.passage_order import MOST
from bot.answering.thinking import Depth, Length, allot_tokens
from bot.languages.registry import Language, choose_language, find_pack
from engine.interfaces import ChatMessage
from knowledge.interfaces import MESSAGE_KIND
from knowledge.tables import describe_tables

CountTokens = Callable[[str], int]

TURN_TOKENS = 16
"""What a chat template adds to a turn, and once more for the answer's opening; R1's and ChatML's take 4 to 12."""

_ELLIPSIS = " …"
_WORTH_MORE = 3
_MOST_PASSAGES = MOST + 40
"""Passages of a conversation, and short messages that come with the question."""
_MATERIAL, _FILE = {MESSAGE_KIND: "message"}, "attached file"
"""What a passage of a question's material is called."""

_BRACKETS = str.maketrans("<>", "‹›")


class ContextTooSmall(ValueError):
    """Not even the instructions and a shortened question fit the model's context."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens each part of a prompt may take."""

    prompt_tokens: int
    """The most tokens of the whole prompt, with those of the template."""
    answer_tokens: int
    """The most tokens of thinking and answer together."""
    thinking_tokens: int
    """The most tokens of the thinking alone, 0 for none."""
    passages: int
    """The most passages, with those that earlier turns had already."""
    passage_tokens: int
    history_tokens: int
    brief: bool
    """Whether the instructions are the short ones that a very small model can follow."""
    length: Length = "normal"
    """What the prompt asks for; a small model always gives short answers."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages for the engine."""

    messages: tuple[ChatMessage, ...]
    shown_numbers: frozenset[int]
    """The numbers of the passages that the model sees."""
    tokens: int
    question_text: str
    """The question as the last message ends with it, with what follows it."""
    language: Language

    def replace_question(self, text: str) -> tuple[ChatMessage, ...]:
        """Return the messages with another text in the question's place, so that the engine has all before it read."""
        *earlier, last = self.messages
        return (*earlier, ChatMessage(last.role, last.content.removesuffix(self.question_text) + text))


def plan_budget(
    context_tokens: int, *, small_model: bool, depth: Depth = "normal", length: Length = "normal"
) -> Budget:
    """Share out a context. A small model on two cores reads a token in 1.5 to 3 ms and writes about 11 a second.

    Raises:
        ContextTooSmall: fewer than 512 tokens.

    """
    if context_tokens < 512:  # noqa: PLR2004 - instructions, one passage of a paragraph and an answer of a few lines
        msg = f"The model's context of {context_tokens} tokens is too small to answer from passages; it needs 512."
        raise ContextTooSmall(msg)
    if small_model:
        answer = min(224, context_tokens // 4)  # steps with a block of code take about 200
        return Budget(min(900, context_tokens - answer), answer, 0, 3, 220, 120, brief=True)
    share = allot_tokens(depth, length, context_tokens // 3)
    answer = share.thinking + share.answer
    prompt = min(12_000, context_tokens - answer)
    small = prompt < 3000  # noqa: PLR2004 - about four passages of a page
    passages, passage_tokens = (4, prompt // 4) if small else (_MOST_PASSAGES, prompt // 6)
    return Budget(prompt, answer, share.thinking, passages, passage_tokens, prompt // 4, brief=False, length=length)


def build_prompt(
    question: str,
    history: Sequence[Exchange],
    passages: Sequence[Passage],
    *,
    budget: Budget,
    count_tokens: CountTokens,
    manner: str = "",
) -> Prompt:
    """Return the messages for a question; they never take more than ``budget.prompt_tokens``.

    If need be, the question is shortened to a quarter of the budget, and the history loses its oldest turns. The
    passages are shortened, and then left out from the last one on.

    Args:
        question: as asked.
        history: the conversation so far, oldest first.
        passages: best first; their numbers are what the answer cites.
        budget: from ``plan_budget``.
        count_tokens: of the served model's own vocabulary.
        manner: the last line, about the language and the tone of the answer; "" for none.

    Raises:
        ContextTooSmall: nothing of use fits.

    """
    language = choose_language(question)
    pack = find_pack(language)
    instructions = pack.brief_instructions if budget.brief else pack.instructions
    question_text = pack.question_label + shorten_to_tokens(
        neutralise_control_tokens(question), budget.prompt_tokens // 4, count_tokens
    )
    lines = " ".join(filter(None, (pack.length_lines.get(budget.length, ""), manner)))
    question_text = f"{question_text}\n\n{lines}".rstrip()
    turns = _fit_history(history, budget.history_tokens, count_tokens)
    if budget.brief:
        passages = _drop_translations(passages, language)
    blocks = [format_passage(one, budget.passage_tokens, count_tokens) for one in passages[: budget.passages]]
    while True:
        messages = _build_messages(instructions, turns, _group_by_question(passages, blocks), question_text)
        tokens = TURN_TOKENS + sum(TURN_TOKENS + count_tokens(message.content) for message in messages)
        if tokens <= budget.prompt_tokens:
            numbers = frozenset(passage.n for passage in passages[: len(blocks)])
            return Prompt(messages, numbers, tokens, question_text, language)
        _shrink_prompt(turns, blocks, passages, tokens - budget.prompt_tokens, count_tokens)


def shorten_to_tokens(text: str, tokens: int, count_tokens: CountTokens) -> str:
    """Return a beginning of a text that takes at most ``tokens``, marked with an ellipsis if it is not the whole."""
    if len(text.encode(errors="replace")) <= tokens:  # no token is shorter than a byte
        return text
    shortened = text[: tokens * 12]  # no vocabulary of ours has longer tokens on average; keeps counting cheap
    marked = shortened if shortened == text else shortened + _ELLIPSIS
    while (count := count_tokens(marked)) > tokens:
        shortened = shortened[: min(len(shortened) - 1, len(shortened) * tokens // count)].rstrip()
        if not shortened:
            return ""
        marked = shortened + _ELLIPSIS
    return marked


def format_passage(passage: Passage, tokens: int, count_tokens: CountTokens) -> str:
    """Return a passage as a model reads it, with its number and path; of its text at most ``tokens``."""
    return _format_block(passage, shorten_to_tokens(_read_text(passage), tokens, count_tokens))


def describe_manner(language: Language | None, tone: Tone, question_language: Language) -> str:
    """Return the line about language and tone that ends a prompt.

    "" if the model answers plainly in the question's language, which ``language`` None stands for.
    """
    pack = find_pack(language or question_language)
    line = "" if language in {None, question_language} else pack.language_line.format(name=pack.name)
    return " ".join(filter(None, (line, pack.tone_lines.get(tone, ""))))


_Turn = tuple[str, Exchange]
"""An earlier turn as it was asked, which names the passages that it had, and as it is sent again."""


def _fit_history(history: Sequence[Exchange], tokens: int, count_tokens: CountTokens) -> list[_Turn]:
    """Return the latest turns that fit, the oldest first."""
    turns: list[_Turn] = []
    for exchange in history:
        label = find_pack(choose_language(exchange.question)).question_label if exchange.question.strip() else ""
        own = label + neutralise_control_tokens(exchange.question)
        answer = neutralise_control_tokens(strip_displayed(exchange.answer))
        question = "\n\n".join(filter(None, (format_quotes(exchange.quotes), own)))
        turns.append((exchange.messages.strip(), Exchange(question, answer)))
    costs = [count_tokens(sent.question) + count_tokens(sent.answer) + 2 * TURN_TOKENS for _, sent in turns]
    return turns[find_window_start(costs, tokens) :]


def _drop_translations(passages: Sequence[Passage], language: Language) -> Sequence[Passage]:
    """Return the passages in the question's language if the best one is: a small model copies from the others."""
    if not passages or choose_language(passages[0].text) != language:
        return passages
    return [passage for passage in passages if choose_language(passage.text) == language]


def _read_text(passage: Passage) -> str:
    """Return a passage's text as the model reads it: without hard line breaks, and rows with their columns' names."""
    return neutralise_control_tokens(describe_tables(join_wrapped_lines(passage.text)))


def _format_block(passage: Passage, text: str) -> str:
    path = neutralise_control_tokens(" › ".join(part for part in (passage.title, passage.heading) if part))[:200]
    if passage.web is not None:
        as_of = passage.web.published or passage.web.fetched_at
        path = f"web, {passage.web.host}, {as_of:%Y-%m-%d}: {path}"
    elif passage.material is not None:
        path = f"{_MATERIAL.get(passage.material.kind, _FILE)}, {path}"
    path = " ".join(path.translate(_BRACKETS).split())
    return f"<passage {passage.n}: {path}>\n{text}\n</passage>"


def _group_by_question(passages: Sequence[Passage], blocks: Sequence[str]) -> dict[str, list[str]]:
    """Return the blocks by the question with which each came, in the order of their numbers, not of their ranks."""
    blocks_by_question: dict[str, list[str]] = {}
    for passage, block in sorted(zip(passages, blocks, strict=False), key=lambda pair: pair[0].n):
        blocks_by_question.setdefault(passage.since, []).append(block)
    return blocks_by_question


def _build_messages(
    instructions: str, turns: Sequence[_Turn], blocks: dict[str, list[str]], question: str
) -> tuple[ChatMessage, ...]:
    lead = blocks.pop(next(iter(blocks)), []) if blocks else []  # the first block stays, even if turns are dropped
    new = blocks.pop("", [])
    messages: list[ChatMessage] = []
    passages: list[str] = []
    questions: list[str] = []
    for was_asked, sent in turns:
        passages += _pop_blocks(blocks, was_asked)
        questions += [sent.question] if sent.question.strip() else []
        if sent.answer.strip():  # what nobody answered is asked together with what came next: no turn is empty
            messages += [
                ChatMessage("user", "\n\n".join((*passages, *questions))),
                ChatMessage("assistant", sent.answer),
            ]
            passages, questions = [], []
    first, *others = [*messages, ChatMessage("user", "\n\n".join((*passages, *new, *questions, question)))]
    left = [block for of_one in blocks.values() for block in of_one]  # of turns that are no longer sent
    return (ChatMessage("user", "\n\n".join((instructions, *lead, *left, first.content))), *others)


def _pop_blocks(blocks: dict[str, list[str]], question: str) -> list[str]:
    """Remove and return the blocks of a question; questions that were asked together are its lines."""
    lines = f"\n{question}\n"
    return [block for one in [*blocks] if f"\n{one}\n" in lines for block in blocks.pop(one)]


def _shrink_prompt(
    turns: list[_Turn],
    blocks: list[str],
    passages: Sequence[Passage],
    excess: int,
    count_tokens: CountTokens,
) -> None:
    """Make the prompt smaller by one step: the last of several passages, the oldest turn, then the only passage."""
    # Three passages are worth more than old turns.
    if len(blocks) > 1 and (len(blocks) > _WORTH_MORE or not turns):
        blocks.pop()
    elif turns:
        turns.pop(0)
    elif blocks:
        text = shorten_to_tokens(
            _read_text(passages[0]),
            max(0, count_tokens(blocks[0]) - excess - TURN_TOKENS),
            count_tokens,
        )
        shorter = _format_block(passages[0], text)
        blocks[:] = [shorter] if text and len(shorter) < len(blocks[0]) else []
    else:
        msg = "The model's context is too small for the instructions and the question; serve it with a longer one."
        raise ContextTooSmall(msg)
