"""HTML that would take a parser hours is refused, and what people write is not."""

from __future__ import annotations

import pytest

from knowledge.errors import DocumentTooLarge
from knowledge.parsing.formats import markup

ORDINARY = {
    "paragraphs and items without end tags": "<ul>" + "<li>one<p>two" * 12_000,
    "rows without end tags": "<table>" + "<tr><td>a<td>b" * 12_000,
    "lines": "<p>" + "a<br>b<hr>" * 12_000,
    "drawings": "<svg>" + '<g><path d="M0"/><circle r="1"/></g>' * 10_000 + "</svg>",
    "tags in scripts and comments": "<script>x = '<div>'</script><style>a</style><!-- <div> -->" * 10_000,
    "links without end tags": "<a name=x>a" * 12_000,
    "unclosed elements in others": "<div><span>a</div>" * 12_000,
    "crossed elements": "<p><b>a<i>b</b>c</i></p>" * 12_000,
    "tables in tables": "<table><tr><td><table><tr><td>a</table></table>" * 6_000,
    "long tags": f'<p class="{"word " * 100}" {"data-a=1 " * 60}>a</p>' * 200,
}
HOSTILE = {
    "closed at the end": "<div>" * 100_000 + "</div>" * 100_000,
    "ends that a barrier stops": "<div><object></div></object>" * 60_000,
    "formatting that begins again": "".join(f"<div><i id={n}>a</div>" for n in range(60_000)),
    "ends that look through all": "<div>" * 5_000 + "</li>" * 100_000,
    "one tag": "<p " + " ".join(f"a{n}='x y'" for n in range(20_000)) + ">",
    "a tag without its end": "<p " + " ".join(f"a{n}" for n in range(20_000)),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_markup_is_parsed(name: str) -> None:
    assert len(ORDINARY[name]) > markup._SMALL_CHARACTERS
    assert sum(markup._estimate_steps(ORDINARY[name])) < markup._MAX_STEPS / 20
    assert markup.parse_markup(ORDINARY[name], "a.html").body is not None


@pytest.mark.parametrize("name", HOSTILE)
def test_markup_that_takes_too_long_is_refused(name: str) -> None:
    with pytest.raises(DocumentTooLarge, match=r"a\.html has too many elements inside each other, or attributes"):
        markup.parse_markup(HOSTILE[name], "a.html")
