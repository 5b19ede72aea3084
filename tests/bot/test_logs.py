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
from knowledge.masking import Recogniser
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


def test_the_library_of_mcp_logs_nothing(stream: io.StringIO) -> None:
    """It logs questions and headers with keys."""
    logging.getLogger("mcp.server.runner").error("failed: Why was Ada dismissed?", exc_info=ValueError("a question"))
    assert stream.getvalue() == ""


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
    async with run_bot_in_sandbox(tmp_path) as bot:
        await bot.wait_for_answer(await bot.ask())
        await bot.wait_until_idle()
    assert stream.getvalue().count("event=turn ") == 1


@pytest.mark.parametrize(
    "secret",
    [
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AKIAIOSFODNN7EXAMPLE",
        "Basic dXNlcjpwYXNz",
        "https://hooks.slack.com/actions/T012AB3CD/1234567890123/abcdefghijklmnop",
        "https://hooks.slack.com/commands/T012AB3CD/1234567890123/abcdefghijklmnop",
        "password=hunter22",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN PRIVATE KEY-----abc-----END PRIVATE KEY-----",
    ],
)
def test_secrets_are_masked_even_if_personal_data_is_not(secret: str) -> None:
    value = secret.rpartition("/")[2].rpartition(" ")[2].rpartition("=")[2] or secret
    for mask in (_Mask([]), _Mask([], None)):
        assert value not in mask.mask_text(f"failed: {secret}, retrying")


@pytest.mark.parametrize("private", ["ann.lee@example.com", "MRN 00123456", "DE89 3704 0044 0532 0130 00", "Ann Lee"])
def test_personal_data_is_masked_unless_it_is_kept(private: str) -> None:
    recogniser = Recogniser(["Ann Lee"])
    assert private not in _Mask([], recogniser).mask_text(f"failed for {private} here")
    assert private in _Mask([], None).mask_text(f"failed for {private} here")


@pytest.mark.parametrize(
    "line",
    [
        "event=turn channel=C012AB3CD user=U012AB3CD ts=1700000000.123456",
        "connected to 10.0.0.5:5432 in 0.12 s",
        "commit 5f4dcc3b5aa765d61d8327deb882cf99aa765d61 of sglang@0.5.1",
        "request 123e4567-e89b-12d3-a456-426614174000 took 12345678 ns",
        "GET https://docs.example.com/users?limit=10 200",
    ],
)
def test_operators_keep_ids_and_addresses(line: str) -> None:
    assert _Mask([]).mask_text(line) == line


def test_control_characters_are_removed(stream: io.StringIO) -> None:
    logging.getLogger("x").error("read \x1b[31mred\u202e and \x07bell")
    structlog.get_logger().info("opened", title="a\x1b]0;title\x07b")
    assert not {"\x1b", "\u202e", "\x07"} & set(stream.getvalue())
    assert "title=ab" in stream.getvalue()


def test_a_token_in_pieces_is_masked() -> None:
    assert "abcdef" not in _Mask([]).mask_text("xoxb-\x1b[0m12345678-abcdef")
    assert "s3cret" not in _Mask(["s3cret-of-ours"]).mask_text("s3cret\u202e-of-ours")
