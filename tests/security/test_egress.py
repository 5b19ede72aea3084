"""What Kvasir may connect to follows from its configuration, and every kind of part names its own addresses."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yarl

from bot.config.settings import Settings, load_settings
from bot.security.egress import list_egress
from knowledge.embedding import EMBEDDERS
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from knowledge.stores.registry import STORES
from knowledge.web.http.settings import WebSettings
from knowledge.web.live_settings import PROVIDERS

FOLDER = '[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n'
ANY_PUBLIC = {"*:80", "*:443"}
AWS = {
    "*.amazonaws.com:443", "*.amazonaws.com.cn:443", "169.254.169.254:80", "169.254.170.2:80", "169.254.170.23:80",
    "[fd00:ec2::23]:80",
}  # fmt: skip


def load(folder: Path, toml: str = FOLDER, **environ: str) -> Settings:
    (folder / "kvasir.toml").write_text(toml, encoding="utf-8")
    return load_settings({"KVASIR_HOME": str(folder / "home"), **environ}, folder)


def reach(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, set[str]]:
    """Return ``host:port`` by the reason."""
    found: dict[str, set[str]] = {}
    for one in list_egress(settings, environ or {}):
        found.setdefault(one.reason, set()).add(str(one))
    return found


def test_the_ray_cluster_is_listed(tmp_path: Path) -> None:
    settings = load(tmp_path, KVASIR_RAY_ADDRESS="ray://head:10001", RAY_AUTH_TOKEN="s3cret-token")
    assert reach(settings)["the Ray cluster"] == {"head:10001"}
    assert "s3cret-token" in settings.secrets, "no log shows it"
    assert "s3cret-token" not in repr(settings.knowledge)


# ── Every part of every registry declares its addresses ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", registry.KINDS)
def test_each_kind_of_source_names_its_addresses(kind: str) -> None:
    assert importlib.import_module(registry.KINDS[kind]).KIND.list_addresses is not None, f"{kind} declares none"


@pytest.mark.parametrize("name", STORES)
def test_each_store_names_its_addresses(name: str) -> None:
    variables = {
        "WEAVIATE_URL": "https://w1:8080,http://w2",
        "WEAVIATE_GRPC_URL": "https://w1:1,http://w2:2",
        "POSTGRESQL_URL": "postgresql://kvasir:secret@vectors:6432/kvasir",
        "OPENSEARCH_URL": "https://o1:9200, http://o2",
        "ELASTICSEARCH_URL": "https://e1:9200",
    }
    expected = {
        "weaviate": ["https://w1:8080", "https://w1:1", "http://w2:8080", "http://w2:2"],
        "postgresql": ["postgresql://vectors:6432"],
        "opensearch": ["https://o1:9200", "http://o2"],
        "elasticsearch": ["https://e1:9200"],
        "lancedb": [],
    }
    assert list(STORES[name].list_addresses(variables)) == expected[name]


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_search_provider_names_the_host_that_it_calls(name: str) -> None:
    spec = PROVIDERS[name]
    module = importlib.import_module(spec.implementation.partition(":")[0])
    called = yarl.URL(module.URL).origin() if spec.needs == "key" else ""
    assert str(called) == spec.address


def test_each_embedder_names_its_addresses() -> None:
    assert [spec.addresses for spec in EMBEDDERS] == [()]


def test_a_kind_of_another_package_without_addresses_may_connect_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclasses.dataclass(frozen=True)
    class Options:
        path: str

    def find_kind(_spec: SourceSpec, _others: object) -> registry.SourceKind:
        return registry.SourceKind(Options, lambda *_: pytest.fail("nothing is built"))

    monkeypatch.setattr(registry, "_find_kind", find_kind)
    assert registry.list_addresses(SourceSpec("zip", "zip", {"path": "x"}, tmp_path), WebSettings()) == ("*:*",)


# ── What a configuration leads to ────────────────────────────────────────────────────────────────────────────────────


def test_a_first_try_reaches_this_machine_and_downloads(tmp_path: Path) -> None:
    assert reach(load(tmp_path)) == {
        "the workspace on this machine": {"127.0.0.1:3000"},
        "the engine": {"127.0.0.1:*"},
        "the weights of models": {"huggingface.co:443", "*.huggingface.co:443", "*.hf.co:443"},
        "the package index": {"pypi.org:443", "files.pythonhosted.org:443"},
    }


def test_an_installation_for_a_company(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        FOLDER + '[web]\nmode = "listed"\ndomains = ["example.com"]\nprivate = ["wiki.intra:8080"]\n'
        '[security]\nadvisories = "online"\n',
        SLACK_BOT_TOKEN="xoxb-1",
        SLACK_APP_TOKEN="xapp-1",
        KVASIR_ENGINE_URL="https://gpu1:30000, http://gpu2/v1",
        KVASIR_ENGINE_API_KEY="key",
        KVASIR_DATABASE_URL="postgresql://kvasir:secret@db.intra/kvasir?host=a.intra:6432&host=b.intra",
        WEAVIATE_URL="http://weaviate:8080",
        KVASIR_SEARXNG_URL="http://searxng:8080",
        BRAVE_API_KEY="key",
        HTTPS_PROXY="http://user:secret@proxy.intra:3128",
    )
    environ = {
        "UV_DEFAULT_INDEX": "https://user:secret@packages.intra/index",
        "UV_INDEX": "torch=https://torch.intra/x",
    }
    found = reach(settings, environ)
    assert found == {
        "Slack": {"slack.com:443", "*.slack.com:443"},
        "the engine": {"gpu1:30000", "gpu2:80"},
        "the database": {"a.intra:6432", "b.intra:5432"},
        "the store": {"weaviate:8080", "weaviate:50051"},
        "web search": {"searxng:8080", "api.search.brave.com:443"},
        "the live web": {
            "example.com:80", "example.com:443", "*.example.com:80", "*.example.com:443", "wiki.intra:8080"
        },
        "a proxy": {"proxy.intra:3128"},
        "the package index": {"packages.intra:443", "torch.intra:443"},
        "advisories": {"api.osv.dev:443"},
    }  # fmt: skip
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("environ", "reason", "expected"),
    [
        ({"HF_ENDPOINT": "https://mirror.intra:8443/hf"}, "the weights of models", {"mirror.intra:8443", "*:443"}),
        ({"KVASIR_WEIGHTS": "/srv/weights"}, "the weights of models", None),
        ({"KVASIR_WEIGHTS": "s3://b/p"}, "the weights of models", AWS),
        ({"KVASIR_DATABASE_URL": "postgresql://u:p@[::1]:5433/x"}, "the database", {"[::1]:5433"}),
        ({"KVASIR_DATABASE_URL": "postgresql:///x?host=/run/postgresql"}, "the database", None),
        ({"KVASIR_SANDBOX_PORT": "0"}, "the workspace on this machine", {"127.0.0.1:*"}),
        ({"SLACK_API_URL": "https://slack-gov.com/api/", "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"},
         "Slack", {"slack-gov.com:443", "*.slack-gov.com:443"}),
        ({"SLACK_API_URL": "http://127.0.0.1:9/api/", "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"},
         "Slack", {"127.0.0.1:9"}),
    ],
)  # fmt: skip
def test_a_variable(tmp_path: Path, environ: dict[str, str], reason: str, expected: set[str] | None) -> None:
    assert reach(load(tmp_path, **environ)).get(reason) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@/db?host=db.intra&port=6432", {"db.intra:6432"}),
        ("postgresql://u@/db?host=a.intra,b.intra&port=1,2", {"a.intra:1", "b.intra:2"}),
        ("postgresql://u@db.intra:7/db", {"db.intra:7"}),
        ("postgresql://u@db.intra/db", {"db.intra:6000"}),
        ("postgresql:///db", {"pg.intra:6000"}),
        ("postgresql:///db?host=/run/postgresql", None),
    ],
)
def test_a_database_is_where_the_driver_finds_it(
    tmp_path: Path, url: str, expected: set[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "pg.intra")
    monkeypatch.setenv("PGPORT", "6000")
    assert reach(load(tmp_path, KVASIR_DATABASE_URL=url)).get("the database") == expected


SITE = {"example.com:80", "example.com:443", "*.example.com:80", "*.example.com:443"}
SOURCES: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"kind": "website", "url": "https://www.example.com/docs"}, SITE),
    ({"kind": "website", "url": "https://example.com", "sitemap": "https://cdn.example.net/s.xml"},
     SITE | {"cdn.example.net:80", "cdn.example.net:443", "*.cdn.example.net:80", "*.cdn.example.net:443"}),
    ({"kind": "website", "url": "http://10.0.0.7:8080/", "allow_hosts": ["10.0.0.7:8080"]}, {"10.0.0.7:8080"}),
    ({"kind": "feed", "url": "https://example.com/feed"}, ANY_PUBLIC),
    ({"kind": "pages", "allow_hosts": ["wiki.intra"]}, {*ANY_PUBLIC, "wiki.intra:80", "wiki.intra:443"}),
    ({"kind": "push"}, set()),
    ({"kind": "git", "repository": "https://github.com/a/b.git"}, {"github.com:443", "*:443"}),
    ({"kind": "git", "repository": "git@git.intra:a/b.git"}, {"git.intra:22"}),
    ({"kind": "git", "repository": "ssh://git@git.intra:2222/a/b.git"}, {"git.intra:2222"}),
    ({"kind": "git", "repository": "./folder"}, set()),
    ({"kind": "objects", "url": "s3://bucket", "key_env": "A", "secret_env": "A"},
     {"*.amazonaws.com:443", "*.amazonaws.com.cn:443"}),
    ({"kind": "objects", "url": "s3://bucket", "endpoint_url": "http://minio.intra:9000"},
     {"minio.intra:9000"} | AWS),
    ({"kind": "objects", "url": "gs://bucket"},
     {"*.googleapis.com:443", "169.254.169.254:80", "metadata.google.internal:80"}),
    ({"kind": "objects", "url": "gs://bucket", "anonymous": True}, {"*.googleapis.com:443"}),
    ({"kind": "objects", "url": "az://box", "connection_env": "A"},
     {"*.core.windows.net:443", "login.microsoftonline.com:443"}),
    ({"kind": "objects", "url": "sftp://files.intra/x"}, {"files.intra:22"}),
    ({"kind": "sql", "url_env": "SQL", "key": "id", "text": "t", "query": "select 1"}, {"sql.intra:3306"}),
    ({"kind": "notion", "token_env": "A", "rights": "ignore"}, {"api.notion.com:443"}),
    ({"kind": "confluence", "url": "https://x.atlassian.net", "token_env": "A"},
     {"x.atlassian.net:443", "*.atlassian.net:443", "*.atlassian.com:443"}),
    ({"kind": "confluence", "url": "https://wiki.intra", "token_env": "A"}, {"wiki.intra:443"}),
    ({"kind": "drive", "credentials_env": "GOOGLE"},
     {"www.googleapis.com:443", "*.googleapis.com:443", "*.googleusercontent.com:443", "token.intra:443"}),
    ({"kind": "slack"}, set()),
)  # fmt: skip


@pytest.mark.parametrize(
    ("table", "expected"), SOURCES, ids=lambda one: str(one.get("url", "")) if isinstance(one, dict) else ""
)
def test_a_source(tmp_path: Path, table: dict[str, Any], expected: set[str]) -> None:
    toml = '[[source]]\nname = "s"\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    google = json.dumps({"token_uri": "https://token.intra/token"})
    settings = load(tmp_path, toml, A="secret", SQL="mysql+pymysql://u:secret@sql.intra/x", GOOGLE=google)
    assert reach(settings).get("the source s", set()) == expected
    assert "secret" not in str(list_egress(settings, {}))


def test_the_sources_of_the_table_are_of_every_kind() -> None:
    assert {table["kind"] for table, _ in SOURCES} | {"folder"} == {*registry.KINDS, "slack"}


def test_onnxruntime_reports_nothing_to_its_maker() -> None:
    """It reads the variable once, when it is loaded; ``tests/e2e/test_egress.py`` sees that nothing leaves."""
    code = (
        "import sys, os, knowledge.embedding.local\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    )
    environ = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=environ, timeout=120)
