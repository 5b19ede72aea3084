"""Test the page in a real browser: what a newcomer sees and does."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from tests.sandbox.conftest import Listener
from tests.services import free_ports
from tests.slack_page import open_page, send_message
from tests.slack_sandbox import FEEDBACK_BUTTONS, TEAM_ID, SandboxClient, open_sandbox

pytestmark = pytest.mark.slow

GENERAL = "C0GENERAL1"
ADA = "U0ADA00001"
Open = Callable[..., Awaitable[Page]]


@pytest.fixture
def look(browser: Browser, box: SandboxClient) -> Iterator[Open]:
    """Open the page; a script error, a refused policy or a request to anywhere else fails the test."""
    wrong: list[str] = []

    async def opened(width: int = 1200, height: int = 800) -> Page:
        return await open_page(browser, box.base_url, wrong=wrong, width=width, height=height)

    yield opened
    assert not wrong


async def test_a_suggestion_becomes_a_streamed_answer(box: SandboxClient, client: AsyncWebClient, look: Open) -> None:
    """One click asks; the thread opens; status, text and citation appear as they come."""
    await box.put_status(engine={"state": "starting", "progress": 0.4}, suggestions=["How?", "为什么？", "When?"])
    page = await look()
    await expect(page.locator(".strip progress")).to_have_js_property("value", 0.4)
    await expect(page.locator(".chip")).to_have_count(3)
    await page.locator(".chip").nth(1).click()
    question = await box.wait_for_message(lambda m: "为什么" in m["text"])
    root = question["ts"]
    await client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="processing")
    await expect(page.locator("#thread .working")).to_contain_text("Kvasir is working")
    recipient = {"recipient_user_id": ADA, "recipient_team_id": TEAM_ID}
    stream = await client.chat_startStream(channel=GENERAL, thread_ts=root, markdown_text="因为**这样**", **recipient)
    answer = page.locator(f"#thread [data-ts='{stream['ts']}']")
    await expect(answer).to_contain_text("因为这样")
    await expect(answer.locator(".caret")).to_be_attached()
    more = r" [\[1\]](https://example.com/a) and [[2]](file:///srv/b%20c.md)."
    await client.chat_appendStream(channel=GENERAL, ts=stream["ts"], markdown_text=more)
    await expect(answer.locator("a.cite")).to_have_text("1")
    await expect(answer.locator("a.cite")).to_have_attribute("rel", re.compile("noopener"))
    await expect(answer.locator(".path")).to_have_attribute("title", "/srv/b c.md")
    await client.chat_stopStream(channel=GENERAL, ts=stream["ts"], session_status="active")
    await expect(answer.locator(".caret")).to_have_count(0)
    await expect(page.locator("#thread .working")).to_have_count(0)
    await expect(page.locator("#announcer")).to_have_text("Kvasir: 因为这样 [1] and [2].")
    await expect(page.locator("#log .peek")).to_have_text("Kvasir: 因为这样 [1] and [2].")
    await box.put_status(engine={"state": "ready", "model": "R1", "small_model": True}, suggestions=[])
    await expect(page.locator(".strip")).to_contain_text("Engine ready")
    await expect(page.locator(".strip progress")).to_have_count(0)


async def test_talking_editing_deleting_by_keyboard(box: SandboxClient, look: Open) -> None:
    """Mention from the list, line break, edit the last one with the up arrow, delete."""
    page = await look()
    field = page.locator("#composer-input")
    await field.press_sequentially("hi @ch")
    await expect(page.locator(".choices li")).to_have_count(1)
    await field.press("Enter")
    await expect(field).to_have_value("hi @chen ")
    await field.press_sequentially("one")
    await field.press("Shift+Enter")
    await field.press_sequentially("two")
    await field.press("Enter")
    said = await box.wait_for_message(lambda m: "two" in m["text"])
    assert said["text"] == "hi <@U0CHEN0003> one\ntwo"
    await expect(page.locator(".message .mention")).to_have_text("@陈静 Chen Jing")
    await field.press("ArrowUp")
    editor = page.locator(".edit textarea")
    await expect(editor).to_have_value("hi @chen one\ntwo")
    await editor.fill("changed")
    await editor.press("Enter")
    await expect(page.locator(".message .edited")).to_be_attached()
    assert (await box.messages())[0]["text"] == "changed"
    page.on("dialog", lambda dialog: dialog.accept())
    await page.locator("#log").focus()
    await page.keyboard.press("ArrowUp")
    await expect(page.locator(".message")).to_be_focused()
    for _ in range(5):
        await page.keyboard.press("Tab")
    await expect(page.get_by_label("Delete message")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".message")).to_have_count(0)


async def test_markup_in_a_message_is_text(client: AsyncWebClient, look: Open) -> None:
    """No message becomes an element, a script or a link of another kind."""
    evil = "<img src=x onerror=alert(1)> <b>bold</b> [x](javascript:alert(1)) javascript:alert(1)"
    page = await look()
    await send_message(page, evil)
    await expect(page.locator(".message")).to_have_count(1)  # a browser sends when it likes
    await client.chat_postMessage(channel=GENERAL, markdown_text=evil)
    text = {"type": "mrkdwn", "text": "<javascript:alert(1)|click> &lt;script&gt;alert(1)&lt;/script&gt;"}
    await client.chat_postMessage(channel=GENERAL, text="x", blocks=[{"type": "section", "text": text}])
    await expect(page.locator(".message")).to_have_count(3)
    await expect(page.locator("#log img:not(.avatar img), #log b, #log script, #log a")).to_have_count(0)
    await expect(page.locator(".message").first).to_contain_text("<img src=x onerror=alert(1)>")
    await expect(page.locator(".message").last).to_contain_text("<script>alert(1)</script>")


async def test_commands_buttons_and_ephemeral_answers(look: Open, listener: Listener) -> None:
    """Only the person who typed sees a command's answer; a press reaches the app with its person."""
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "value": "1"}
    answer = {"text": "Sources", "blocks": [{"type": "actions", "elements": [button]}]}
    listener.answers = lambda request: answer if request.type == "slash_commands" else None
    page = await look()
    await page.locator("#composer-input").press_sequentially("/kb so")
    await expect(page.locator(".choices li")).to_contain_text(["/kb sources"])
    await send_message(page, "/kb sources")
    ephemeral = page.locator(".message.ephemeral")
    await expect(ephemeral).to_contain_text("Only visible to you")
    await ephemeral.get_by_role("button", name="Go").click()
    pressed = await listener.wait(lambda request: request.type == "interactive")
    payload = pressed[0].payload
    assert (payload["user"]["username"], payload["actions"][0]["value"]) == ("ada", "1")
    await ephemeral.get_by_role("button", name="Dismiss").click()
    await expect(ephemeral).to_have_count(0)
    await expect(page.locator(".strip")).to_contain_text("Bot connected")


