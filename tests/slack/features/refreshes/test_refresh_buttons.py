"""Tests of pending deletions: ``/kb approve`` shows them, and a button deletes them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import Access
from bot.slack.conversations.visible_sources import VisibleSources
from bot.slack.features.refreshes.pending_deletions import APPROVE_DELETION, PendingDeletions, build_delete_button
from bot.slack.features.refreshes.refresh import RefreshRunner
from bot.slack.features.refreshes.refresh_buttons import ApproveDeletionAction
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from knowledge.status import LibraryStatus
from knowledge.sync.manifest.records import PendingDeletion
from knowledge.sync.report import SourceReport, SyncReport
from tests.slack.running_bot import (
    FakeLibrary,
    RunningBot,
    find_member,
    get_text,
    make_library_status,
    make_source_status,
    refuse_post,
    run_bot,
    wait_for_ephemeral,
)
from tests.slack_sandbox import open_sandbox

HELD = make_source_status(
    "docs",
    pending_deletions=30,
    approval_mark="thirty",
    first_pending_deletions=tuple(PendingDeletion(f"{n}.md", f"{n}", None) for n in range(5)),
)


async def wait_for_approval_request(bot: RunningBot, contains: str = "30 documents are missing") -> dict[str, Any]:
    return await bot.sandbox.wait_for_message(
        lambda m: m.get("ephemeral") and contains in get_text(m), channel="#general"
    )


async def test_button_deletes_pending_documents(owned_bot: RunningBot, library: FakeLibrary) -> None:
    library.state = make_library_status(HELD, make_source_status("other"))
    library.report = SyncReport({"docs": SourceReport(listed=7, unchanged=7, deleted=30)}, 1.5)
    await owned_bot.sandbox.command("ada", "#general", "/kb approve docs")
    request = await wait_for_approval_request(owned_bot)
    assert all(words in get_text(request) for words in ("0.md", "4.md", "and 25 more", "still missing"))
    assert library.approved == library.refreshed == []
    await owned_bot.sandbox.press("ada", "#general", request["ts"], APPROVE_DELETION)
    await wait_for_ephemeral(owned_bot, "30 deleted")
    assert (library.approved, library.refreshed) == (["docs"], [])


async def test_button_deletes_a_source_that_the_configuration_lacks(
    owned_bot: RunningBot, library: FakeLibrary
) -> None:
    removed = make_source_status("wiki", pending_deletions=12, documents=12, approval_mark="twelve", is_removed=True)
    library.state = replace(make_library_status(make_source_status("docs")), removed=(removed,))
    library.report = SyncReport({"wiki": SourceReport(deleted=12)}, 0.5)
    await owned_bot.sandbox.command("ada", "#general", "/kb approve wiki")
    request = await wait_for_approval_request(owned_bot, "is not in kvasir.toml any more. Its 12 documents")
    await owned_bot.sandbox.press("ada", "#general", request["ts"], APPROVE_DELETION)
    await wait_for_ephemeral(owned_bot, "12 deleted")
    assert library.approved == ["wiki"]


async def test_approve_without_source_shows_all_pending_deletions(owned_bot: RunningBot, library: FakeLibrary) -> None:
    library.state = make_library_status(
        HELD,
        make_source_status(
            "wiki", pending_deletions=12, first_pending_deletions=(PendingDeletion("home", "Home", None),)
        ),
        make_source_status("other"),
    )
    await owned_bot.sandbox.command("ada", "#general", "/kb 批准")
    request = await wait_for_approval_request(owned_bot, "30 篇文档不在最近的列表里")
    buttons = [e["value"] for block in request["blocks"] if block["type"] == "actions" for e in block["elements"]]
    assert [name in value for name, value in zip(("docs", "wiki"), buttons, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("approve", "There are no pending deletions."),
        ("approve docs", "There are no pending deletions in “docs”."),
        ("批准 docs", "来源“docs”没有待批准的删除"),
        ("approve dosc", "There is no source “dosc”"),
    ],
)
async def test_approve_reports_that_nothing_is_pending(
    owned_bot: RunningBot, library: FakeLibrary, typed: str, words: str
) -> None:
    await owned_bot.sandbox.command("ada", "#general", f"/kb {typed}")
    await wait_for_ephemeral(owned_bot, words)
    assert library.approved == []


async def test_changed_deletions_are_shown_before_approval(owned_bot: RunningBot, library: FakeLibrary) -> None:
    """After the request, a sync has found other pending deletions, as many as before."""
    library.state = make_library_status(HELD)
    await owned_bot.sandbox.command("ada", "#general", "/kb approve docs")
    request = await wait_for_approval_request(owned_bot)
    library.state = make_library_status(
        replace(HELD, approval_mark="others", first_pending_deletions=(PendingDeletion("other.md", "Other", None),))
    )
    await owned_bot.sandbox.press("ada", "#general", request["ts"], APPROVE_DELETION)
    again = await wait_for_approval_request(owned_bot, "other.md")
    assert library.approved == []
    await owned_bot.sandbox.press("ada", "#general", again["ts"], APPROVE_DELETION)
    await wait_for_ephemeral(owned_bot, "Refreshed in")
    assert library.approved == ["docs"]


async def test_deletions_changed_during_approval_are_shown_again(owned_bot: RunningBot, library: FakeLibrary) -> None:
    """A sync changes the deletions between the check and the approval, so the library refuses."""
    library.state = make_library_status(HELD)
    await owned_bot.sandbox.command("ada", "#general", "/kb approve docs")
    request = await wait_for_approval_request(owned_bot)
    status = library.status

    async def looked_at() -> LibraryStatus:
        state = await status()
        library.state = make_library_status(
            replace(HELD, approval_mark="others", first_pending_deletions=(PendingDeletion("other.md", "Other", None),))
        )
        return state

    library.status = looked_at  # type: ignore[method-assign]
    await owned_bot.sandbox.press("ada", "#general", request["ts"], APPROVE_DELETION)
    await wait_for_approval_request(owned_bot, "other.md")
    await wait_for_ephemeral(owned_bot, "The pending deletions of docs have changed.")


async def test_only_owners_refresh_and_approve(tmp_path: Path) -> None:
    library = FakeLibrary(state=make_library_status(HELD))
    access = Access(frozenset({"U0BO000002"}))
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, library=library, dependencies={"access": access}) as bot,
    ):
        for typed in ("refresh", "approve docs"):
            await sandbox.command("ada", "#general", f"/kb {typed}")
        await wait_for_ephemeral(bot, "Only an owner may do this. Ask <@U0BO000002>.")
        await sandbox.command("ada", "#general", "/kb 更新")
        await wait_for_ephemeral(bot, "只有负责人可以这样做")
        await sandbox.command("ada", "#general", "/kb status")
        await wait_for_ephemeral(bot, "*Engine*")
        await sandbox.command("bo", "#general", "/kb approve docs")
        request = await sandbox.wait_for_message(
            lambda m: m.get("ephemeral") and "are missing" in get_text(m), channel="#general", person="bo"
        )
        await sandbox.press("bo", "#general", request["ts"], APPROVE_DELETION)
        await sandbox.wait_until(lambda: library.approved == ["docs"])
        assert library.refreshed == []


async def test_without_owners_only_terminal_approves_deletions(tmp_path: Path) -> None:
    """A refresh deletes nothing and stays allowed. A button from a time with owners does nothing."""
    library = FakeLibrary(state=make_library_status(HELD))
    async with open_sandbox(tmp_path) as sandbox, run_bot(sandbox, tmp_path, library=library) as bot:
        await sandbox.command("ada", "#general", "/kb approve docs")
        text = await wait_for_ephemeral(bot, "No owner is configured")
        assert "`kvasir sync --approve SOURCE`" in text
        assert 'owners = ["U0ADA00001"]' in text
        await sandbox.command("ada", "#general", "/kb 批准 docs")
        await wait_for_ephemeral(bot, "尚未指定负责人")
        await sandbox.command("ada", "@kvasir", "/kb refresh docs")
        await sandbox.wait_until(lambda: library.refreshed == ["docs"])
        with_button = {"user": {"id": "U0ADA00001"}, "channel": {"id": "C0GENERAL1"}}
        messenger = EphemeralMessenger(bot.app.workspace.api, refuse_post)
        pending = PendingDeletions(library, messenger)
        visible = VisibleSources(library, Access(), find_member)
        refresh = RefreshRunner(
            library, pending, bot.app.workspace.api, messenger, visible, lambda _record: contextlib.nullcontext()
        )
        approve = ApproveDeletionAction(pending, refresh, Access())
        with pytest.raises(InteractionRefused, match="No owner is configured"):
            await approve.run(ButtonPress.from_payload(with_button, build_delete_button(HELD, "en")))
    assert library.approved == []
