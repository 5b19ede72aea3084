"""Keys of the API: what is stored of them, and until when they are valid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.storage.api_keys import ApiKey, ApiKeys
from bot.storage.turns.ledger import Ledger
from bot.storage.workspace_rows import WorkspaceRows


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(ledger: Ledger) -> ApiKeys:
    return ApiKeys(ledger.database, Clock())


async def test_a_key_is_found_by_its_secret_alone(keys: ApiKeys, tmp_path: Path) -> None:
    key, secret = await keys.create_key(ApiKey("of Ada", "person", "T1", "U1", ("search",), ("handbook", "维基")))
    assert secret.startswith(f"kvasir_{key.id}_")
    assert len(secret.rpartition("_")[2] + secret) > 43
    assert await keys.find_key(secret) == key
    assert await keys.list_keys() == [key]
    for wrong in ("", key.id, secret[:-1], f"{secret}x", secret.upper(), "x" * 10_000, "\udcff\x00"):
        assert await keys.find_key(wrong) is None
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in stored
    assert secret.partition(f"{key.id}_")[2].encode() not in stored


async def test_secrets_have_256_random_bits(keys: ApiKeys) -> None:
    secrets = {(await keys.create_key(ApiKey("k", "application")))[1].split("_", 2)[2] for _ in range(5)}
    assert {len(secret) for secret in secrets} == {43}
    assert len(secrets) == 5


async def test_a_revoked_key_is_gone(keys: ApiKeys) -> None:
    key, secret = await keys.create_key(ApiKey("of Ada", "person", "T1", "U1"))
    assert await keys.is_active(key.id)
    assert await keys.delete_key(key.id) == key
    assert await keys.delete_key(key.id) is None
    assert await keys.find_key(secret) is None
    assert not await keys.is_active(key.id)


async def test_a_key_expires(keys: ApiKeys) -> None:
    clock = keys._now
    assert isinstance(clock, Clock)
    key, secret = await keys.create_key(ApiKey("of Ada", "person", "T1", "U1", expires_at=clock.now + 10))
    assert await keys.find_key(secret) == key
    clock.now += 10
    assert await keys.find_key(secret) is None
    assert not await keys.is_active(key.id)


async def test_a_use_is_written_once_a_minute(keys: ApiKeys) -> None:
    clock = keys._now
    assert isinstance(clock, Clock)
    key, _ = await keys.create_key(ApiKey("of Ada", "person", "T1", "U1"))
    await keys.note_use(key)
    (used,) = await keys.list_keys()
    assert used == replace(key, last_used_at=clock.now)
    first = clock.now
    clock.now += 59
    for one in (key, used):  # another process may not know of the first use
        await keys.note_use(one)
    assert (await keys.list_keys())[0].last_used_at == first
    clock.now += 1
    await keys.note_use(used)
    assert (await keys.list_keys())[0].last_used_at == first + 60


async def test_an_uninstalled_workspace_takes_its_keys_along(keys: ApiKeys) -> None:
    await keys.create_key(ApiKey("of Ada", "person", "T1", "U1"))
    other, _ = await keys.create_key(ApiKey("an application", "application"))
    await WorkspaceRows(keys.database, "T1").erase_workspace()
    assert await keys.list_keys() == [other]
