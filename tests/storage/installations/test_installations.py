"""Tests of stored installations: sealed tokens, one refresh at a time, keys that change, and states of OAuth."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from bot.storage import tables
from bot.storage.installations.installations import (
    REFRESH_LEASE_S,
    STATE_LIFETIME_S,
    Installations,
    OAuthStates,
    StoredInstallation,
)
from bot.storage.installations.token_cipher import BotTokens, TokenCipher, TokenKeyError
from bot.storage.workspace_rows import WorkspaceRows
from knowledge.database.database import Database

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TOKENS = BotTokens("xoxe.xoxb-1-secret", "xoxe-1-refresh")
ADA = StoredInstallation("T1", "", False, "One", "chat:write,commands", "U1", 100.0, expires_at=500.0)


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at


async def test_tokens_are_sealed_and_read_by_another_process(databases: tuple[Database, Database]) -> None:
    one, other = (Installations(database, TokenCipher([OLD])) for database in databases)
    await one.save_installation(ADA, TOKENS)
    [found] = await other.list_all()
    assert other.open_tokens(found) == TOKENS
    assert (found.name, found.granted_scopes) == ("One", {"chat:write", "commands"})
    rows = await databases[0].fetch_rows(sa.select(tables.installations))
    assert "secret" not in str(rows)
    assert "refresh" not in str(rows).replace("refreshed_at", "")
    assert "secret" not in f"{found} {other.open_tokens(found)}"


async def test_one_process_refreshes_and_a_late_one_replaces_nothing(databases: tuple[Database, Database]) -> None:
    clock = Clock()
    one, other = (Installations(database, TokenCipher([OLD]), clock.now) for database in databases)
    await one.save_installation(ADA, TOKENS)
    [read] = await one.list_all()
    claims = await asyncio.gather(*(side.claim_refresh(read) for side in (one, other) for _ in range(5)))
    assert claims.count(True) == 1
    clock.at += REFRESH_LEASE_S + 1
    assert await other.claim_refresh(read)  # the first one has died
    assert await other.replace_tokens(read, BotTokens("xoxb-new", "xoxe-new"), 900.0)
    assert not await one.replace_tokens(read, BotTokens("xoxb-late"), 800.0)
    found = await one.find_installation("T1")
    assert found is not None
    assert (one.open_tokens(found).bot_token, found.expires_at) == ("xoxb-new", 900.0)


async def test_a_reinstallation_keeps_its_place_and_not_what_was_read_before(
    databases: tuple[Database, Database],
) -> None:
    clock = Clock()
    installations = Installations(databases[0], TokenCipher([OLD]), clock.now)
    await installations.save_installation(ADA, TOKENS)
    [before] = await installations.list_all()
    await installations.note_problem(before, "invalid_refresh_token")
    await installations.save_installation(replace(ADA, name="Renamed", installed_at=300.0), BotTokens("xoxb-again"))
    [after] = await installations.list_all()
    assert (after.name, after.installed_at, after.problem) == ("Renamed", 100.0, "")
    assert not await installations.replace_tokens(before, TOKENS, 900.0)


async def test_keys_change(databases: tuple[Database, Database]) -> None:
    database = databases[0]
    await Installations(database, TokenCipher([OLD])).save_installation(ADA, TOKENS)
    both = Installations(database, TokenCipher([NEW, OLD]))
    [found] = await both.list_all()
    with pytest.raises(TokenKeyError, match="No key in KVASIR_TOKEN_KEYS opens the tokens of T1"):
        Installations(database, TokenCipher([NEW])).open_tokens(found)
    await both.seal_again(found)
    only_new = Installations(database, TokenCipher([NEW]))
    [found] = await only_new.list_all()
    assert only_new.open_tokens(found) == TOKENS


def test_tokens_of_another_workspace_are_refused() -> None:
    cipher = TokenCipher([OLD])
    with pytest.raises(TokenKeyError, match="belong to another workspace"):
        cipher.decrypt_tokens("T2", cipher.encrypt_tokens("T1", TOKENS))


def test_a_wrong_key_names_how_to_make_one() -> None:
    with pytest.raises(TokenKeyError, match="openssl rand") as caught:
        TokenCipher(["not-a-key"])
    assert "not-a-key" not in str(caught.value)


async def test_the_first_workspace_stays_the_first(databases: tuple[Database, Database]) -> None:
    one, other = (Installations(database, TokenCipher([OLD])) for database in databases)
    assert await one.find_home() == ""
    homes = await asyncio.gather(one.claim_home("T1"), other.claim_home("T2"))
    assert homes[0] == homes[1] == await one.find_home()
    await one.save_installation(ADA, TOKENS)
    await WorkspaceRows(databases[0], "T1").erase_workspace()
    assert not await other.list_all()
    assert await other.find_home() == homes[0]


async def test_what_is_stored_after_the_end_is_erased_unless_the_app_is_back(
    databases: tuple[Database, Database],
) -> None:
    installations = Installations(databases[0], TokenCipher([OLD]))
    await installations.save_installation(ADA, TOKENS)
    await WorkspaceRows(databases[1], "T1").erase_remains()
    assert await installations.find_installation("T1") is not None


async def test_a_state_counts_once_and_for_a_short_time(databases: tuple[Database, Database]) -> None:
    clock = Clock()
    one, other = (OAuthStates(database, clock.now) for database in databases)
    state, late = await one.issue_state(), await one.issue_state()
    assert await other.consume_state(state)
    assert not await one.consume_state(state)
    assert not await one.consume_state("made-up")
    clock.at += STATE_LIFETIME_S
    assert not await one.consume_state(late)


async def test_the_oldest_states_go(databases: tuple[Database, Database]) -> None:
    clock = Clock()
    states = OAuthStates(databases[0], clock.now)
    first = await states.issue_state()
    rows = [{"state": f"s{number}", "expires_at": clock.at + STATE_LIFETIME_S + number} for number in range(1_000)]
    await databases[0].write(lambda connection: connection.execute(sa.insert(tables.oauth_states), rows))
    clock.at += 1.0
    newest = await states.issue_state()
    assert not await states.consume_state(first)
    assert await states.consume_state(newest)
