"""Tests of rate limits, and of the errors that Slack's answers become."""

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
from bot.slack.wire.transport.web_api import TokenBucket


def test_token_bucket_allows_bursts_and_limits_the_rate() -> None:
    now = [0.0]
    bucket = TokenBucket(burst=3, per_s=2, now=lambda: now[0])
    assert [bucket.reserve_call() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    now[0] = 10.0
    assert bucket.reserve_call() == 0


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
