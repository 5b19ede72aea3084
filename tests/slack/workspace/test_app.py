"""Tests of starts with wrong tokens or without Slack, and of a token that is revoked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.slack.wire.errors import SlackMissingScope, SlackUnauthorized, SlackUnavailable
from bot.slack.wire.scopes import SCOPES
from bot.slack.wire.settings import SlackSettings
from tests.slack.running_bot import PausedScript, run_bot
from tests.slack_sandbox import open_sandbox
from tests.waiting import WAIT_S

pytestmark = pytest.mark.slow


WHOLE = "You asked: how?"


async def test_revoked_token_ends_run_and_keeps_question(tmp_path: Path) -> None:
    """The question stays open: with a good token, the next start answers it."""
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path) as bot:
            bot.answerer.script = held = PausedScript("")
            ts = await bot.ask()
            await held.paused.wait()
            await sandbox.faults(revoke=["bot"])
            held.resume.set()
            with pytest.raises(SlackUnauthorized, match=r"copy the token into \.env"):
                await asyncio.wait_for(asyncio.shield(bot.running), WAIT_S)
        await sandbox.faults(revoke=[])
        async with run_bot(sandbox, tmp_path) as bot:
            await bot.wait_for_answer(ts, WHOLE)


async def test_start_reports_wrong_bot_token(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        sandbox.bot_token = "xoxb-wrong"
        with pytest.raises(SlackUnauthorized, match="SLACK_BOT_TOKEN") as caught:
            async with run_bot(sandbox, tmp_path):
                pass
        assert "xoxb-wrong" not in str(caught.value)


async def test_start_reports_wrong_app_token(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        sandbox.app_token = "xapp-wrong"
        with pytest.raises(SlackUnauthorized, match="SLACK_APP_TOKEN"):
            async with run_bot(sandbox, tmp_path):
                pass


async def test_start_names_missing_scope(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        await sandbox.faults(scopes=sorted(SCOPES.keys() - {"chat:write"}))
        with pytest.raises(SlackMissingScope, match=r"lacks the scope chat:write .*reinstall"):
            async with run_bot(sandbox, tmp_path):
                pass


async def test_start_reports_unreachable_slack(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        sandbox.api_url = "http://127.0.0.1:9/api/"
        with pytest.raises(SlackUnavailable, match="SLACK_API_URL"):
            async with run_bot(sandbox, tmp_path):
                pass


def test_settings_hide_secrets() -> None:
    settings = SlackSettings(bot_token="xoxb-1234567890", app_token="xapp-1234567890", signing_secret="s3cret-s3cret")
    assert not any(secret in repr(settings) for secret in ("xoxb-1234", "xapp-1234", "s3cret"))