async def test_a_menu_offers_the_channels_of_the_person(client: AsyncWebClient, look: Open, listener: Listener) -> None:
    menu = {
        "type": "conversations_select",
        "action_id": "for",
        "placeholder": {"type": "plain_text", "text": "The members of …"},
        "filter": {"include": ["public", "private"]},
    }
    page = await look()
    await client.chat_postMessage(channel=GENERAL, text="x", blocks=[{"type": "actions", "elements": [menu]}])
    shown = page.get_by_label("The members of …")
    await expect(shown.locator("option").first).to_have_text("The members of …")
    await expect(shown).not_to_contain_text("Kvasir")
    await shown.select_option("#general")
    pressed = await listener.wait(lambda request: request.type == "interactive")
    action = pressed[0].payload["actions"][0]
    assert (action["type"], action["selected_conversation"]) == ("conversations_select", GENERAL)


async def test_another_person_sees_another_workspace(
    box: SandboxClient, client: AsyncWebClient, look: Open, listener: Listener
) -> None:
    """Each person sees their own conversations, unread counts and Home."""
    await box.say("ada", "@bo", "between us")
    view = {"type": "home", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "你好, Chen"}}]}
    await client.views_publish(user_id="U0CHEN0003", view=view)
    page = await look()
    await page.locator("#you-are").select_option(label="陈静 Chen Jing")
    await expect(page.locator("#you-are")).to_have_value("U0CHEN0003")
    await expect(page.get_by_text("between us")).to_have_count(0)
    await box.say("bo", "@chen", "lunch?")
    row = page.locator(".room", has_text="Bo Okafor")
    await expect(row.locator(".badge")).to_have_text("1")
    await row.click()
    await expect(row.locator(".badge")).to_have_count(0)
    await expect(page.locator(".message")).to_contain_text("lunch?")
    await page.locator(".room", has=page.get_by_text("Kvasir", exact=True)).click()
    opened = await listener.wait(lambda request: request.payload["event"]["type"] == "app_home_opened")
    assert opened[0].payload["event"]["tab"] == "messages"
    await page.get_by_role("tab", name="Home").click()
    await expect(page.locator(".block-header")).to_have_text("你好, Chen")
    await page.reload()
    await expect(page.locator("#you-are")).to_have_value("U0CHEN0003")

    # A link to a message shows it here, to the same person.
    lunch = await box.say("bo", "@chen", "or at two?")
    room = (await box.messages("@chen", person="bo"))[0]["channel"]
    link = f"{box.base_url}/archives/{room}/p{lunch.replace('.', '')}"
    await client.chat_postEphemeral(channel=GENERAL, user="U0CHEN0003", text=f"read <{link}|Bo's words>")
    await page.locator(".room", has_text="general").click()
    await page.get_by_role("link", name="Bo's words").click()
    await expect(page.locator("#thread-log .message")).to_contain_text("or at two?")
    await expect(page.locator("#you-are")).to_have_value("U0CHEN0003")
    assert len(page.context.pages) == 1


