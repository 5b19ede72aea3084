"""Tests of the errors that Slack's answers become."""

from __future__ import annotations

import pytest

from bot.slack.wire.errors import (
    SlackGone,
    SlackMissingScope,
    SlackRefused,
    SlackUnauthorized,
    SlackUnavailable,
    map_api_error,
)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("invalid_auth", SlackUnauthorized, "SLACK_BOT_TOKEN"),
        ("token_revoked", SlackUnauthorized, "reinstall"),
        ("missing_scope", SlackMissingScope, "lacks users:read"),
        ("is_archived", SlackGone, "is_archived"),
        ("internal_error", SlackUnavailable, "Try again"),
        ("invalid_blocks", SlackRefused, "invalid_blocks"),
    ],
)
def test_api_error_names_the_next_step(code: str, kind: type[Exception], words: str) -> None:
    error = map_api_error("chat.postMessage", code, needed="users:read")
    assert type(error) is kind
    assert words in str(error)
