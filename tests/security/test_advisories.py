"""pip-audit counts only by what it has really checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.security.advisories import NotChecked, find_advisories, list_installed, read_advisories

INSTALLED = {"aiohttp": "3.14.0", "yarl": "1.20.0"}


def report(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def clean(name: str, version: str) -> dict[str, Any]:
    return {"name": name, "version": version, "vulns": []}


SKIPPED = {"name": "yarl", "skip_reason": "Dependency not found on PyPI and could not be audited: yarl (1.20.0)"}
BAD = {"name": "Yarl", "version": "1.20.0", "vulns": [{"id": "GHSA-2", "fix_versions": []}, {"id": "CVE-1"}]}


def test_all_checked_is_clean() -> None:
    assert read_advisories(report(clean("AioHTTP", "3.14.0"), clean("yarl", "1.20.0")), INSTALLED) == []


def test_a_vulnerable_package_is_named_even_if_others_were_skipped() -> None:
    assert read_advisories(report(BAD), INSTALLED) == ["yarl 1.20.0 (CVE-1, GHSA-2)"]


@pytest.mark.parametrize(
    "text",
    [
        report(),  # exit status 0, "No known vulnerabilities found"
        report(clean("aiohttp", "3.14.0"), SKIPPED),
        report(clean("aiohttp", "3.14.0"), clean("yarl", "1.19.0")),
        report({**BAD, "version": "1.19.0"}),
        "", "null", "[]", "No known vulnerabilities found", '{"dependencies": [{}]}', '{"dependencies": [1]}',
    ],
)  # fmt: skip
def test_anything_less_is_not_checked(text: str) -> None:
    with pytest.raises(NotChecked, match=r"Check that"):
        read_advisories(text, INSTALLED)


async def test_without_a_setting_nothing_is_checked(tmp_path: Path) -> None:
    with pytest.raises(NotChecked, match=r"\[security\]"):
        await find_advisories("", tmp_path)
    with pytest.raises(NotChecked, match="cannot be read"):
        await find_advisories("none.json", tmp_path)


async def test_a_file_is_enough(tmp_path: Path) -> None:
    (tmp_path / "advisories.json").write_text(report(*(clean(*one) for one in list_installed().items())))
    assert await find_advisories("advisories.json", tmp_path) == []
    assert "kvasir" not in list_installed()


async def test_pip_audit_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-s3cret")
    monkeypatch.setenv("WIKI_TOKEN", "s3cret")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(NotChecked, match="wrote no report"):
        await find_advisories("online", tmp_path)
    seen = (tmp_path / "seen").read_text()
    assert "HTTPS_PROXY=" in seen
    assert "s3cret" not in seen


@pytest.mark.slow
async def test_the_real_pip_audit_without_a_network_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # nothing listens there
    with pytest.raises(NotChecked, match="Check that"):
        await find_advisories("online", tmp_path)