async def test_reactions_threads_and_the_stop_button(
    box: SandboxClient, client: AsyncWebClient, look: Open, listener: Listener
) -> None:
    """A follow-up goes to its thread; Stop tells the app which thread; a stopped stream says so."""
    page = await look()
    await send_message(page, "@Kvasir tell me a story")
    root = (await box.wait_for_message(lambda m: "story" in m["text"]))["ts"]
    await client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="processing")
    recipient = {"recipient_user_id": ADA, "recipient_team_id": TEAM_ID}
    await client.chat_startStream(channel=GENERAL, thread_ts=root, markdown_text="Once", **recipient)
    await page.locator("#thread").get_by_role("button", name="Stop").click()
    await listener.wait(lambda request: request.payload.get("event", {}).get("type") == "agent_session_stopped")
    await expect(page.locator("#thread .ended")).to_have_text("Stopped.")
    await send_message(page, "and then?", thread=True)
    reply = await box.wait_for_message(lambda m: m["text"] == "and then?")
    assert reply["thread_ts"] == root
    await expect(page.locator("#log .replies .count")).to_have_text("2 replies")
    await page.keyboard.press("Escape")
    await expect(page.locator("#thread")).to_be_hidden()
    await client.reactions_add(channel=GENERAL, timestamp=root, name="eyes")
    await page.locator("#log .reaction").click()
    await expect(page.locator("#log .reaction")).to_have_attribute("aria-pressed", "true")
    assert len((await box.messages())[0]["reactions"][0]["users"]) == 2


async def test_person_may_choose_a_reaction(box: SandboxClient, look: Open, listener: Listener) -> None:
    page = await look()
    await send_message(page, "quiet, please")
    await page.locator("#log .message").hover()
    await page.get_by_role("button", name="Add a reaction").click()
    await page.get_by_role("button", name="mute").click()
    await expect(page.locator("#log .reaction")).to_contain_text("🔇")
    await listener.wait(lambda request: request.payload.get("event", {}).get("reaction") == "mute")
    assert (await box.messages())[0]["reactions"] == [{"name": "mute", "users": [ADA], "count": 1}]


async def test_what_is_entered_in_a_modal_stays_when_the_app_updates_it(
    client: AsyncWebClient, look: Open, listener: Listener
) -> None:
    page = await look()
    await send_message(page, "/kb help")
    trigger = (await listener.wait(lambda request: request.type == "slash_commands"))[0].payload["trigger_id"]
    title = {"type": "plain_text", "text": "Ask"}

    def build(*names: str) -> dict[str, Any]:
        element = {"type": "plain_text_input", "initial_value": "old"}
        fields = [
            {"type": "input", "block_id": name, "label": title, "element": element | {"action_id": name}}
            for name in names
        ]
        return {"type": "modal", "callback_id": "ask", "title": title, "submit": title, "blocks": fields}

    opened = await client.views_open(trigger_id=trigger, view=build("first", "second"))
    await page.locator("dialog input").nth(1).fill("entered")
    await client.views_update(view_id=opened["view"]["id"], view=build("first", "third", "second"))
    await expect(page.locator("dialog input")).to_have_count(3)
    assert [await field.input_value() for field in await page.locator("dialog input").all()] == [
        "old",
        "old",
        "entered",
    ]
    await expect(page.locator("dialog input").nth(2)).to_be_focused()


async def test_on_a_narrow_screen(box: SandboxClient, look: Open) -> None:
    """The conversations are behind a button, a thread covers the channel, nothing needs sideways scrolling."""
    ts = await box.say("bo", "#general", "root")
    await box.say("ada", "#general", "reply " + "x" * 300, ts)
    page = await look(380, 700)
    await expect(page.locator(".sidebar")).not_to_be_in_viewport()
    await page.get_by_label("Conversations", exact=True).first.click()
    await expect(page.locator(".sidebar")).to_be_in_viewport()
    await page.locator(".room", has_text="general").click()
    await expect(page.locator(".sidebar")).not_to_be_in_viewport()
    await page.locator(".replies").click()
    await expect(page.locator("#thread")).to_be_in_viewport(ratio=1)
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_a_long_answer_is_read_from_its_top(box: SandboxClient, client: AsyncWebClient, look: Open) -> None:
    """An answer longer than the pane stays at its beginning while it grows; the reader's scrolling is kept."""
    page = await look()
    await send_message(page, "@Kvasir a long one")
    root = (await box.wait_for_message(lambda m: "long" in m["text"]))["ts"]
    recipient = {"recipient_user_id": ADA, "recipient_team_id": TEAM_ID}
    stream = await client.chat_startStream(channel=GENERAL, thread_ts=root, markdown_text="# Top\n\n", **recipient)
    for n in range(60):
        await client.chat_appendStream(channel=GENERAL, ts=stream["ts"], markdown_text=f"Line {n}.\n\n")
    await expect(page.locator("#thread")).to_contain_text("Line 59.")
    await expect(page.locator("#thread h1", has_text="Top")).to_be_in_viewport()
    await page.locator("#thread-log").evaluate("element => (element.scrollTop = element.scrollHeight)")
    await expect(page.get_by_text("Line 59.")).to_be_in_viewport()


