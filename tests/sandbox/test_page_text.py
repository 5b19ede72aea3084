"""Test how the page renders Markdown and mrkdwn, in the browser."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from bot.slack.wire.text.render import make_fallback_text
from tests.slack_page import open_page
from tests.slack_sandbox import SandboxClient

pytestmark = pytest.mark.slow

READ = """async ([kind, text]) => {
  const prose = await import('/page/prose.js');
  const people = { U1: { real_name: 'Ada' } };
  const store = { me: 'U1', person: (id) => people[id], channels: new Map([['C1', { name: 'general' }]]) };
  const tree = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    const tag = node.tagName.toLowerCase();
    const inner = [...node.childNodes].map(tree).join('');
    const more = node.href ? '=' + node.getAttribute('href') : node.className ? '.' + node.className : '';
    return ['div', 'p'].includes(tag) ? inner : `{${tag}${more} ${inner}}`;
  };
  return tree(prose[kind](text, store));
}"""

MARKDOWN = {
    "plain text": "plain text",
    "**bold** and *em* and __b__ and _e_ and ~~s~~": "{strong bold} and {em em} and {strong b} and {em e} and {s s}",
    "**a *b* c**": "{strong a {em b} c}",
    "***both***": "{strong {em both}}",
    "**加粗**文字": "{strong 加粗}文字",
    "snake_case_name and __init__x": "snake_case_name and __init__x",
    "2 * 3 * 4 ** 5": "2 * 3 * 4 ** 5",
    "`a*b*` ``c`d``": "{code a*b*} {code c`d}",
    r"\*not em\* \[1\]": "*not em* [1]",
    "_see [[1]](https://x.y/a_b)_": "{em see {a=https://x.y/a_b 1}}",
    "[a *b*](https://x.y/z)": "{a=https://x.y/z a {em b}}",
    "[w](https://x.y/a_(b))": "{a=https://x.y/a_(b) w}",
    "[1](https://x.y) [[2]](https://x.y)": "{a=https://x.y 1} {a=https://x.y 2}",
    "[x](javascript:alert(1))": "{span x}",
    "see https://x.y/a_b, or (https://x.y).": "see {a=https://x.y/a_b https://x.y/a_b}, or ({a=https://x.y https://x.y}).",
    "https://x.y/路，好": "{a=https://x.y/路 https://x.y/路}，好",
    "<@U1> <#C1|general> <!channel>": "{span.mention you @Ada} {span.mention #general} {span.mention you @channel}",
    "a :tada: b :nope:": "a 🎉 b :nope:",
    "# T #\ntext": "{h1 T}text",
    "a\nb": "a{br }b",
    "- a\n- b\n\n- c": "{ul {li a}{li b}{li c}}",
    "- a\n  - b\n\n1. c": "{ul {li a{ul {li b}}}}{ol {li c}}",
    "3. a\n4. b": "{ol {li a}{li b}}",
    "> a\n> b\n\nc": "{blockquote a{br }b}c",
    "```py\nx = '<b>'\n```": "{pre {code x = '<b>'}}",
    "```\nopen": "{pre {code open}}",
    "| a | b |\n|---|:-:|\n| 1 | `x\\|y` |": ("{table {thead {tr {th a}{th b}}}{tbody {tr {td 1}{td {code x|y}}}}}"),
    "a | b\nc": "a | b{br }c",
    "---": "{hr }",
}

MRKDWN = {
    "*b* _e_ ~s~ `c`": "{strong b} {em e} {s s} {code c}",
    "a*b*c 2 * 3": "a*b*c 2 * 3",
    "&lt;b&gt; &amp; `&lt;i&gt;`": "<b> & {code <i>}",
    "<https://x.y?a=1&amp;b=2|go &amp; see>": "{a=https://x.y?a=1&b=2 go & see}",
    "&gt; q\nr": "{blockquote q}r",
    "```\na *b*\n```": "{pre {code a *b*}}",
    "[a](https://x.y)": "[a](https://x.y)",
}

FUZZ = """async () => {
  const prose = await import('/page/prose.js');
  const store = { me: 'x', person: () => undefined, channels: new Map() };
  const parts = ['[', '![', '[[', '*', '**', '_', '__', '`', '~~', '<', '<@', '|', '|-', '- ', '> ', '# ',
    ':', 'a_',
    '*a', '**a ', '[a](', '[a](b', '(', '\\\\', '\\\\[', 'http://', '\\n', '\\n- ', '\\n  - ', '\\n|a|b', '1. ', '`a',
    '[a]',    '][', '*a* ', '_a', '<a|', '&lt;', '[x](y "', '好_', '```', '\\n```', ' '];
  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const wrong = [];
  const read = (text) => {
    for (const kind of ['markdown', 'mrkdwn']) {
      try { prose[kind](text, store); } catch (error) { wrong.push([kind, text.slice(0, 60), String(error)]); }
    }
  };
  parts.forEach((part) => read(part.repeat(Math.ceil(12000 / part.length)) + 'x'));
  const mixture = () => Array.from({ length: 1 + random(60) }, () => parts[random(parts.length)]).join('');
  for (let n = 0; n < 1500; n += 1) read(mixture());
  return wrong;
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def page(box: SandboxClient, browser: Browser) -> Page:
    """Open the page, for its modules."""
    return await open_page(browser, box.base_url)


async def read(page: Page, kind: str, texts: dict[str, str]) -> dict[str, Any]:
    """Return what each text becomes, where that is not what is expected."""
    found = {text: await page.evaluate(READ, [kind, text]) for text in texts}
    return {text: tree for text, tree in found.items() if tree != texts[text]}


async def test_markdown_and_mrkdwn(page: Page) -> None:
    """Each construct becomes its element; other text stays text."""
    assert await read(page, "markdown", MARKDOWN) == {}
    assert await read(page, "mrkdwn", MRKDWN) == {}


async def test_no_text_can_stall_or_break_the_page(page: Page) -> None:
    """Long runs of every mark, and random mixtures, are read without an error and within the test's time."""
    assert await page.evaluate(FUZZ) == []


PREVIEW = """async (message) => {
  const { plainText } = await import('/page/blocks.js');
  return plainText(message, { me: 'U1', person: () => undefined, channels: new Map() });
}"""
_PASSAGE = "http://127.0.0.1:1/files/a_b.md#x_y"
PREVIEWS = {
    rf"Take [\[11\]]({_PASSAGE}).": "Take [11].",
    rf"_ℹ️ [\[11\]]({_PASSAGE})_ **[\[2\]]({_PASSAGE})**": "ℹ️ [11] [2]",
    rf"> - a [\[11\]]({_PASSAGE})": "a [11]",
    f"| a | b |\n|---|---|\n| 1 | [\\[11\\]]({_PASSAGE}) |": "a b 1 [11]",
}
_LINK = {"type": "link", "url": _PASSAGE, "text": "[11]"}
_CELL = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [_LINK]}]}
TABLE = {"type": "table", "rows": [[{"type": "raw_text", "text": "Limit"}], [_CELL]]}


async def test_preview_of_a_thread_is_text(page: Page) -> None:
    """No Markdown source, also where Slack would show the message's text in place of its blocks."""
    for markdown, expected in PREVIEWS.items():
        block = {"type": "markdown", "text": markdown}
        assert await page.evaluate(PREVIEW, {"text": markdown, "blocks": [block]}) == expected
        assert "](" not in await page.evaluate(PREVIEW, {"text": make_fallback_text(markdown)})
    assert await page.evaluate(PREVIEW, {"text": "", "blocks": [TABLE]}) == "Limit [11]"
