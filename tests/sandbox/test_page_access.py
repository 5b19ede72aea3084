"""Test in a real browser that everybody can use the page: axe-core, keyboard, dark and light, a phone's width."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, expect
from slack_sdk.web.async_client import AsyncWebClient

from tests.sandbox.conftest import Listener
from tests.slack_page import list_accessibility_findings, open_page, send_message
from tests.slack_sandbox import SandboxClient

pytestmark = pytest.mark.slow

ADA = "U0ADA00001"
LABEL = {"type": "plain_text", "text": "Choose"}
OPTIONS = [{"text": {"type": "plain_text", "text": name}, "value": name.lower()} for name in ("One", "Two", "Three")]
ELEMENTS: list[dict[str, Any]] = [
    {"type": "plain_text_input", "multiline": True},
    {"type": "number_input", "is_decimal_allowed": False},
    {"type": "static_select", "options": OPTIONS, "initial_option": OPTIONS[0]},
    {"type": "multi_static_select", "options": OPTIONS},
    {"type": "radio_buttons", "options": OPTIONS},
    {"type": "checkboxes", "options": OPTIONS, "initial_options": OPTIONS[1:2]},
    {"type": "users_select"},
    {"type": "multi_conversations_select"},
    {"type": "datepicker", "initial_date": "2026-12-31"},
]
BUTTONS = [
    {"type": "button", "action_id": "one", "text": LABEL},
    {"type": "static_select", "action_id": "two", "options": OPTIONS, "placeholder": LABEL},
    {"type": "overflow", "action_id": "three", "options": OPTIONS},
]
BLOCKS: list[dict[str, Any]] = [
    {"type": "header", "text": LABEL},
    {"type": "markdown", "text": "# Title\n\n| a | b |\n|---|---|\n| 1 | `2` |\n\n[1](http://127.0.0.1/x) **bold**"},
    {"type": "actions", "elements": BUTTONS},
    {"type": "plan", "title": "Plan", "tasks": [{"task_id": "a", "title": "Search", "status": "complete"}]},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "_Sources_"}]},
]


def make_modal() -> dict[str, Any]:
    fields = [
        {
            "type": "input",
            "block_id": f"b{n}",
            "label": {"type": "plain_text", "text": f"Field {n}"},
            "hint": {"type": "plain_text", "text": "A hint."},
            "optional": n > 0,
            "element": element | {"action_id": "a"},
        }
        for n, element in enumerate(ELEMENTS)
    ]
    return {"type": "modal", "callback_id": "all", "title": LABEL, "submit": LABEL, "blocks": fields}


async def fill_workspace(box: SandboxClient, client: AsyncWebClient) -> str:
    """Post what every view shows; return the root of a thread."""
    await box.put_status(engine={"state": "starting", "progress": 0.4}, suggestions=["How?", "为什么？"])
    root = await box.say("ada", "#general", "What is in `kvasir.toml`?")
    await client.chat_postMessage(channel="C0GENERAL1", thread_ts=root, text="An answer", blocks=BLOCKS)
    await client.chat_postMessage(channel="C0GENERAL1", thread_ts=root, text="*bold* <http://127.0.0.1/x|link>")
    await client.views_publish(user_id=ADA, view={"type": "home", "blocks": BLOCKS})
    await box.control(
        "POST", "react", {"person": "ada", "channel": "#general", "ts": root, "name": "eyes", "add": True}
    )
    return root


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
async def test_no_view_has_serious_findings(
    box: SandboxClient, client: AsyncWebClient, listener: Listener, browser: Browser, scheme: Any, width: int
) -> None:
    root = await fill_workspace(box, client)
    page = await open_page(browser, box.base_url, width=width)
    await page.emulate_media(color_scheme=scheme)
    findings: dict[str, list[str]] = {}

    async def check(view: str) -> None:
        if found := await list_accessibility_findings(page):
            findings[view] = found

    await check("channel")
    if width < 820:
        await page.locator(".menu-toggle").first.click()
        await check("conversations")
        await page.locator("#main").click(position={"x": 350, "y": 300})
    await box.put_status(engine={"state": "failed", "detail": "No server answers at http://127.0.0.1:9. See `status`."})
    await expect(page.locator(".strip .note")).to_be_visible()
    await check("trouble")
    await page.evaluate(f"location.hash = '#C0GENERAL1/{root}'")
    await expect(page.locator("#thread")).to_be_visible()
    await check("thread")
    await page.locator("#thread").get_by_role("button", name="Shortcuts").click()
    await check("menu")
    await page.keyboard.press("Escape")
    await page.evaluate("location.hash = ''")
    direct = next(room for room in await list_rooms(client) if room.get("is_im") and room["user"] == ADA)
    await page.evaluate(f"location.hash = '#{direct['id']}'")
    await page.get_by_role("tab", name="Home").click()
    await expect(page.locator(".home .block-header")).to_be_visible()
    await check("home")
    await page.get_by_role("tab", name="Messages").click()
    await send_message(page, "/kb help")
    trigger = (await listener.wait(lambda request: request.type == "slash_commands"))[0].payload["trigger_id"]
    await client.views_open(trigger_id=trigger, view=make_modal())
    await expect(page.locator("dialog.modal")).to_be_visible()
    await check("modal")
    assert findings == {}


async def list_rooms(client: AsyncWebClient) -> list[dict[str, Any]]:
    rooms: list[dict[str, Any]] = (await client.conversations_list(types="public_channel,im"))["channels"]
    return rooms


async def test_every_field_of_a_modal_reaches_the_app_by_keyboard(
    box: SandboxClient, client: AsyncWebClient, listener: Listener, browser: Browser
) -> None:
    page = await open_page(browser, box.base_url)
    await send_message(page, "/kb help")
    trigger = (await listener.wait(lambda request: request.type == "slash_commands"))[0].payload["trigger_id"]
    await client.views_open(trigger_id=trigger, view=make_modal())
    await expect(page.locator("dialog.modal")).to_be_visible()
    await page.get_by_label("Field 0").focus()
    await page.keyboard.type("Why?")
    await page.keyboard.press("Tab")
    await page.keyboard.type("12")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Two")
    await page.get_by_label("Field 3").select_option(["one", "three"])
    await page.get_by_label("Field 4").get_by_label("Three").check()
    await page.get_by_label("Field 5").get_by_label("One").check()
    await page.get_by_label("Field 6").select_option(ADA)
    await page.get_by_label("Field 7").select_option(["C0GENERAL1"])
    await page.keyboard.press("Enter")
    sent = await listener.wait(lambda request: request.payload.get("type") == "view_submission")
    values = {block: fields["a"] for block, fields in sent[0].payload["view"]["state"]["values"].items()}
    assert values["b0"] == {"type": "plain_text_input", "value": "Why?"}
    assert values["b1"]["value"] == "12"
    assert values["b2"]["selected_option"] == OPTIONS[1]
    assert values["b3"]["selected_options"] == [OPTIONS[0], OPTIONS[2]]
    assert values["b4"]["selected_option"] == OPTIONS[2]
    assert values["b5"]["selected_options"] == OPTIONS[:2]
    assert values["b6"]["selected_user"] == ADA
    assert values["b7"]["selected_conversations"] == ["C0GENERAL1"]
    assert values["b8"]["selected_date"] == "2026-12-31"


async def test_a_person_attaches_a_file(box: SandboxClient, browser: Browser) -> None:
    page = await open_page(browser, box.base_url)
    files = {"name": "plan.txt", "mimeType": "text/plain", "buffer": b"The plan."}
    await page.locator("#composer input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    await expect(page.locator("#composer .file")).to_have_text("plan.txt")
    await send_message(page, "Look at this")
    message = await box.wait_for_message(lambda one: bool(one.get("files")))
    assert (message["files"][0]["name"], message["files"][0]["size"]) == ("plan.txt", 9)
    await expect(page.locator("#log .file")).to_contain_text("plan.txt")


DROP = """() => {
  const files = new DataTransfer();
  files.items.add(new File(["The plan."], "plan.txt", { type: "text/plain" }));
  const init = { bubbles: true, cancelable: true, dataTransfer: files };
  document.querySelector("#log").dispatchEvent(new DragEvent("dragover", init));
  const over = document.querySelector("#main").classList.contains("dropping");
  return [over, !document.querySelector("#log").dispatchEvent(new DragEvent("drop", init))];
}"""
PASTE = """() => {
  const files = new DataTransfer();
  files.items.add(new File(["The scan."], "scan.png", { type: "image/png" }));
  const init = { bubbles: true, cancelable: true, clipboardData: files };
  document.querySelector("#composer-input").dispatchEvent(new ClipboardEvent("paste", init));
}"""


async def test_a_person_drops_and_pastes_files(box: SandboxClient, browser: Browser) -> None:
    """A browser whose page leaves a dropped file alone shows the file in place of the page."""
    page = await open_page(browser, box.base_url)
    assert await page.evaluate(DROP) == [True, True]
    await expect(page.locator("#composer .file")).to_have_text("plan.txt")
    await expect(page.locator("#main.dropping")).to_have_count(0)
    await page.evaluate(PASTE)
    await expect(page.locator("#composer .file")).to_have_text(["plan.txt", "scan.png"])
    await send_message(page, "Look at these")
    message = await box.wait_for_message(lambda one: bool(one.get("files")))
    assert [one["name"] for one in message["files"]] == ["plan.txt", "scan.png"]


async def test_a_finding_is_reported(box: SandboxClient, browser: Browser) -> None:
    page = await open_page(browser, box.base_url)
    await page.evaluate("document.querySelector('#main').append(document.createElement('button'))")
    assert [finding.partition(":")[0] for finding in await list_accessibility_findings(page)] == ["button-name"]
