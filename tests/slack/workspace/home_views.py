"""Opens Home and presses its buttons, for tests."""

from __future__ import annotations

from tests.slack.running_bot import RunningBot
from tests.slack_sandbox import Json


async def read_home(bot: RunningBot, person: str, contains: str = "Kvasir") -> Json:
    """Open Home, wait until it contains a text, and return the view."""
    sandbox, views = bot.sandbox, list[Json]()
    opened = await sandbox.home(person)

    async def is_published() -> bool:
        view = await sandbox.home(person) if opened is None else sandbox.view(opened["id"])
        views.append(view or {})
        return contains in str(view)

    await sandbox.wait_until(is_published, what=contains)
    assert len(views[-1]["blocks"]) <= 100
    return views[-1]


async def press_in_home(bot: RunningBot, person: str, action_id: str) -> None:
    """Press the button next to a text, as the page does."""
    view = await read_home(bot, person, action_id)
    buttons = [block["accessory"] for block in view["blocks"] if "accessory" in block]
    button = next(one for one in buttons if one["action_id"] == action_id)
    await bot.sandbox.control("POST", "press", {"person": person, "view_id": view["id"], **button})
