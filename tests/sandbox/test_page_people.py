"""Test in a real browser that each person sees the workspace with their own rights."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.state.demo import GUEST
from tests.slack_page import list_accessibility_findings, open_page, send_message
from tests.slack_sandbox import FEEDBACK_BUTTONS, SandboxClient

pytestmark = pytest.mark.slow

ADA = "U0ADA00001"
PROJECT = "C0PROJECT1"


async def open_as(browser: Browser, box: SandboxClient, person: str, wrong: list[str]) -> Page:
    """Open the page as a person."""
    page = await open_page(browser, box.base_url, wrong=wrong)
    await page.locator("#you-are").select_option(value=person)
    await expect(page.locator("#you-are")).to_have_value(person)
    return page


async def test_owner_member_and_guest_share_a_channel(
    box: SandboxClient, client: AsyncWebClient, browser: Browser
) -> None:
    """The role stands next to a name; a private channel and a note for one person are nobody else's."""
    await box.say("ada", "#reorg", "the secret plan")
    await box.put_status(suggestions=["How long is the vacation?"])
    wrong: list[str] = []
    owner = await open_as(browser, box, ADA, wrong)
    guest = await open_as(browser, box, GUEST.id, wrong)
    await owner.locator(".room", has_text="project").click()
    await expect(owner.locator(".room", has_text="reorg").locator("svg")).to_be_visible()
    await expect(owner.locator(".chip")).to_have_count(1)
    await expect(guest.locator(".room")).to_have_text(["#project", "Kvasir"])
    await expect(guest.locator(".chip")).to_have_count(0)
    await expect(guest.locator("#you-are option:checked")).to_have_text("Gus Weber (guest)")
    await send_message(guest, "what is #reorg?")
    said = owner.locator(".message", has_text="what is #reorg?")
    await expect(said.locator(".role")).to_have_text("guest")
    await client.chat_postEphemeral(channel=PROJECT, user=ADA, text="only for the owner")
    await expect(owner.locator(".message.ephemeral")).to_contain_text("only for the owner")
    await expect(guest.get_by_text("only for the owner")).to_have_count(0)
    await expect(guest.get_by_text("secret plan")).to_have_count(0)
    assert not wrong


async def test_a_member_joins_and_leaves_a_private_channel(box: SandboxClient, browser: Browser) -> None:
    """Commands of members change who sees a channel at once, with what stands there."""
    await box.say("ada", "#reorg", "the secret plan")
    wrong: list[str] = []
    owner = await open_as(browser, box, ADA, wrong)
    member = await open_as(browser, box, "U0MIRA0004", wrong)
    await expect(member.locator(".room", has_text="reorg")).to_have_count(0)
    await owner.locator(".room", has_text="reorg").click()
    await send_message(owner, "/invite @mira ")
    await member.locator(".room", has_text="reorg").click()
    await expect(member.get_by_text("the secret plan")).to_be_visible()
    await send_message(owner, "/remove @mira ")
    await expect(member.locator(".room", has_text="reorg")).to_have_count(0)
    await expect(member.get_by_text("the secret plan")).to_have_count(0)
    assert not wrong


async def test_group_messages_and_changed_people(box: SandboxClient, browser: Browser) -> None:
    """A group message is named by its people, and a changed role appears at once."""
    wrong: list[str] = []
    page = await open_as(browser, box, ADA, wrong)
    await box.say("bo", "@ada,@mira,@kvasir", "a word among us")
    await page.locator(".room", has_text="Bo Okafor, Mira Santos, Kvasir").click()
    await expect(page.get_by_text("a word among us")).to_be_visible()
    await expect(page.locator("#room-header h1")).not_to_contain_text("mpdm")
    await box.person("U0BO000002", role="guest")
    await expect(page.locator("#you-are option", has_text="Bo Okafor")).to_have_text("Bo Okafor (guest)")
    await box.person("U0BO000002", deleted=True)
    await expect(page.locator("#you-are option", has_text="Bo Okafor")).to_have_count(0)
    assert not wrong


async def test_a_vote_stays_and_an_icon_is_for_those_it_names(
    box: SandboxClient, client: AsyncWebClient, browser: Browser
) -> None:
    """A message that is drawn again shows the vote of each person; an icon with a dialog waits for its answer."""
    label = {"type": "plain_text", "text": "Delete"}
    dialog = {"title": label, "text": label, "confirm": label, "deny": label}
    named = {"visible_to_user_ids": [ADA], "confirm": dialog}
    delete = {"type": "icon_button", "icon": "trash", "action_id": "delete", "text": label, **named}
    blocks = [{"type": "context_actions", "elements": [FEEDBACK_BUTTONS, delete]}]
    posted = await client.chat_postMessage(channel=PROJECT, text="An answer", blocks=blocks)
    wrong: list[str] = []
    ada, guest = await open_as(browser, box, ADA, wrong), await open_as(browser, box, GUEST.id, wrong)
    await ada.locator(".room", has_text="project").click()
    for page, count in ((ada, 1), (guest, 0)):
        await expect(page.locator(".message").get_by_role("button", name="negative")).to_be_visible()
        await expect(
            page.locator(".message .block-context-actions").get_by_role("button", name="Delete")
        ).to_have_count(count)
    bad = ada.locator(".message").get_by_role("button", name="negative")
    await bad.click()
    await client.chat_update(channel=PROJECT, ts=str(posted["ts"]), text="Another", blocks=posted["message"]["blocks"])
    await expect(bad).to_have_attribute("aria-pressed", "true")
    await expect(guest.locator(".message").get_by_role("button", name="negative")).to_have_attribute(
        "aria-pressed", "false"
    )
    assert await list_accessibility_findings(ada) == []
    assert not wrong
