"""Tests of an installation that is refused: by state, cookie, code, workspace, or a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog

from tests.slack.workspace.installations.installed_bot import (
    FIRST,
    SECOND,
    InstalledBot,
    open_place,
    run_installed_bot,
    wait_for_answer,
)

pytestmark = pytest.mark.slow


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[InstalledBot]:
    async with open_place(tmp_path) as place, run_installed_bot(place, tmp_path, workspaces=[FIRST]) as served:
        yield served


async def test_only_the_browser_that_began_installs_and_only_once(bot: InstalledBot) -> None:
    consent, cookie = await bot.begin()
    parameters = parse_qs(urlsplit(consent).query)
    assert "chat:write" in parameters["scope"][0].split(",")
    assert parameters["redirect_uri"] == [f"{bot.url}/slack/oauth_redirect"]
    _, other_cookie = await bot.begin()
    back = await bot.allow(consent, FIRST)
    for wrong in (other_cookie, "slack-app-oauth-state=", "a=b"):
        status, page = await bot.come_back(back, wrong)
        assert (status, "another browser" in page) == (400, True)
    assert not bot.app.workspaces.workspaces
    assert (await bot.come_back(back, cookie))[0] == 200
    status, page = await bot.come_back(back, cookie)
    assert (status, "took too long" in page) == (401, True)
    unknown = back.replace(parameters["state"][0], "made-up")
    assert (await bot.come_back(unknown, "slack-app-oauth-state=made-up"))[0] == 401
    await bot.wait_until_open(FIRST)


async def test_what_slack_or_a_person_refuses_has_a_page(bot: InstalledBot) -> None:
    status, page = await bot.come_back(f"{bot.url}/slack/oauth_redirect?error=access_denied&state=x", "a=b")
    assert (status, "cancelled" in page) == (200, True)
    status, page = await bot.come_back(f"{bot.url}/slack/oauth_redirect?error=<script>alert(1)</script>", "a=b")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page

    consent, cookie = await bot.begin()
    back = await bot.allow(consent, FIRST)
    await bot.place.first.faults({"method": "oauth.v2.access", "status": 503})
    status, page = await bot.come_back(back, cookie)
    assert (status, "Begin again" in page) == (401, True)

    consent, cookie = await bot.begin()
    back = await bot.allow(consent, FIRST)
    assert (await bot.come_back(back, cookie))[0] == 200
    code = parse_qs(urlsplit(back).query)["code"][0]
    for wrong, reason in ((code, "code_already_used"), ("<script>", "invalid_code")):
        consent, cookie = await bot.begin()
        state = parse_qs(urlsplit(consent).query)["state"][0]
        with structlog.testing.capture_logs() as logs:
            url = f"{bot.url}/slack/oauth_redirect?code={wrong}&state={state}"
            status, page = await bot.come_back(url, cookie)
        assert (status, "did not accept" in page) == (401, True)
        assert code not in str(logs)
        assert reason in [one.get("code") for one in logs]


async def test_only_listed_workspaces_may_install(bot: InstalledBot) -> None:
    assert (await bot.install(FIRST))[0] == 200
    status, page = await bot.install(SECOND)
    assert status == 403
    assert f"<code>{SECOND}</code>" in page
    assert "[slack]" in page
    assert (await bot.install(FIRST))[0] == 200
    await bot.wait_until_open(FIRST)
    second = bot.place.second
    assert second.hub is not None
    assert not second.hub.tokens.is_installed  # Kvasir has given its token back
    second.hub.tokens.is_installed = True
    await second.say("ada", "#general", "@Kvasir who are you?")
    await second.wait_delivered()
    root = await bot.place.first.say("ada", "#general", "@Kvasir how?")
    await wait_for_answer(bot.place.first, root)
    assert [question.text for question in bot.answerer.questions] == ["how?"]
    await bot.place.first.control("POST", "uninstall", {})
    await bot.wait_until_open()
    assert (await bot.install(SECOND))[0] == 403
    assert (await bot.install(FIRST))[0] == 200


async def test_without_a_list_nobody_may_install(tmp_path: Path) -> None:
    """Otherwise the first that installs the app would become the home of the documents."""
    async with open_place(tmp_path) as place, run_installed_bot(place, tmp_path, workspaces=[]) as bot:
        for team in (FIRST, SECOND):
            status, page = await bot.install(team)
            assert status == 403
            assert f"<code>{team}</code>" in page
            assert "The first workspace of that list is the home" in page
        assert place.first.hub is not None
        assert not place.first.hub.tokens.is_installed


async def test_without_a_list_the_first_of_an_earlier_version_may_install_again(tmp_path: Path) -> None:
    async with open_place(tmp_path) as place:
        async with run_installed_bot(place, tmp_path, workspaces=[FIRST]) as bot:
            assert (await bot.install(FIRST))[0] == 200
        async with run_installed_bot(place, tmp_path, workspaces=[]) as bot:
            await bot.wait_until_open(FIRST)
            assert (await bot.install(SECOND))[0] == 403
            assert (await bot.install(FIRST))[0] == 200
