"""Tests of what is logged: a line for each turn, and never a secret."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bot.logs import _Mask, configure_logging
from tests.slack.running_bot import run_bot_in_sandbox


@pytest.fixture
def stream() -> io.StringIO:
    out = io.StringIO()
    configure_logging(out, secrets=["s3cret-of-ours"])
    return out


def test_lines_of_kvasir_and_libraries_are_masked(stream: io.StringIO) -> None:
    structlog.get_logger().info("opened", token="xoxb-12345678-abcdef", url="postgresql://kvasir:pw123456@db/k")
    logging.getLogger("some.library").warning("Authorization: Bearer abcdefgh12345678 and %s", "s3cret-of-ours")
    output = stream.getvalue()
    assert "opened" in output
    assert "some.library" not in output or "Authorization" in output
    for secret in ("xoxb-1234", "pw123456", "abcdefgh1234", "s3cret"):
        assert secret not in output
    assert output.count("***") == 4


def test_the_ticket_of_a_websocket_is_masked(stream: io.StringIO) -> None:
    logging.getLogger("x").error("Failed to connect (403, url='wss://a.example/link/?ticket=abc-123&app_id=A1')")
    assert "abc-123" not in stream.getvalue()
    assert "app_id=A1" in stream.getvalue()


def test_the_password_of_an_address_is_masked_alone_too() -> None:
    mask = _Mask(["postgresql+asyncpg://kvasir:p%40ssw0rd@db/k", "sqlite:////srv/a:b/c@d"])
    assert (
        mask.mask_text("p@ssw0rd or p%40ssw0rd does not let kvasir in, b/c@d")
        == "*** or *** does not let kvasir in, b/c@d"
    )


def test_an_exception_s_text_is_masked_too(stream: io.StringIO) -> None:
    logging.getLogger("x").error("failed", exc_info=ValueError("refused xapp-1-ABCDEFGH-12"))
    assert "ABCDEFGH" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


@given(st.text(st.characters(exclude_characters="*"), min_size=6), st.text(), st.text())
def test_a_known_secret_is_never_logged(secret: str, before: str, after: str) -> None:
    assert secret not in _Mask([secret]).mask_text(f"{before}{secret}{after}")


async def test_each_turn_has_a_line(stream: io.StringIO, tmp_path: Path) -> None:
    """Bolt copies the level of its logger to the logger that is named like the app."""
    async with run_bot_in_sandbox(tmp_path, "socket") as bot:
        await bot.wait_for_answer(await bot.ask())
        await bot.wait_until_idle()
    assert stream.getvalue().count("event=turn ") == 1
