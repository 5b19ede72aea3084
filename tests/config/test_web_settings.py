"""How the web is gone to, from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config.settings import Settings, load_settings
from bot.errors import SettingsError


def loaded(folder: Path, **variables: str) -> Settings:
    (folder / "kvasir.toml").write_text('[[source]]\nname = "a"\nkind = "folder"\npath = "."\n')
    return load_settings({"KVASIR_HOME": str(folder), **variables}, folder)


def test_proxies_come_from_the_variables_that_others_read(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, HTTP_PROXY="proxy:3128", https_proxy="http://u:hunter2@proxy:3128", HTTPS_PROXY="http://other:1",
        NO_PROXY="a.company, 10.0.0.0/8", KVASIR_PROXY_RULES="x.example=socks5://s:1080,y.example=direct",
    )  # fmt: skip
    proxies = settings.knowledge.web.proxies
    assert proxies.http is not None
    assert proxies.https is not None
    assert (proxies.http.url, proxies.https.url) == ("http://proxy:3128", "http://u:hunter2@proxy:3128")
    assert proxies.no_proxy == ("a.company", "10.0.0.0/8")
    assert set(proxies.rules) == {"x.example", "y.example"}
    assert proxies.rules["y.example"] is None
    assert "http://u:hunter2@proxy:3128" in settings.secrets
    assert "hunter2" not in repr(settings.knowledge)


def test_all_proxy_is_for_both(tmp_path: Path) -> None:
    proxies = loaded(tmp_path, ALL_PROXY="socks5h://s:1080", KVASIR_PROXY_TRUSTED="true").knowledge.web.proxies
    assert proxies.http == proxies.https
    assert proxies.http is not None
    assert proxies.http.is_trusted


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTPS_PROXY": "https://u:hunter2@proxy:443"},
        {"KVASIR_PROXY_RULES": "u:hunter2@proxy"},
        {"KVASIR_CA_FILE": "/nowhere.pem"},
        {"KVASIR_CONTACT": "a b"},
        {"KVASIR_PROXY_TRUSTED": "perhaps"},
    ],
)
def test_what_cannot_be_meant_is_said_by_name(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(variables))) as caught:
        loaded(tmp_path, **variables)
    assert "hunter2" not in str(caught.value)
