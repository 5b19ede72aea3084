"""Test that the demo of restricted documents fits the people and channels of the workspace on this machine."""

from __future__ import annotations

from pathlib import Path

from bot.config.settings import load_settings
from bot.sandbox.state.demo import PEOPLE, first_channels
from knowledge.interfaces import EVERYONE, GUESTS

DEMO = Path(__file__).parents[2] / "deploy" / "demo"


def test_the_demo_names_people_and_channels_of_the_sandbox(tmp_path: Path) -> None:
    settings = load_settings({"KVASIR_HOME": str(tmp_path)}, DEMO)
    sources = settings.knowledge.sources
    readers = frozenset().union(*(source.readers for source in sources)) - EVERYONE - {GUESTS}
    channels = {channel.id: channel for channel in first_channels(0)}
    assert readers == {"U0ADA00001", "C0REORG001"}
    assert readers <= {person.id for person in PEOPLE} | set(channels)
    assert settings.configuration.access.owners == {person.id for person in PEOPLE if person.role == "owner"}
    folders = [source.name for source in sources if source.kind == "folder"]
    assert all(list((DEMO / name).glob("*.md")) for name in folders)
