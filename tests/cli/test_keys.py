"""``kvasir keys``, against a workspace on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.storage.api_keys import ApiKeys
from bot.storage.turns.ledger import open_ledger
from tests.e2e.conftest import Place
from tests.slack_sandbox import open_sandbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]


async def test_a_key_is_created_listed_and_revoked(place: Place, tmp_path: Path) -> None:
    async with open_sandbox(tmp_path / "home") as box:
        created = await place.json(
            "keys", "create", "Bo's", "--person", "bo@sandbox.example", "--source", "hr", "--days", "2", **box.env
        )
        status, out, _ = await place.command(
            "keys", "create", "Open WebUI", "--application", "--scope", "answer", **box.env
        )
        assert status == 0
        secret = out.split("\n")[0]
        status, _, err = await place.command("keys", "create", "x", "--person", "nobody@sandbox.example", **box.env)
        assert (status, "knows nobody" in err) == (1, True)
        status, _, err = await place.command("keys", "create", "x", "--application", "--source", "wiki", **box.env)
        assert (status, "no source “wiki”" in err) == (1, True)
    assert (created["user"], created["sources"], created["kind"]) == ("U0BO000002", ["hr"], "person")
    _, out, _ = await place.command("keys", "list")
    assert f"kvasir_{created['id']}_…  Bo's: person U0BO000002, answer and search, only hr, expires " in out
    assert "Open WebUI: application, people by header, answer. Never used." in out
    assert created["key"] not in out
    assert secret not in out
    async with open_ledger(f"sqlite:///{place.folder / 'home' / 'kvasir.db'}") as ledger:
        keys = ApiKeys(ledger.database)
        assert await keys.find_key(created["key"]) is not None
        status, out, _ = await place.command("keys", "revoke", created["id"])
        assert (status, "is revoked" in out) == (0, True)
        assert await keys.find_key(created["key"]) is None
        assert await keys.find_key(secret) is not None
    status, _, err = await place.command("keys", "revoke", created["key"])
    assert (status, f"There is no key kvasir_{created['id']}" in err) == (1, True)
    assert created["key"] not in err
