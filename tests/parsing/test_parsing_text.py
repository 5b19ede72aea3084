"""Markdown, HTML, text and tables, byte for byte as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import DocumentEncrypted, ParseError, UnsupportedFormat
from knowledge.interfaces import Document, Section
from knowledge.parsing.decoding import decode_text, looks_binary
from knowledge.parsing.file_types import Format, detect_format
from knowledge.parsing.formats.markdown import parse_markdown, parse_text, slugify_heading
from knowledge.parsing.formats.tables import parse_table
from knowledge.parsing.formats.web_page import parse_html


def paths(document: Document) -> list[tuple[str, ...]]:
    return [section.headings for section in document.sections]


def everything(document: Document) -> str:
    return "\n".join(section.text for section in document.sections)


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────────

HANDBOOK = """\
---
title: "Handbook"
description: All rules in one place.
---

# Handbook

Welcome to [the team](https://example.com/team), read [more](more.md).

## Setup

```bash
# not a heading
make run
```

| Name | Limit |
|------|-------|
| disk | 5 GB  |

## Setup

1. first
2. second
   - deep

### Über uns & “you”

你好 **世界** ![diagram](d.png)

## Own {#custom}

text

## Empty at the end
"""


def test_markdown_keeps_headings_code_tables_and_anchors() -> None:
    document = parse_markdown(HANDBOOK.encode(), "docs/handbook.md")
    assert document.title == "Handbook"
    assert document.sections == (
        Section((), "All rules in one place."),
        Section((), "Welcome to [the team](https://example.com/team), read more.", None, "handbook"),
        Section(
            ("Setup",),
            "```bash\n# not a heading\nmake run\n```\n\n| Name | Limit |\n| --- | --- |\n| disk | 5 GB |",
            None,
            "setup",
        ),
        Section(("Setup",), "1. first\n2. second\n   - deep", None, "setup-1"),
        Section(("Setup", "Über uns & “you”"), "你好 世界 diagram", None, "über-uns--you"),
        Section(("Own",), "text", None, "custom"),
        Section(("Empty at the end",), "Empty at the end", None, "empty-at-the-end"),
    )


@pytest.mark.parametrize(("written", "shown"), [("lead trail  ", ["lead trail\n\nText."]), (" ", ["Text."])])
def test_a_description_has_no_blanks_at_its_end(written: str, shown: list[str]) -> None:
    document = parse_markdown(f'---\ndescription: "{written}"\n---\n\nText.\n'.encode(), "a.md")
    assert [section.text for section in document.sections] == shown


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Hello World", "hello-world"),
        ("GET /v1/route/{route_id}", "get-v1routeroute_id"),
        ("What's new?", "whats-new"),
        ("配置，部署", "配置部署"),
        ("a - b", "a---b"),
    ],
)
def test_anchors_are_githubs(heading: str, anchor: str) -> None:
    assert slugify_heading(heading) == anchor


def test_markdown_title_is_the_first_heading_else_the_file() -> None:
    assert parse_markdown(b"# One\n\ntext\n\n# Two\n\nmore", "a/b.md").title == "One"
    assert paths(parse_markdown(b"# One\n\ntext\n\n# Two\n\nmore", "a/b.md")) == [(), ("Two",)]
    assert parse_markdown(b"text first\n\n# One\n\nmore", "a/release-notes.md").title == "release notes"


def test_markdown_drops_comments_imports_and_markup_but_not_text() -> None:
    source = (
        "<!--\nlicence\n-->\n\nimport X from 'y';\n\n:::note\nread this\n:::\n\n"
        "<details><summary>More</summary>inside</details>"
    )
    text = everything(parse_markdown(source.encode(), "a.mdx"))
    assert "licence" not in text
    assert "import" not in text
    assert ":::" not in text
    for kept in ("read this", "More", "inside"):
        assert kept in text


def test_a_line_too_long_for_a_parser_keeps_its_text_and_headings() -> None:
    source = "# Title\n\n" + "*a " * 30_000 + "\n\n```\n# no heading\n```\n\n## Part\n\nend"
    document = parse_markdown(source.encode(), "a.md")
    assert document.title == "Title"
    assert paths(document) == [(), ("Part",)]
    assert "# no heading" in document.sections[0].text


@given(st.text(max_size=400))
def test_any_text_is_markdown(text: str) -> None:
    document = parse_markdown(text.encode("utf-8", "replace"), "a.md")
    assert document.title


@given(st.lists(st.sampled_from(["one", "two words", "and three words", "中文"]), min_size=1, max_size=9))
def test_every_word_of_a_markdown_paragraph_is_kept(paragraphs: list[str]) -> None:
    document = parse_markdown("\n\n".join(paragraphs).encode(), "a.md")
    assert everything(document).split() == " ".join(paragraphs).split()


# ── HTML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = """\
<!doctype html><html><head><meta charset="utf-8"><title>Install · Product docs</title><style>p{}</style></head><body>
<nav>Home Docs</nav><header>Banner</header>
<main>
<h1 id="install">Install<a href="#install">¶</a></h1>
<p>Run <b>pip</b>
install <code>product</code> &amp; wait. Then there is a good deal to read about
all of the options that follow here.</p>
<div hidden>secret</div><div style="display: none">gone</div><p aria-hidden="true">icon</p>
<section id="steps"><h2>Steps</h2><ol><li>one</li><li><p>two</p><ul><li>deep</li></ul></li></ol>
<pre><code>first
  second</code></pre>
<table><tr><th>Key</th><th>Value</th></tr><tr><td>a</td><td>1 | 2</td></tr></table></section>
<h2><a name="old"></a>Old links</h2>line<br>break <img src="x" alt="a chart">
<script>alert("no")</script><noscript>no</noscript>
</main><footer>Imprint</footer></body></html>
"""


def test_html_gives_the_main_text_under_its_headings() -> None:
    document = parse_html(PAGE.encode(), "install.html")
    assert document.title == "Install"
    assert paths(document) == [(), ("Steps",), ("Old links",)]
    assert [section.anchor for section in document.sections] == ["install", "steps", "old"]
    intro, steps, old = (section.text for section in document.sections)
    assert intro.startswith("Run pip install `product` & wait.")
    assert "```\nfirst\n  second\n```" in steps
    assert "| Key | Value |\n| --- | --- |\n| a | 1 \\| 2 |" in steps
    assert steps.startswith("- one\n- two\n- deep\n\n```")
    assert old == "line\nbreak a chart"
    for dropped in ("Home", "Banner", "secret", "gone", "icon", "alert", "Imprint", "no"):
        assert dropped not in everything(document).replace("\n", " ").split()


@pytest.mark.parametrize(
    ("rows", "table"),
    [
        (
            "<tr><th>Team<th>Port<th>Use<tr><td rowspan=2>A<td>1<td>x<tr><td>2<td>y<tr><td colspan=2>both<td>z",
            "| Team | Port | Use |\n| --- | --- | --- |\n| A | 1 | x |\n| A | 2 | y |\n| both |  | z |",
        ),
        (
            "<tr><td>Team<td rowspan='1000000'>Port<td colspan='many'>Use<tr><td>A<td colspan=0>x",
            "| Team | Port | Use |\n| --- | --- | --- |\n| A | Port | x |",
        ),
        ("<tr><th>Name<td>Ada<tr><th>Born<td>1815", "|  |  |\n| --- | --- |\n| Name | Ada |\n| Born | 1815 |"),
        ("<tr><th><th>Free<tr><th>Storage<td>1 GB", "|  | Free |\n| --- | --- |\n| Storage | 1 GB |"),
    ],
)
def test_html_cells_stand_under_the_names_of_their_columns(rows: str, table: str) -> None:
    """A cell over several rows or columns does not move the next ones; names beside the values are no head."""
    assert everything(parse_html(f"<table>{rows}</table>".encode(), "a.html")) == table


def test_html_without_main_drops_navigation() -> None:
    document = parse_html(b"<title>T</title><nav>Menu</nav><p>Body</p><footer>Foot</footer>", "x.html")
    assert (document.title, everything(document)) == ("T", "Body")


def test_html_charset_is_read_from_the_page() -> None:
    page = '<meta charset="gb2312"><title>指南</title><p>服务器备份</p>'
    document = parse_html(page.encode("gb18030"), "x.html")
    assert (document.title, everything(document)) == ("指南", "服务器备份")


def test_deeply_nested_html_is_parsed() -> None:
    deep = parse_html(("<div>" * 5_000 + "bottom").encode(), "x.html")
    assert everything(deep) == "bottom"


@given(st.text(alphabet=st.sampled_from("<>/apdivh1tbl=\"' &;x中\n!-"), max_size=300))
def test_any_text_is_html(text: str) -> None:
    assert parse_html(text.encode(), "a.html").title


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_have_their_columns_names(delimiter: str) -> None:
    rows = [["Name", "Born", "City"], ["Ada", "1815", "London"], ["Grace", "", "New York"]]
    data = "\r\n".join(delimiter.join(row) for row in rows).encode("utf-8-sig")
    document = parse_table(data, "people/famous_people.csv")
    assert document.title == "famous people"
    assert everything(document) == "+ Name: Ada; Born: 1815; City: London\n+ Name: Grace; City: New York"


def test_quoted_cells_and_captions() -> None:
    data = b'Report 2024,,\n"Name","Note, long",\nAda,"two\nlines",\n'
    assert everything(parse_table(data, "a.csv")) == "Report 2024\n+ Name: Ada; Note, long: two lines"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Balance sheet\n(in thousands)\n,2019,2018\nCash,5,6\n",
         "Balance sheet\n(in thousands)\n+ (in thousands): Cash; 2019: 5; 2018: 6"),
        ("€m,2019,2018\nCash,5,6\n", "+ €m: Cash; 2019: 5; 2018: 6"),
        (",Group,,Parent,\n,2019,2018,2019,2018\nCash,5,6,1,2\n",
         "+ Cash; Group 2019: 5; Group 2018: 6; Parent 2019: 1; Parent 2018: 2"),
        ("2019,5\n2018,6\n", "+ 2019; 5\n+ 2018; 6"),
        ("Ada,1990\nBo,1992\n", "+ Ada; 1990\n+ Bo; 1992"),
    ],
)  # fmt: skip
def test_sheet_names_its_figures_by_year_and_unit(data: str, text: str) -> None:
    assert everything(parse_table(data.encode(), "a.csv")) == text


def test_a_table_without_header_keeps_its_values() -> None:
    assert everything(parse_table(b"1,2\n3,4\n", "a.csv")) == "+ 1; 2\n+ 3; 4"


def test_rows_of_one_cell_are_rows_if_no_longer_row_follows() -> None:
    assert everything(parse_table(b"Holiday\nNew Year\nEaster\n", "a.csv")) == "+ Holiday\n+ New Year\n+ Easter"


def test_a_row_longer_than_the_header_keeps_its_values() -> None:
    assert everything(parse_table(b"A,B\n1,2,3\n", "a.csv")) == "+ A: 1; B: 2; 3"


# ── Text and encodings ───────────────────────────────────────────────────────────────────────────────────────────────

CHINESE = "服务器每天凌晨两点自动备份到对象存储。员工每年有二十五天带薪休假。"
JAPANESE = "サーバーは毎日午前2時に自動的にバックアップされます。社員は年に二十五日の有給休暇があります。"
KOREAN = "서버는 매일 새벽 두 시에 자동으로 백업됩니다. 직원은 매년 이십오 일의 유급 휴가를 받습니다."
FRENCH = "Le café est fermé à Noël. Les employés ont droit à vingt-cinq jours de congé."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"), (CHINESE, "utf-8-sig"), (CHINESE, "utf-16"), (CHINESE, "utf-32"), (CHINESE, "gb18030"),
        ("你好，世界", "gb18030"), (JAPANESE, "shift_jis"), (JAPANESE, "euc_jp"), (KOREAN, "euc_kr"),
        (FRENCH, "cp1252"), ("Plain ASCII\r\nin two lines", "utf-16-le"),
        ("Сервер ежедневно в два часа ночи автоматически сохраняется.", "cp1251"),
    ],
)  # fmt: skip
def test_encodings_are_recognised(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    assert not looks_binary(data)
    assert decode_text(data) == text.replace("\r\n", "\n")


def test_a_declared_charset_goes_first() -> None:
    assert decode_text("é".encode("latin-1"), media_type="text/plain; charset=ISO-8859-1") == "é"
    assert decode_text(b"plain", media_type="text/plain; charset=rot13") == "plain"
    assert decode_text(b"plain", media_type="text/plain; charset=nonsense") == "plain"


def test_damaged_utf8_keeps_what_is_whole() -> None:
    damaged = (CHINESE * 3).encode() + b"\xff\xfe broken \xe6\x9c"
    assert decode_text(damaged).startswith(CHINESE * 3)
    assert "broken" in decode_text(damaged)


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded(data: bytes) -> None:
    text = decode_text(data)
    assert text.encode("utf-8").decode() == text
    assert "\0" not in text
    assert "\r" not in text


def test_text_is_paragraphs_under_the_files_name() -> None:
    document = parse_text(b"one\ntwo\n\n \n\nthree  \n", "notes/my-notes.txt")
    assert document == Document("my notes", (Section((), "one\ntwo\n\nthree"),))


def test_an_empty_text_has_no_sections() -> None:
    assert parse_text(b" \n\n", "empty.txt").sections == ()


# ── Which format ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "media_type", "data", "expected"),
    [
        ("a.md", None, b"# x", Format.MARKDOWN),
        ("README", None, b"plain", Format.TEXT),
        ("page", None, b"\n <!DOCTYPE html><p>", Format.HTML),
        ("page", "text/html; charset=utf-8", b"<p>x", Format.HTML),
        ("a.TSV", None, b"a\tb", Format.TABLE),
        ("main.py", None, b"print()", Format.TEXT),
        ("download.bin", None, b"%PDF-1.7\n\0", Format.PDF),
        ("renamed.txt", None, b"PK\x03\x04 word/document.xml", Format.DOCX),
        ("utf16.txt", None, "中文".encode("utf-16"), Format.TEXT),
    ],
)
def test_the_format_follows_content_then_type_then_name(
    name: str, media_type: str | None, data: bytes, expected: Format
) -> None:
    assert detect_format(name, media_type, data) is expected


@pytest.mark.parametrize(
    ("name", "data", "error", "step"),
    [
        ("logo.png", b"\x89PNG\r\n\0\0", UnsupportedFormat, "Save it as PDF, DOCX or text"),
        ("notes.txt", b"abc\0def\0\0\0\0", UnsupportedFormat, "exclude it"),
        ("old.doc", bytes.fromhex("d0cf11e0a1b11ae1"), UnsupportedFormat, "Save it as DOCX"),
        (
            "secret.xlsx",
            bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le"),
            DocumentEncrypted,
            "Save a copy without one",
        ),
        ("letter.rtf", rb"{\rtf1\ansi Dear all}", UnsupportedFormat, "Save it as PDF, DOCX or text"),
        ("book.epub", b"PK\x03\x04 stuff", UnsupportedFormat, "Save it as PDF, DOCX or text"),
        ("all.zip", b"PK\x03\x04 stuff", UnsupportedFormat, "Unpack it"),
        ("cut.pdf", b"nothing of the kind", ParseError, "save it again"),
        ("cut.docx", b"", ParseError, "save it again"),
    ],
)
def test_unsupported_formats_name_the_next_step(name: str, data: bytes, error: type[ParseError], step: str) -> None:
    with pytest.raises(error) as caught:
        detect_format(name, None, data)
    assert name in str(caught.value)
    assert step in str(caught.value)
