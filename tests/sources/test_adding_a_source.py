"""The page that shows how a source is added keeps its promise: short code, installed by an entry point, listed."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from knowledge.errors import SourceMisconfigured
from tests.sources.bench_page import block
from tests.sources.building import build

_ASK = """
import asyncio, sys
from pathlib import Path
from tests.sources.building import build
from tests.sources.contract import listing

async def main():
    source = build("zip", Path(sys.argv[1]), path="export.zip")
    listed = await listing(source)
    print({name: (await source.read(one)).data for name, one in listed.items()})

asyncio.run(main())
"""


_BACKEND = """
import tomllib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    made = tomllib.load(open("pyproject.toml", "rb"))
    name = made["project"]["name"].replace("-", "_")
    version = made["project"]["version"]
    about = f"{name}-{version}.dist-info"
    points = [f"[{group}]\\n" + "\\n".join(f"{k} = {v}" for k, v in found.items()) + "\\n"
              for group, found in made["project"]["entry-points"].items()]
    files = {f"{module}.py": open(f"{module}.py").read() for module in made["tool"]["setuptools"]["py-modules"]}
    files[f"{about}/METADATA"] = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
    files[f"{about}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{about}/entry_points.txt"] = "".join(points)
    files[f"{about}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return f"{name}-{version}-py3-none-any.whl"
"""
"""What setuptools makes, so that no build needs the network."""


def test_the_code_of_the_page_is_short() -> None:
    lines = [line for line in block("python").splitlines() if line.strip() and not line.startswith('"""')]
    assert len(lines) < 40


@pytest.mark.slow
def test_a_distribution_can_add_a_kind(tmp_path: Path) -> None:
    package = tmp_path / "our-sources"
    package.mkdir()
    (package / "our_sources.py").write_text(block("python"))
    (package / "backend.py").write_text(_BACKEND)
    ours = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (package / "pyproject.toml").write_text(
        re.sub(r"^requires = .*\nbuild-backend = .*\n", ours, block("toml"), flags=re.MULTILINE)
    )
    install = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--offline",
        "--no-build-isolation",
    ]
    subprocess.run(
        [*install, "--python", sys.executable, "--target", str(tmp_path / "site"), str(package)], check=True, timeout=60
    )
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("a.md", "# A")
    root = Path(__file__).parents[2]
    outcome = subprocess.run(
        [sys.executable, "-c", _ASK, str(tmp_path)],
        env={"PYTHONPATH": f"{tmp_path / 'site'}:{root}"}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert outcome.stdout.strip() == "{'a.md': b'# A'}", outcome.stderr


@pytest.mark.parametrize(
    ("code", "value", "says"),
    [
        ("KIND = 3", "broken_kind:KIND", "is not a SourceKind"),
        ("import no_such_package_at_all", "broken_kind:KIND", "cannot be loaded (ModuleNotFoundError)"),
        ("", "broken_kind:KIND", "cannot be loaded (AttributeError)"),
    ],
)
def test_a_broken_distribution_is_reported(
    code: str, value: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_kind.py").write_text(code)
    (tmp_path / "broken-1.dist-info").mkdir()
    (tmp_path / "broken-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (tmp_path / "broken-1.dist-info" / "entry_points.txt").write_text(f"[kvasir.sources]\nbroken = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_kind", raising=False)
    with pytest.raises(SourceMisconfigured) as caught:
        build("broken", tmp_path)
    assert says in str(caught.value)
    with pytest.raises(SourceMisconfigured, match="Did you mean “broken”"):
        build("brokn", tmp_path)
