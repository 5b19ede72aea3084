"""Tests of which installation something from Slack is for; the payloads have the fields of Slack's reference."""

from __future__ import annotations

from typing import Any

import pytest

from bot.slack.workspace.installations.routing import SharedMessage, list_installations, read_shared_message

AUTHORIZED = {"enterprise_id": "E1", "team_id": "T1", "user_id": "U1", "is_bot": True, "is_enterprise_install": False}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"team_id": "T1", "event": {}, "authorizations": [AUTHORIZED]}, ("T1", "E1")),
        # A channel of two companies: the outer team is its host.
        ({"team_id": "T9", "authorizations": [AUTHORIZED | {"enterprise_id": None}]}, ("T1", "T9")),
        (
            {"team_id": "T2", "authorizations": [AUTHORIZED | {"team_id": None, "is_enterprise_install": True}]},
            ("E1", "T2"),
        ),
        # The end of a workspace's installation is not that of its organization.
        ({"team_id": "T1", "enterprise_id": "E1", "event": {"type": "app_uninstalled"}}, ("T1",)),
        (
            {"event": {"type": "tokens_revoked"}, "authorizations": [AUTHORIZED | {"is_enterprise_install": True}]},
            ("E1",),
        ),
        ({"team_id": "E1", "event": {"type": "app_uninstalled"}}, ("E1",)),
        ({"command": "/kb", "team_id": "T1", "enterprise_id": "E1", "is_enterprise_install": "false"}, ("T1", "E1")),
        ({"command": "/kb", "team_id": "T1", "enterprise_id": "E1", "is_enterprise_install": "true"}, ("E1", "T1")),
        ({"type": "block_actions", "team": {"id": "T1"}, "enterprise": None, "is_enterprise_install": False}, ("T1",)),
        # Somebody of T9, which has the app too, presses a button of T1's app in a channel of both.
        ({"type": "block_actions", "team": {"id": "T9"}, "message": {"bot_profile": {"team_id": "T1"}}}, ("T1", "T9")),
        (
            {
                "type": "block_actions",
                "team": {"id": "T1"},
                "enterprise": {"id": "E1"},
                "is_enterprise_install": True,
                "message": {"bot_profile": {"team_id": "T1"}},
            },
            ("E1", "T1"),
        ),
        # The message of a shortcut may be another app's.
        ({"type": "message_action", "team": {"id": "T1"}, "message": {"bot_profile": {"team_id": "T9"}}}, ("T1", "T9")),
        ({"type": "view_submission", "team": {"id": "T9"}, "view": {"app_installed_team_id": "T1"}}, ("T1", "T9")),
        ({"type": "shortcut", "team": None, "enterprise": {"id": "E1"}, "is_enterprise_install": True}, ("E1",)),
        ({"type": "url_verification", "challenge": "x"}, ()),
        ({"team_id": 7, "authorizations": "no", "view": [], "team": "T1", "message": {"bot_profile": 1}}, ()),
    ],
)
def test_installations_of_a_body(body: dict[str, Any], found: tuple[str, ...]) -> None:
    assert list_installations(body) == found


ROOT = {"ts": "1.0", "text": "<@U1> and <@U2|bo>?"}


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (ROOT, SharedMessage("C1", "1.0", frozenset({"U1", "U2"}))),
        (
            ROOT | {"type": "app_mention", "ts": "2.0", "thread_ts": "1.0"},
            SharedMessage("C1", "1.0", frozenset({"U1", "U2"})),
        ),
        ({"message": ROOT, "ts": "3.0"}, SharedMessage("C1", "1.0", frozenset({"U1", "U2"}))),
        ({"previous_message": ROOT | {"text": ""}, "ts": "3.0"}, SharedMessage("C1", "1.0", frozenset())),
        ({"type": "reaction_added"}, None),
    ],
)
def test_message_in_a_shared_channel(event: dict[str, Any], found: SharedMessage | None) -> None:
    body = {"event": {"type": "message", "channel": "C1"} | event, "is_ext_shared_channel": True}
    assert read_shared_message(body) == found
    assert read_shared_message(body | {"is_ext_shared_channel": False}) is None
