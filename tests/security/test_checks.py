"""Each misconfiguration is named, and a good installation has none."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.fernet import Fernet

from bot.audit.chain import list_chains
from bot.audit.commands import DirectAuditLog
from bot.audit.entries import AuditEntry, Event
from bot.config.settings import Settings, load_settings
from bot.messages.forms.security import PROBLEMS
from bot.security.audit import SecurityAudit
from bot.security.checks import CHECKS, SEVERITIES, SecurityFacts, read_facts
from bot.security.probes import list_probes
from bot.security.report import CheckVerdict, Finding
from knowledge.settings import SourceSpec

GOOD = '[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n[access]\nowners = ["U012AB3CD"]\n'
OAUTH = {
    "SLACK_APP_TOKEN": "xapp-1", "SLACK_CLIENT_ID": "1.2", "SLACK_CLIENT_SECRET": "hush-hush",
    "KVASIR_TOKEN_KEYS": Fernet.generate_key().decode(), "KVASIR_PUBLIC_URL": "https://kvasir.example.com",
}  # fmt: skip
WORLD = '[[source]]\nname = "wiki"\nkind = "website"\nurl = "http://wiki.intra/"\nallow_hosts = ["wiki.intra"]\n'
EVIDENCE = {"rights-drift", "audit-chain", "unusual-reading", "advisories"}
ON = '[web]\nmode = "on"\n'
PLANTED: dict[str, tuple[str, dict[str, str], str]] = {
    "home-workspace": (GOOD, OAUTH, "[slack] workspaces"),
    "no-owners": (GOOD.partition("[access]")[0], {}, "[access] owners"),
    "secret-in-config": (GOOD + '# SLACK_BOT_TOKEN = "xoxb-123456789"\n', {}, "line 7 of kvasir.toml"),
    "open-ports": (
        GOOD,
        {"KVASIR_METRICS_PORT": "9464", "KVASIR_API_HOST": "0.0.0.0", "KVASIR_API_PORT": "8090"},
        "0.0.0.0:8090",
    ),
    "engine-plain": (
        GOOD,
        {"KVASIR_ENGINE_URL": "http://gpu1:30000,http://127.0.0.1:1", "KVASIR_ENGINE_API_KEY": "k"},
        "gpu1:30000",
    ),
    "engine-without-key": (GOOD, {"KVASIR_ENGINE_URL": "https://gpu1:30000"}, "gpu1:30000"),
    "storage-plain": (GOOD, {"KVASIR_DATABASE_URL": "postgresql://u:hush-hush@db/x?sslmode=prefer"}, "db:5432"),
    "source-plain": (
        GOOD + WORLD + 'authorization_env = "HEADER"\nreaders = ["*"]\n', {"HEADER": "Basic hush-hush"}, "wiki"
    ),
    "world-reads-private": (GOOD + WORLD + 'readers = ["world"]\n', {}, "wiki.intra by the source wiki"),
    "trusted-proxy": (
        GOOD + ON,
        {"HTTPS_PROXY": "http://u:hush-hush@proxy:3128", "KVASIR_PROXY_TRUSTED": "true"},
        "http://***@proxy:3128",
    ),
}  # fmt: skip


def load(folder: Path, toml: str = GOOD, **environ: str) -> Settings:
    (folder / "kvasir.toml").write_text(toml, encoding="utf-8")
    (folder / "home").mkdir(mode=0o700, exist_ok=True)
    return load_settings({"KVASIR_HOME": str(folder / "home"), **environ}, folder)


def find(facts: SecurityFacts) -> dict[str, list[str]]:
    """Return the places by the check; an ordinary account runs Kvasir."""
    facts = replace(facts, user=facts.user or 1000)
    found = {name: list(check(facts)) for name, check in CHECKS.items()}
    return {name: places for name, places in found.items() if places}


def test_all_checks_have_a_severity_and_a_text() -> None:
    assert list(PROBLEMS) == list(SEVERITIES) or set(PROBLEMS) == set(SEVERITIES)
    assert len(PROBLEMS.keys() - EVIDENCE) == 15


def test_a_good_installation_has_no_problem(tmp_path: Path) -> None:
    toml = GOOD + ON + '[slack]\nworkspaces = ["T012AB3CD"]\n'
    environ = {
        "KVASIR_ENGINE_URL": "https://gpu1:30000", "KVASIR_ENGINE_API_KEY": "k", "KVASIR_METRICS_PORT": "9464",
        "KVASIR_DATABASE_URL": "postgresql://u:p@db/x?sslmode=verify-full", "WEAVIATE_URL": "https://weaviate",
        "WEAVIATE_API_KEY": "k", "HTTPS_PROXY": "http://proxy:3128",
    }  # fmt: skip
    assert find(read_facts(load(tmp_path, toml, **OAUTH, **environ), {})) == {}
    assert find(read_facts(load(tmp_path, KVASIR_DATABASE_URL="postgresql:///x?host=/run/pg"), {})) == {}


def test_a_database_of_passages_in_plain_text_is_named(tmp_path: Path) -> None:
    tables = {"KVASIR_DATABASE_URL": "postgresql://u:p@db/x?sslmode=verify-full"}
    own = {"POSTGRESQL_URL": "postgresql://u:hush-hush@vectors/x"}
    assert find(read_facts(load(tmp_path, **tables, **own), {})) == {"storage-plain": ["vectors:5432"]}
    assert find(read_facts(load(tmp_path, **tables, KVASIR_STORE="postgresql"), {})) == {}


@pytest.mark.parametrize("name", PLANTED)
def test_each_problem_is_named_alone(tmp_path: Path, name: str) -> None:
    toml, environ, place = PLANTED[name]
    found = find(read_facts(load(tmp_path, toml, **environ), {}))
    assert found == {name: [place]}
    assert "hush" not in str(found)


def test_root_is_named(tmp_path: Path) -> None:
    assert list(CHECKS["running-as-root"](replace(read_facts(load(tmp_path), {}), user=0))) == ["user 0"]


def test_loose_modes_are_named_where_others_reach_them(tmp_path: Path) -> None:
    settings = load(tmp_path)
    home, database, env = settings.home, settings.home / "kvasir.db", tmp_path / ".env"
    for path in (database, env):
        path.touch()
        path.chmod(0o644)
    assert find(read_facts(settings, {})) == {"loose-modes": [f"{env} (644)"]}, "nobody else can open the home"
    home.chmod(0o755)
    assert find(read_facts(settings, {})) == {"loose-modes": [f"{env} (644)", f"{home} (755)", f"{database} (644)"]}
    env.chmod(0o600)
    home.chmod(0o700)
    assert find(read_facts(settings, {})) == {}


@pytest.mark.parametrize(
    "line",
    [
        'token = "abcdefgh"', "password='abcdefgh'", 'url = "https://user:pass@host/"', 'x = "AKIAABCDEFGHIJKLMNOP"',
        'API_KEY = "abcdefgh"', "-----BEGIN RSA PRIVATE KEY-----", 'k = "sk-abcdefghijklmnopqr12"',
        'k = "github_pat_11ABCDEFG0abcdefghijkl_mnop"', 'k = "glpat-abcdefghij1234567890"', 'k = "hf_abcdefghijkl12"',
        'k = "AIzaSyA1234567890abcdefghijklmnopqrstuv"', 'k = "tvly-abcdefghij1234567890"', 'pwd = "abcdefgh"',
        'k = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc"', 'auth = "Basic dXNlcjpwYXNzd29yZA=="',
        'passphrase = "abcdefgh"', "password = '''abcdefgh'''",
        'api_key = { value = "abcdefgh" }', 'password = ["abcdefgh"]',
    ],
)  # fmt: skip
def test_secrets_of_many_forms_are_seen(tmp_path: Path, line: str) -> None:
    facts = replace(read_facts(load(tmp_path), {}), config_text=line)
    assert find(facts) == {"secret-in-config": ["line 1 of kvasir.toml"]}


@pytest.mark.parametrize(
    "line",
    [
        'token_env = "CONFLUENCE_TOKEN"', 'url = "https://host:8080/a@b"', 'ssh_key = "/etc/id"', 'owners = ["U1"]',
        'token="${TOKEN}"', 'url = "https://host/?token=${TOKEN}"', 'credentials = "kvasir-123456-0a1b2c.json"',
    ],
)  # fmt: skip
def test_ordinary_lines_are_no_secrets(tmp_path: Path, line: str) -> None:
    assert find(replace(read_facts(load(tmp_path), {}), config_text=line)) == {}


SQL = '[[source]]\nname = "s"\nkind = "sql"\nurl_env = "SQL"\nkey = "id"\ntext = "t"\nquery = "select 1"\n'


@pytest.mark.parametrize(
    ("url", "is_plain"),
    [
        ("mysql+aiomysql://u:hush-hush@db.intra/x", True),
        ("postgresql://u:hush-hush@db.intra/x?sslmode=require", False),
        ("postgresql://u:hush-hush@db.intra/x?sslmode=require&sslmode=disable", True),
        ("postgresql:///x?host=db.intra", True),
        ("postgresql:///x?host=/run/postgresql", False),
        ("mysql+pymysql://u:hush-hush@127.0.0.1/x?sslmode=require", False),
        ("sqlite:///x.db", False),
    ],
)
def test_a_database_without_tls_is_named(tmp_path: Path, url: str, *, is_plain: bool) -> None:
    assert find(read_facts(load(tmp_path, GOOD + SQL, SQL=url), {})) == ({"source-plain": ["s"]} if is_plain else {})


@pytest.mark.parametrize(
    ("options", "is_plain"),
    [
        ({"url": "HTTP://wiki.intra"}, True),
        ({"url": "http://wiki.intra/?sslmode=require"}, True),
        ({"url": "webdav://files.intra/x"}, True),
        ({"url": ["https://a.intra", "http://wiki.intra"]}, True),
        ({"url": "s3://bucket", "link": "http://wiki.intra/{path}"}, False),
        ({"url": "git@git.intra:a/b.git"}, False),
    ],
)
def test_a_source_without_tls_is_named(tmp_path: Path, options: dict[str, object], *, is_plain: bool) -> None:
    settings = load(tmp_path)
    spec = SourceSpec("s", "other", options, tmp_path, secrets={"token": "hush-hush"})
    facts = SecurityFacts(replace(settings, knowledge=replace(settings.knowledge, sources=(spec,))), (), 1, "", {})
    assert list(CHECKS["source-plain"](facts)) == (["s"] if is_plain else [])


def test_a_database_by_environment_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.intra")
    assert find(read_facts(load(tmp_path, KVASIR_DATABASE_URL="postgresql:///x"), {})) == {
        "storage-plain": ["db.intra:5432"]
    }


# ── All at once, with those that ask a server ────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def open_weaviate() -> AsyncIterator[str]:
    """Serve the reply of a Weaviate that needs no key: the collection does not exist."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=404)

    app = web.Application()
    app.add_routes([web.get("/v1/schema/{name}", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_fifteen_planted_problems_are_all_named(
    tmp_path: Path, open_weaviate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = (
        PLANTED["no-owners"][0] + '# token = "abcdefgh"\n' + ON + WORLD
        + 'authorization_env = "HEADER"\nreaders = ["world"]\n'
    )  # fmt: skip
    environ = {
        **OAUTH, "HEADER": "Basic hush-hush", "WEAVIATE_URL": open_weaviate, "WEAVIATE_API_KEY": "hush-hush",
        "KVASIR_DATABASE_URL": "postgresql://u:hush-hush@db/x", "KVASIR_ENGINE_URL": "http://gpu1:30000",
        **PLANTED["open-ports"][1], **PLANTED["trusted-proxy"][1],
    }  # fmt: skip
    settings = load(tmp_path, toml, **environ)
    settings.home.chmod(0o755)

    async def find_gaps() -> list[str]:
        return ["Landlock"]

    monkeypatch.setattr("bot.security.probes.describe_jail", find_gaps)  # as on an old kernel
    report = await SecurityAudit(settings, {}).make_report()
    is_root = "running-as-root" in {one.check for one in report.select_findings(CheckVerdict.FOUND)}
    found = {one.check for one in report.select_findings(CheckVerdict.FOUND)} | (
        set() if is_root else {"running-as-root"}
    )
    assert found == PROBLEMS.keys() - EVIDENCE
    assert {one.check for one in report.select_findings(CheckVerdict.NOT_CHECKED)} == EVIDENCE
    for one in report.select_findings(CheckVerdict.FOUND):
        assert one.text.endswith("."), one
        assert "{" not in one.text
    assert "hush" not in str(report)


async def test_an_accepted_problem_is_listed_and_is_none(tmp_path: Path) -> None:
    toml, environ, _ = PLANTED["engine-without-key"]
    settings = load(tmp_path, toml + '[security]\naccept = ["engine-without-key", "running-as-root"]\n', **environ)
    report = await SecurityAudit(settings, {}).make_report()
    assert report.select_findings(CheckVerdict.FOUND) == ()
    assert "engine-without-key" in {one.check for one in report.select_findings(CheckVerdict.ACCEPTED)}


async def test_what_nothing_can_say_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> list[str]:
        raise RuntimeError("a hush-hush text of another library")

    monkeypatch.setattr("bot.security.probes.describe_jail", fail)
    settings = load(tmp_path)
    report = await SecurityAudit(settings, {}).make_report()
    reasons = {one.check: one.reason for one in report.select_findings(CheckVerdict.NOT_CHECKED)}
    assert set(reasons) == EVIDENCE | {"parser-sandbox"}
    assert "hush" not in reasons["parser-sandbox"]
    assert all(reasons.values())
    assert {*CHECKS, *list_probes(settings, None)} == set(PROBLEMS)


async def test_a_changed_audit_is_found(tmp_path: Path) -> None:
    settings = load(tmp_path)
    await DirectAuditLog(settings.audit).record(AuditEntry(Event.EXPORT, facts={"action": "report"}))
    assert "audit-chain" not in {one.check for one in await list_found(settings)}
    (path,) = list_chains(settings.audit.folder)
    path.write_bytes(path.read_bytes().replace(b"report", b"repost"))
    assert "audit-chain" in {one.check for one in await list_found(settings)}


async def list_found(settings: Settings) -> Sequence[Finding]:
    report = await SecurityAudit(settings, {}).make_report()
    assert "audit-chain" not in {one.check for one in report.select_findings(CheckVerdict.NOT_CHECKED)}
    return report.select_findings(CheckVerdict.FOUND)


async def test_a_weaviate_that_is_down_is_not_checked(tmp_path: Path) -> None:
    settings = load(tmp_path, WEAVIATE_URL="http://127.0.0.1:1", WEAVIATE_API_KEY="hush-hush")
    report = await SecurityAudit(settings, {}).make_report()
    reasons = {one.check: one.reason for one in report.select_findings(CheckVerdict.NOT_CHECKED)}
    assert "does not answer" in reasons["weaviate-anonymous"]
    assert "does not answer" in reasons["weaviate-administrator"]


async def test_reports_are_private(tmp_path: Path) -> None:
    _, path = await SecurityAudit(load(tmp_path), {}).save_report()
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path, path.with_suffix(".json"))]
    assert modes == [0o700, 0o600, 0o600]
