"""Parameters of a PostgreSQL URL, in ``KVASIR_DATABASE_URL`` and in a source of kind sql."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from knowledge.database.database import Database
from knowledge.errors import DatabaseError, DatabaseUnavailable, SourceError, SourceUnavailable
from tests.postgres import postgres_server
from tests.sources.building import build
from tests.sources.contract import listing
from tests.web.http.certificates import Authority

IS_ENCRYPTED = "SELECT ssl::text AS id FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


async def ask_database(url: str, _folder: Path) -> str:
    """Return whether Kvasir's own database has an encrypted connection."""
    database = Database(url)
    try:
        return str((await database.fetch_rows(text(IS_ENCRYPTED)))[0][0])
    finally:
        await database.close()


async def ask_source(url: str, folder: Path) -> str:
    """Return the same of a source."""
    source = build("sql", folder, secrets={"url": url}, url_env="URL", query=IS_ENCRYPTED, key="id")
    try:
        return ",".join(await listing(source))
    finally:
        await source.close()


Ask = Callable[[str, Path], Awaitable[str]]
BOTH = pytest.mark.parametrize("ask", [ask_database, ask_source])


async def test_pgbouncer_has_one_mode_and_is_for_kvasirs_database(tmp_path: Path) -> None:
    url = "postgresql://kvasir:hunter2@127.0.0.1:9/kvasir"
    with pytest.raises(DatabaseError, match="Write pgbouncer=transaction") as caught:
        Database(f"{url}?pgbouncer=session-hunter2")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SourceError, match="the parameter pgbouncer"):
        await ask_source(f"{url}?pgbouncer=transaction", tmp_path)


@BOTH
@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ("sslmod=require", "the parameter sslmod, which Kvasir does not know. Remove it, or use sslmode, sslrootcert"),
        ("sslmode=require&channel_binding=require", "has the parameter channel_binding"),
        ("hunter2!=x", "has a parameter, which Kvasir does not know"),
        ("sslmode=hunter2", "none of disable, allow, prefer, require, verify-ca, verify-full. Write one"),
        ("ssl=hunter2", "none of disable, allow"),
        ("ssl=disable&sslmode=verify-full", "has both ssl and sslmode. Remove one of them"),
        ("sslmode=verify-ca&sslrootcert=/hunter2.pem", "names a file in sslrootcert that does not exist. Write"),
    ],
)  # fmt: skip
async def test_a_parameter_that_cannot_be_meant_is_named(ask: Ask, parameters: str, named: str, tmp_path: Path) -> None:
    with pytest.raises((DatabaseError, SourceError)) as caught:
        await ask(f"postgresql://kvasir:hunter2@127.0.0.1:9/kvasir?{parameters}", tmp_path)
    assert named in str(caught.value)
    assert "hunter2" not in str(caught.value)


@dataclass(frozen=True)
class Server:
    url: str
    ca_file: Path
    other_ca_file: Path


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with a certificate for ``localhost``."""
    folder, other = tmp_path_factory.mktemp("ca"), tmp_path_factory.mktemp("other")
    authority = Authority(folder)
    authority.server("localhost")
    with postgres_server(folder / "localhost.pem") as url:
        yield Server(url, authority.ca_file, Authority(other).ca_file)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize(
    ("host", "parameters", "is_encrypted"),
    [
        ("127.0.0.1", "", "true"),
        ("127.0.0.1", "?sslmode=disable", "false"),
        ("127.0.0.1", "?sslmode=allow", "false"),
        ("127.0.0.1", "?sslmode=prefer", "true"),
        ("127.0.0.1", "?sslmode=require", "true"),
        ("127.0.0.1", "?ssl=require", "true"),
        ("127.0.0.1", "?sslmode=require&application_name=kvasir", "true"),
        ("127.0.0.1", "?sslmode=verify-ca&sslrootcert={ca}", "true"),
        ("localhost", "?sslmode=verify-full&sslrootcert={ca}", "true"),
    ],
)
async def test_ssl_modes_of_a_server_with_a_certificate(
    ask: Ask, encrypted: Server, host: str, parameters: str, is_encrypted: str, tmp_path: Path
) -> None:
    url = encrypted.url.replace("127.0.0.1", host) + parameters.format(ca=encrypted.ca_file)
    assert await ask(url, tmp_path) == is_encrypted


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize(
    "parameters",
    [
        "?sslmode=require&sslrootcert={other}",
        "?sslmode=verify-ca&sslrootcert={other}",
        "?sslmode=verify-full&sslrootcert={ca}",
        "?sslmode=verify-full",
    ],
)
async def test_a_certificate_that_does_not_prove_the_server_is_refused(
    ask: Ask, encrypted: Server, parameters: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 127.0.0.1 the certificate has the wrong name."""
    monkeypatch.setenv("HOME", str(tmp_path))  # where ``~/.postgresql/root.crt`` would be
    with pytest.raises((DatabaseUnavailable, SourceUnavailable)) as caught:
        await ask(encrypted.url + parameters.format(ca=encrypted.ca_file, other=encrypted.other_ca_file), tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
async def test_a_server_without_a_certificate_answers_where_none_is_required(
    ask: Ask, postgres: str, mode: str, tmp_path: Path
) -> None:
    assert await ask(f"{postgres}?sslmode={mode}", tmp_path) == "false"


@pytest.mark.slow
@BOTH
async def test_a_required_certificate_that_a_server_lacks_is_an_error(ask: Ask, postgres: str, tmp_path: Path) -> None:
    with pytest.raises((DatabaseUnavailable, SourceUnavailable)) as caught:
        await ask(f"{postgres}?sslmode=require", tmp_path)
    assert "secret" not in str(caught.value)
