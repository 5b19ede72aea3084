"""Tests of the app manifest."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bot.slack.manifest import EVENTS, SCOPES, build_manifest, render_manifest_yaml

ROOT = Path(__file__).parents[2]


def test_committed_manifest_equals_generated_one() -> None:
    assert (ROOT / "deploy" / "slack-manifest.yaml").read_text(encoding="utf-8") == render_manifest_yaml()


@pytest.mark.parametrize("events_url", [None, "https://kvasir.example/slack/events"])
def test_manifest_yaml_equals_manifest(events_url: str | None) -> None:
    assert yaml.safe_load(render_manifest_yaml(events_url=events_url)) == build_manifest(events_url=events_url)


def test_manifest_supports_both_transports() -> None:
    socket, http = build_manifest(), build_manifest(events_url="https://kvasir.example/slack/events")
    assert socket["settings"]["socket_mode_enabled"]
    assert not http["settings"]["socket_mode_enabled"]
    assert http["settings"]["event_subscriptions"]["request_url"].endswith("/slack/events")
    assert http["features"]["slash_commands"][0]["url"] == http["settings"]["interactivity"]["request_url"]


def test_manifest_has_scopes_of_its_events() -> None:
    """Slack refuses a manifest whose events need scopes that it does not ask for."""
    needs = {"app_mention": "app_mentions:read", "message.channels": "channels:history"}
    needs |= {"message.groups": "groups:history", "message.im": "im:history", "message.mpim": "mpim:history"}
    assert set(needs.values()) <= SCOPES.keys()
    assert set(needs) <= set(EVENTS)
