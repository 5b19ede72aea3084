"""Tests of ``kvasir doctor --egress`` and ``kvasir doctor --security``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.__main__ import OK, WRONG_USE, main
from bot.messages.forms.security import PROBLEMS

TOML = '[[source]]\nname = "docs"\nkind = "folder"\npath = "."\nsuffixes = [".md"]\n[access]\nowners = ["U012AB3CD"]\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KVASIR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KVASIR_ENGINE_URL", "http://gpu1:30000")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "kvasir.toml").write_text(TOML + '[security]\naccept = ["running-as-root"]\n')
    return tmp_path


def test_egress_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--egress"]) == OK
    lines = capsys.readouterr().out.splitlines()
    assert "gpu1:30000                  the engine" in lines
    assert "127.0.0.1:3000              the workspace on this machine" in lines
    assert main(["doctor", "--egress", "--json"]) == OK
    found = json.loads(capsys.readouterr().out)["destinations"]
    assert {"host": "gpu1", "port": "30000", "reason": "the engine"} in found
    assert len(found) == len(lines) - 1


def test_a_wrong_source_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "foldr"\npath = "."\n')
    assert main(["doctor", "--egress"]) == 1
    assert "there is no kind “foldr”" in capsys.readouterr().err


def test_an_unknown_check_cannot_be_accepted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "kvasir.toml").write_text(TOML + '[security]\naccept = ["engine-plan"]\n')
    assert main(["doctor", "--security"]) == WRONG_USE
    assert "there is no check 'engine-plan'. Did you mean engine-plain?" in capsys.readouterr().err.replace(
        "“", ""
    ).replace("”", "")


@pytest.mark.slow
def test_security_as_text_and_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--security"]) == 1
    out = capsys.readouterr().out
    assert "found        high    engine-plain: Prompts travel unencrypted to gpu1:30000. Put TLS" in out
    assert "clean        medium  no-owners\n" in out
    assert "not checked  high    advisories: Set advisories under [security]" in out
    assert "clean        medium  rights-drift\n" in out, "the library was opened"
    assert main(["doctor", "--security", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {one["check"] for one in report["findings"]} == set(PROBLEMS)
    assert (report["ok"], report["earlier"]) == (False, None)
    assert not (folder / "home" / "security").exists()
