"""Tests of the Markdown that Slack gets."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Passage
from bot.slack.features.kit import kb_texts
from bot.slack.features.kit.modal import build_plain_text
from bot.slack.posting.buttons import build_button
from bot.slack.wire.text import cutting, render
from knowledge.interfaces import Hit, SearchResult, WebOrigin

PING = re.compile(r"<[!@]|@(?:channel|here|everyone)\b|<!subteam", re.IGNORECASE)
TOKENS = [
    "<!channel>",
    "<!here|here>",
    "<!everyone>",
    "<@U012AB3CD>",
    "<!subteam^S1>",
    "@channel",
    "@HERE",
    "@everyone",
]
PIECES = st.lists(
    st.sampled_from(
        [
            *TOKENS,
            "```",
            "~~~~\n",
            "\n",
            "`",
            "``",
            "<",
            "!",
            "@",
            "here",
            "chan",
            "nel",
            "&lt;",
            "[1]",
            "段落。",
            "a ",
            "\u2028",
        ]
    ),
    max_size=40,
)
PROSE = st.text(alphabet=st.sampled_from("ab。 \n`~<![](1).，😀"), max_size=900)


def make_passage(n: int, url: str | None = "https://kb/a") -> Passage:
    return Passage(n, "docs", f"{n}.md", f"Title {n}", "Part", url, "text")


def render_markdown(markdown: str, links: dict[int, str | None] | None = None) -> str:
    return render.MarkdownRenderer(links or {}).feed(markdown)


@given(PIECES)
def test_rendered_pieces_contain_no_ping(pieces: list[str]) -> None:
    """Any pieces of any text contain no control sequence after rendering."""
    renderer = render.MarkdownRenderer({1: "https://kb/1"})
    text = "".join(renderer.feed(piece) for piece in pieces)
    assert not PING.search(text)
    assert not PING.search(render.escape_mrkdwn("".join(pieces)))
    assert not PING.search(render.make_fallback_text(text))
    assert not PING.search(render.escape_markdown("".join(pieces)))


@pytest.mark.parametrize("token", TOKENS)
def test_ping_stays_readable(token: str) -> None:
    """A ping is shown as written, with an invisible joiner."""
    text = render_markdown(f"call {token} now").replace(render.JOINER, "").replace("&lt;", "<")
    assert text == f"call {token} now"


@given(PROSE, st.integers(1, 80))
def test_split_head_keeps_all_text(text: str, limit: int) -> None:
    head, rest = cutting.split_head(text, limit)
    assert head + rest == text
    assert len(head) <= limit
    assert head or not text or (limit == 1)


@given(PROSE, st.integers(200, 400))
def test_split_message_respects_limit_and_balances_fences(text: str, limit: int) -> None:
    """Only the last piece may have an open fence, and without the added fences the pieces are the text."""
    pieces = cutting.split_message(text, limit)
    assert all(len(piece) <= limit for piece in pieces)
    assert all(cutting.find_open_fence(piece) is None for piece in pieces[:-1])
    assert undo_split(pieces) == text


def undo_split(pieces: list[str]) -> str:
    """Remove the fences that a split adds."""
    text = pieces[0]
    for before, piece in itertools.pairwise(pieces):
        for end in (len(text), *range(len(text) - 1, len(text) - cutting.FENCE_RESERVE - 1, -1)):
            fence = cutting.find_open_fence(before[: len(before) - (len(text) - end)])
            if (
                fence is not None
                and before[: len(before) - (len(text) - end)]
                + cutting.make_closing_fence(fence, before[: len(before) - (len(text) - end)])
                == before
                and piece.startswith(f"{fence}\n")
            ):
                text = text[:end] + piece[len(fence) + 1 :]
                break
        else:
            text += piece
    return text


def test_split_closes_and_reopens_fence() -> None:
    code = "```python\n" + "x = 1\n" * 100 + "```\nafter"
    pieces = cutting.split_message(code, 300)
    assert len(pieces) > 1
    assert pieces[0].endswith("\n```")
    assert all(piece.startswith("```python\n") for piece in pieces[1:-1])
    assert pieces[-1].endswith("after")


def test_split_head_prefers_paragraphs_then_sentences() -> None:
    assert cutting.split_head("a" * 8 + "\n\n" + "b b" * 30, 14)[0] == "a" * 8 + "\n\n"
    assert cutting.split_head("第一句很长很长。第二句也很长很长很长。", 12)[0] == "第一句很长很长。"
    assert cutting.split_head("The first one. And the second", 20)[0] == "The first one."


def test_citations_outside_code_become_links() -> None:
    text = render_markdown("It is so [1], and [2]. `[1]` stays.\n```\n[1]\n```\n", {1: "https://kb/a(1)", 2: None})
    assert "[\\[1\\]](https://kb/a%281%29)" in text
    assert "and [2]." in text
    assert "`[1]`" in text
    assert "\n[1]\n" in text


def test_citation_without_space_becomes_link() -> None:
    assert render_markdown("如此[1]。", {1: "https://kb"}) == "如此[\\[1\\]](https://kb)。"


def test_footnote_and_link_are_not_citations() -> None:
    assert render_markdown("[1](https://x) [12]: y", {1: "https://kb"}) == "[1](https://x) [12]: y"


def test_only_web_addresses_become_links() -> None:
    assert render_markdown("So [1].", {1: "javascript:alert(1)"}) == "So [1]."


def test_html_is_escaped_and_images_become_links() -> None:
    assert render_markdown("a <script>x</script> b") == "a &lt;script>x&lt;/script> b"
    assert render_markdown("a<br>b <https://kb.example/x> c") == "a b <https://kb.example/x> c"
    assert (
        render_markdown("![plan](https://kb/p.png) ![](https://kb/q.png)")
        == "[plan](https://kb/p.png) [image](https://kb/q.png)"
    )


def test_fence_stays_open_across_pieces() -> None:
    renderer = render.MarkdownRenderer({1: "https://kb"})
    assert renderer.feed("```\na[1]\n") + renderer.feed("b[1] <x>\n```\n") == "```\na[1]\nb[1] <x>\n```\n"
    assert renderer.feed("c[1]") == "c[\\[1\\]](https://kb)"


def test_footer_lists_cited_passages_or_else_retrieved_ones() -> None:
    cited, other = make_passage(2), make_passage(1, None)
    assert render.format_source_list([cited], [other, cited], "en") == ("*Sources*\n<https://kb/a|[2] Title 2 › Part>")
    assert render.format_source_list([], [other], "zh") == "*查阅过*\n[1] Title 1 › Part"
    assert render.format_source_list([], [], "en") == ""


def test_footer_shows_age_of_sources() -> None:
    """The label has the age of the newest source; a source that is a day older has its own."""
    now = datetime(2026, 3, 5, 12, tzinfo=UTC)

    def seen(n: int, **ago: float) -> Passage:
        return Passage(n, "docs", f"{n}.md", f"Title {n}", "Part", None, "Text.", now - timedelta(**ago))

    footer = render.format_source_list([seen(1, hours=3), seen(2, hours=20), seen(3, days=9)], [], "en", now=now)
    assert footer.splitlines() == [
        "*Sources* · as of 3 h ago", "[1] Title 1 › Part", "[2] Title 2 › Part", "[3] Title 3 › Part · as of 9 d ago",
    ]  # fmt: skip
    footer = render.format_source_list([], [seen(1, seconds=3)], "zh", now=now)
    assert footer.splitlines()[0] == "*查阅过*（刚刚核实）"


def test_web_page_shows_host_and_date() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    day = datetime(2026, 11, 20, tzinfo=UTC)

    def page(n: int, *, published: datetime | None, stale: bool) -> Passage:
        fetched = now - timedelta(hours=3)
        web = WebOrigin("example.com", published, fetched, stale)
        return Passage(n, "", "https://example.com/a", "News", "", "https://example.com/a", "…", fetched, web=web)

    pages = [page(1, published=day, stale=False), page(2, published=None, stale=True)]
    assert render.format_source_list(pages, [], "en", now=now).split("\n") == [
        "*Sources*",
        "<https://example.com/a|[1] News> · example.com, 2026-11-20",
        "<https://example.com/a|[2] News> · example.com · as of 3 h ago",
    ]
    assert "· example.com，2026-11-20" in render.format_source_list(pages, [], "zh", now=now)


def test_footer_fits_its_block() -> None:
    passages = [Passage(n, "s", "d", "长" * 500, "&<>" * 200, "https://kb/" + "a" * 600, "") for n in range(1, 40)]
    assert len(render.format_source_list(passages, [], "zh")) <= render.CONTEXT_LIMIT


def test_a_citation_before_a_colon_is_a_link() -> None:
    renderer = render.MarkdownRenderer({1: "https://kb"})
    assert renderer.feed("The limits [1]:\n") == "The limits [\\[1\\]](https://kb):\n"


def test_notification_text_is_plain_and_short() -> None:
    markdown = "## Head\n**Bold** [\\[1\\]](https://kb) [docs](https://x) & more"
    assert render.make_fallback_text(markdown) == "Head\n*Bold* [1] docs &amp; more"
    table = "| a | b |\n|:--|---|\n| 1 | x [\\[2\\]](https://kb) |\n\n> Quote\n\n```python\nrun\n```\n---\nn \\[1\\]"
    assert render.make_fallback_text(table) == "a · b\n1 · x [2]\n\nQuote\n\nrun\nn [1]"
    assert len(render.make_fallback_text("&" * 4_000)) <= 3_000


HOSTILE = "\x1b[31mPlan\u202e <!everyone> <@U012AB3CD> <https://evil.example|click> https://evil.example @channel"


def find_live_parts(text: str) -> list[str]:
    """Return what Slack or a terminal would act on."""
    return re.findall(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]|<[!@#h]|@(?:channel|here|everyone)|://", text)


def test_name_of_a_document_is_inert() -> None:
    hit = Hit("1", "docs", HOSTILE, HOSTILE, HOSTILE, None, "text", 1.0, 1.0, datetime(2026, 1, 1, tzinfo=UTC))
    result = SearchResult("plan", (hit,), 0.0, answerable=True)
    shown = [
        render.escape_name(HOSTILE),
        render.format_linked_path(HOSTILE, HOSTILE, None),
        kb_texts.format_search_results(result, "en"),
    ]
    assert [find_live_parts(text) for text in shown] == [[], [], []]
    assert "Plan" in shown[0]
    assert set(find_live_parts(render.escape_markdown(HOSTILE))) == {"<h", "://"}, "Markdown of ours may have links"


def test_label_of_a_link_is_inert() -> None:
    label = render.format_linked_path(HOSTILE, "", "https://kb.example/a").removeprefix("<https://kb.example/a|")
    assert find_live_parts(label.removesuffix(">")) == []


def test_labels_of_buttons_and_modals_have_no_control_characters() -> None:
    texts = [build_button("a", HOSTILE, "b")["text"]["text"], build_plain_text(HOSTILE)["text"]]
    assert all(not {"\x1b", "\u202e"} & set(text) for text in texts)
