"""Hidden parts of a page are not read, wherever they are."""

from __future__ import annotations

import pytest

from knowledge.parsing.formats.web_page import parse_html


def text_of(body: str) -> str:
    document = parse_html(f"<body>{body}<p>In sight.</p></body>".encode(), "page.html")
    return "\n".join(
        [*(" ".join(part.headings) for part in document.sections), *(part.text for part in document.sections)]
    )


@pytest.mark.parametrize(
    "style",
    [
        "display:none", "DISPLAY : NONE !important", "visibility:hidden", "color:red;opacity:0", "opacity: 0.0;",
        "font-size:0", "font-size: 0px", "position:absolute;left:-9999px", "text-indent:-10000px",
    ],
)  # fmt: skip
@pytest.mark.parametrize("tag", ["p", "h2", "pre", "span", "table"])
def test_elements_hidden_by_a_style_are_dropped(style: str, tag: str) -> None:
    inner = "<tr><td>secret</td><td>x</td></tr>" if tag == "table" else "secret"
    assert "secret" not in text_of(f'<div><{tag} style="{style}">{inner}</{tag}> rest</div>')


@pytest.mark.parametrize("style", ["opacity:0.5", "font-size:0.8em", "left:-20px", "color:#fff", "display:block"])
def test_visible_elements_with_a_style_stay(style: str) -> None:
    assert "seen" in text_of(f'<p style="{style}">seen</p>')


@pytest.mark.parametrize(
    "body",
    [
        "<h2>Title <b hidden>secret</b></h2>",
        "<pre>code<i aria-hidden=true>secret</i></pre>",
        "<table><tr><td>a<u style='display:none'>secret</u></td><td>b</td></tr></table>",
        "<div hidden><p hidden>secret<span style='opacity:0'>secret</span></p></div>" * 3,
        "<div hidden>" * 200 + "secret" + "</div>" * 200,
    ],
)
def test_hidden_parts_of_whole_blocks_are_dropped(body: str) -> None:
    assert "secret" not in text_of(body)
    assert "In sight." in text_of(body)