async def test_every_block_is_drawn(client: AsyncWebClient, look: Open) -> None:
    """The page draws every block that the app may post."""
    plain = {"type": "plain_text", "text": "Plain"}
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": "rich", "style": {"bold": True}}]}
    cell = {"type": "raw_text", "text": "cell"}
    task = {"type": "task_card", "task_id": "1", "title": "Task", "status": "in_progress", "output": "Output"}
    blocks = [
        {"type": "header", "text": plain},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "*strong* _em_ ~gone~ `code` <https://a.b|link>\n>quote"},
        },
        {"type": "section", "fields": [plain, plain]},
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "context"}]},
        {
            "type": "markdown",
            "text": "# Title\n\n- a\n  - b\n\n1. c\n\n> q\n\n```py\nx = 1\n```\n\n|h|\n|-|\n|d|\n\n---",
        },
        {"type": "table", "rows": [[cell, cell], [cell, {"type": "rich_text", "elements": [section]}]]},
        {
            "type": "rich_text",
            "elements": [section, {"type": "rich_text_list", "style": "bullet", "elements": [section]}],
        },
        task,
        {"type": "plan", "title": "Plan", "tasks": [task | {"task_id": "2", "status": "error"}]},
        {"type": "context_actions", "elements": [FEEDBACK_BUTTONS]},
    ]
    page = await look()
    await client.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)
    message = page.locator(".message")
    places = [
        "h3.block-header",
        "strong",
        "em",
        "s",
        "code",
        "a",
        "blockquote",
        ".block-fields > *",
        "hr.block-divider",
    ]
    places += [".block-context", ".markdown h1", "ul ul", "ol", "pre code", "table", ".card .task", ".card-title"]
    places += [".rich strong", ".state.error", ".block-context-actions button"]
    for place in places:
        await expect(message.locator(place).first, place).to_be_visible()
    await expect(message.locator("pre code")).to_have_text("x = 1")
    await expect(message.locator("table")).to_have_count(2)


async def test_the_page_comes_back_after_the_workspace_restarted(tmp_path: Path, browser: Browser) -> None:
    """It connects again by itself, with a new session."""
    [port] = free_ports(1)
    async with open_sandbox(tmp_path, port=port) as box:
        page = await browser.new_page()
        await page.goto(box.base_url)
        await expect(page.locator(".room").first).to_be_visible()
    await expect(page.locator(".lost")).to_be_visible()
    async with open_sandbox(tmp_path, port=port) as box:
        await box.say("bo", "#general", "meanwhile")
        await expect(page.locator(".message")).to_contain_text("meanwhile")
        await expect(page.locator(".lost")).to_have_count(0)
        await send_message(page, "and on")
        await box.wait_for_message(lambda m: m["text"] == "and on")


async def test_the_strip_shows_running_pending_and_failed(box: SandboxClient, look: Open) -> None:
    status = {"documents": 1_320, "chunks": 9, "running": True, "progress": 0.25, "held": 30, "failed": 1}
    page = await look()
    await box.put_status(knowledge={**status, "troubles": ["wiki: 30 gone", "wiki: a.pdf: broken"]})
    knowledge = page.locator(".strip .knowledge")
    await expect(knowledge).to_contain_text("1,320 documents")
    await expect(knowledge.locator("progress")).to_have_js_property("value", 0.25)
    await expect(knowledge).to_contain_text("30 pending deletions")
    await expect(knowledge).to_contain_text("1 unreadable document")
    await expect(knowledge.locator(".pill").first).to_have_attribute("title", "wiki: 30 gone\nwiki: a.pdf: broken")
    await box.put_status(knowledge={"documents": 1, "chunks": 1, "troubles": ["wiki is stale"]})
    await expect(knowledge).to_contain_text("see /kb status")
    await box.put_status(knowledge={"documents": 1, "chunks": 1, "troubles": []})
    await expect(knowledge.locator(".pill")).to_have_count(0)
