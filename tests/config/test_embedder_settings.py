"""The variables of an embedder and a reranker behind HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config.environment import list_secret_variables
from bot.config.settings import Settings, list_plain_variables, load_settings
from bot.errors import SettingsError
from bot.security.egress import list_egress
from knowledge.embedding import EMBEDDERS
from knowledge.embedding.http_api.settings import HttpEmbedderSettings

KEYS = {"KVASIR_EMBEDDER_API_KEY": "sk-embed-5ecret", "KVASIR_RERANKER_API_KEY": "sk-rank-5ecret"}
EMBEDDER = {"KVASIR_EMBEDDER_URL": "http://gpu-1:8080/v1/", "KVASIR_EMBEDDER_MODEL": "BAAI/bge-m3"}
RERANKER = {"KVASIR_RERANKER_URL": "https://gpu-2/v1/rerank", "KVASIR_RERANKER_MODEL": "bge-reranker-v2-m3"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n')
    return tmp_path


def read_options(settings: Settings) -> HttpEmbedderSettings:
    options = settings.knowledge.embedder.options["settings"]
    assert isinstance(options, HttpEmbedderSettings)
    return options


def test_without_an_address_the_default_embeds_and_nothing_orders(place: Path) -> None:
    knowledge = load_settings({}, place).knowledge
    assert knowledge.embedder is EMBEDDERS[0]
    assert knowledge.reranker is None


def test_an_address_chooses_the_server(place: Path) -> None:
    lines = ['KVASIR_EMBEDDER_QUERY_PREFIX="query: "', r'KVASIR_EMBEDDER_PASSAGE_PREFIX="Instruct: x\nText:"']
    (place / ".env").write_text("\n".join([*lines, "KVASIR_EMBEDDER_TOKENIZER=models/tokenizer.json"]))
    options = read_options(load_settings(EMBEDDER | {"KVASIR_EMBEDDER_CONCURRENCY": "4"}, place))
    assert (options.address.url, options.address.host, options.model) == (
        "http://gpu-1:8080",
        "gpu-1:8080",
        "BAAI/bge-m3",
    )
    assert (options.query_prefix, options.passage_prefix) == ("query: ", "Instruct: x\nText:")
    assert options.tokenizer == place / "models" / "tokenizer.json"
    assert (options.batch, options.concurrency) == (32, 4)


@pytest.mark.parametrize("missing", EMBEDDER)
def test_half_an_embedder_is_refused(place: Path, missing: str) -> None:
    with pytest.raises(SettingsError, match=rf"is set, but {missing} is not\. Set it in \.env"):
        load_settings({name: value for name, value in EMBEDDER.items() if name != missing}, place)


def test_an_address_with_a_password_is_refused(place: Path) -> None:
    for name in ("KVASIR_EMBEDDER_URL", "KVASIR_RERANKER_URL"):
        with pytest.raises(SettingsError, match="without a name or password") as raised:
            load_settings(EMBEDDER | RERANKER | {name: "http://me:s3cret@gpu-1"}, place)
        assert "s3cret" not in str(raised.value)


def test_keys_are_secret_and_addresses_are_listed(place: Path) -> None:
    settings = load_settings(EMBEDDER | RERANKER | KEYS, place)
    assert set(KEYS.values()) <= set(settings.secrets)
    assert set(KEYS) <= list_secret_variables()
    assert set(KEYS.values()).isdisjoint(list_plain_variables(KEYS, settings).values())
    for text in (repr(settings), repr(settings.knowledge), repr(read_options(settings))):
        assert "5ecret" not in text
    listed = {(str(one), one.reason) for one in list_egress(settings, {})}
    assert {("gpu-1:8080", "the embedder"), ("gpu-2:443", "the reranker")} <= listed
