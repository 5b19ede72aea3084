"""Tests of secrets that come from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config.environment import SECRET_VARIABLES
from bot.config.settings import load_settings
from bot.errors import SettingsError
from engine.planning.launch import remove_own_variables

TOML = '[[source]]\nname = "wiki"\nkind = "folder"\npath = "."\ntoken_env = "WIKI_TOKEN"\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "kvasir.toml").write_text(TOML)
    (tmp_path / "secrets").mkdir()
    return tmp_path


def write_secret(place: Path, name: str, text: str = "s3cret-of-{}\n") -> str:
    path = place / "secrets" / name
    path.write_text(text.format(name))
    return str(path)


def test_every_secret_may_come_from_a_file(place: Path) -> None:
    environ = {
        "SLACK_BOT_TOKEN_FILE": write_secret(place, "bot", "xoxb-1\n"),
        "SLACK_APP_TOKEN_FILE": write_secret(place, "app", "xapp-1\n"),
        "SLACK_SIGNING_SECRET_FILE": write_secret(place, "signing"),
        "KVASIR_DATABASE_URL_FILE": write_secret(place, "database", "postgresql://k:pw@h/d\n"),
        "KVASIR_ENGINE_API_KEY_FILE": write_secret(place, "engine"),
        "HF_TOKEN_FILE": write_secret(place, "hub"),
        "HTTPS_PROXY_FILE": write_secret(place, "proxy", "http://k:pw@proxy:3128\n"),
        "WIKI_TOKEN_FILE": "secrets/wiki",
    }
    write_secret(place, "wiki")
    settings = load_settings(environ, place)
    assert settings.slack is not None
    assert (settings.slack.bot_token, settings.slack.app_token) == ("xoxb-1", "xapp-1")
    assert settings.slack.signing_secret == "s3cret-of-signing"
    assert settings.database_url == "postgresql://k:pw@h/d"
    assert settings.engine.api_key == "s3cret-of-engine"
    assert settings.engine.weights_source.token == "s3cret-of-hub"
    assert settings.knowledge.sources[0].secrets == {"token": "s3cret-of-wiki"}
    for secret in ("xoxb-1", "xapp-1", "s3cret-of-wiki", "s3cret-of-engine", "s3cret-of-hub"):
        assert secret in settings.secrets, "logs mask it"
        assert secret not in repr(settings)
    shown = remove_own_variables(environ, settings.engine.hidden_variables)
    assert not shown, "no child process gets the path of a secret"


@pytest.mark.parametrize("name", sorted(SECRET_VARIABLES))
def test_each_secret_variable_knows_its_file(place: Path, name: str) -> None:
    (place / "kvasir.toml").write_text(TOML.replace('token_env = "WIKI_TOKEN"\n', ""))
    with pytest.raises(SettingsError, match=f"{name}_FILE names a file that cannot be read"):
        load_settings({f"{name}_FILE": "/nowhere"}, place)
    path = write_secret(place, "one")
    with pytest.raises(SettingsError, match=f"{name} and {name}_FILE are both set"):
        load_settings({f"{name}_FILE": path, name: "x"}, place)
    with pytest.raises(SettingsError, match="names an empty file"):
        load_settings({f"{name}_FILE": write_secret(place, "empty", " \n")}, place)


def test_a_file_in_env_counts_and_other_variables_have_none(place: Path) -> None:
    (place / "kvasir.toml").write_text(TOML.replace('token_env = "WIKI_TOKEN"\n', ""))
    write_secret(place, "engine")
    (place / ".env").write_text("KVASIR_ENGINE_API_KEY_FILE=secrets/engine\n")
    assert load_settings({}, place).engine.api_key == "s3cret-of-engine"
    (place / ".env").write_text("KVASIR_MODEL_FILE=secrets/engine\n")
    with pytest.raises(SettingsError, match="KVASIR_MODEL_FILE, which Kvasir does not know"):
        load_settings({}, place)


def test_an_unreadable_encoding_is_refused_without_its_text(place: Path) -> None:
    (place / "secrets" / "wiki").write_bytes(b"s3cret\xff")
    with pytest.raises(SettingsError, match="UnicodeDecodeError") as caught:
        load_settings({"WIKI_TOKEN_FILE": "secrets/wiki"}, place)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(SettingsError, match="WIKI_TOKEN, which is not set"):
        load_settings({}, place)


@pytest.mark.parametrize("value", ["xoxb-s3cret", "~s3cret/nobody", "s3cret\0", "s3cret" * 100])
def test_a_secret_in_place_of_a_path_is_not_repeated(place: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="WIKI_TOKEN_FILE names a file that cannot be read") as caught:
        load_settings({"WIKI_TOKEN_FILE": value}, place)
    assert "s3cret" not in str(caught.value)
