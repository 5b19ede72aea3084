"""Tests of the preferences for thinking."""

from __future__ import annotations

from pathlib import Path

from bot.answering.thinking import Defaults
from bot.storage.ledger import open_ledger
from bot.storage.preferences import ThinkingPreferences


async def test_preferences_fall_back_to_channel_and_defaults(tmp_path: Path) -> None:
    """The person's preference comes first, then the channel's, then the general default, also if the ledger fails."""
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        wishes = ThinkingPreferences(ledger.database, Defaults("off", {"C1": "normal"}))
        await wishes.set_depth("T1", "U1", "deep")
        await wishes.set_depth("T1", "U1", "off")
        await wishes.set_depth("T1", "U1", "deep")
        assert await wishes.choose_depth("T1", "U1", "C1") == "deep"
        assert [await wishes.choose_depth(*where) for where in (("T2", "U1", "C1"), ("T1", "U2", "C2"))] == [
            "normal",
            "off",
        ]
        await wishes.set_depth("T1", "U1", None)
        assert await wishes.find_depth("T1", "U1") is None
        await ledger.database.write(lambda connection: connection.exec_driver_sql("drop table bot_wishes"))
        assert await wishes.choose_depth("T1", "U1", "C1") == "normal"
