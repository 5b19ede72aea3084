"""Tests of CONTRIBUTING.md's recipes that change files of Kvasir: each is followed on a copy, which runs its own tests.

The recipes of kinds of sources, stores, embedders, rerankers, languages and features have tests of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
FOLDERS = ("bot", "deploy", "docs", "engine", "knowledge", "requirements", "scripts", "tests")


class Checkout:
    """A copy of Kvasir in which a developer changes files and runs commands."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in FOLDERS:
            shutil.copytree(ROOT / name, root / name)
        for file in (*ROOT.glob("*.md"), *(ROOT / name for name in (".env.example", "Makefile", "pyproject.toml"))):
            shutil.copy2(file, root)
        (root / ".venv").symlink_to(ROOT / ".venv")

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text, encoding="utf-8")

    def insert(self, path: str, before: str, text: str) -> None:
        """Insert a text before the first place where another one begins."""
        whole = self.read(path)
        assert before in whole, f"{path} has no {before!r}: repair the recipe"
        self.write(path, whole.replace(before, f"{text}{before}", 1))

    def append(self, path: str, text: str) -> None:
        self.write(path, f"{self.read(path)}{text}")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, whose packages hide those of this checkout."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("KVASIR_", "PYTEST_"))}
        return subprocess.run(  # noqa: PLW1510 - `call` checks it
            command, cwd=self.root, env=environ | {"PYTHONPATH": str(self.root)}, text=True, capture_output=True
        )

    def call(self, *command: str) -> str:
        """Run a command that must succeed, and return what it writes."""
        done = self.run(*command)
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def python(self, code: str) -> str:
        return self.call(sys.executable, "-c", code).strip()

    def test(self, *tests: str) -> str:
        """Run tests of the copy, and return the summary of those that failed; empty if all passed."""
        done = self.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
        assert done.returncode in (0, 1), f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return "\n".join(line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR")))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "kvasir")


READ = """
from pathlib import Path
from bot.config.environment import read_environment
from bot.config.settings import load_settings

def load(**environ):
    return load_settings(environ, Path())

print({})
"""
"""Prints something of the settings in the copy."""

SOURCE = '[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n'

PROVIDER = '''\
"""Search by Trove."""

from collections.abc import Sequence

from knowledge.web.http.fetch import Fetcher
from knowledge.web.searching.provider_api import ProviderApi, ProviderEndpoint
from knowledge.web.searching.result_parsing import get_member, parse_results


class Trove(ProviderApi):
    """Searches by Trove."""

    name = "trove"

    def __init__(self, key: str, fetcher: Fetcher, url: str = "https://trove.example/find") -> None:
        super().__init__(ProviderEndpoint("Trove", url, {"x-trove-key": key}), fetcher)

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        """Return the addresses."""
        body = {"q": query, "most": limit, "hosts": sorted(domains)}
        return parse_results(get_member(await self.post_json(body), "found"), limit)
'''
SERVER = """\
class FakeTrove(Fake):
    def refusal(self, request: web.Request) -> web.Response | None:
        return None if request.headers.get("x-trove-key") == KEY else web.json_response({}, status=401)

    async def results(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body["q"])
        return web.json_response({"found": [{"url": one.url} for one in self.matching(body["hosts"])[: body["most"]]]})


"""


def test_a_search_provider(checkout: Checkout) -> None:
    checkout.write("knowledge/web/searching/trove.py", PROVIDER)
    checkout.insert(
        "knowledge/web/live_settings.py",
        '        ProviderSpec("sitemap"',
        '        ProviderSpec(\n            "trove", "key", "TROVE_API_KEY", "knowledge.web.searching.trove:Trove",'
        ' address="https://trove.example/find"\n        ),\n',
    )
    checkout.insert("tests/web/searching/fake_providers.py", "class FakeSerper(", SERVER)
    bench = "tests/web/searching/provider_bench.py"
    checkout.insert(bench, "from knowledge.web.searching.tavily", "from knowledge.web.searching.trove import Trove\n")
    checkout.write(bench, checkout.read(bench).replace("FakeTavily\n", "FakeTavily, FakeTrove\n", 1))
    checkout.insert(bench, "}\n\n\n@dataclass\nclass Bench", '    "trove": Kind(FakeTrove, Trove),\n')
    contract = ("tests/web/searching/test_contract.py", "-k", "trove and (order or limit or key)")
    assert checkout.test(*contract) == ""

    compared = "tests/config/test_live_settings.py"
    assert "test_each_provider_is_documented" in checkout.test(compared)
    checkout.insert(
        "bot/config/environment.py",
        "    BRAVE_API_KEY: ",
        '    TROVE_API_KEY: SecretStr | None = env_field("The key of Trove.")\n',
    )
    checkout.append(".env.example", "TROVE_API_KEY=\n")
    checkout.insert("docs/live-web.md", "| `sitemap`", "| `trove` | `TROVE_API_KEY` |\n")
    checkout.call(sys.executable, "scripts/make_configuration.py")
    assert checkout.test(compared, "tests/config/test_settings.py") == ""
    checkout.write("kvasir.toml", SOURCE + '[web]\nsearch = ["trove"]\n')
    assert checkout.python(READ.format("load(TROVE_API_KEY='k').knowledge.live.search.provider_order")) == "('trove',)"


def test_a_message(checkout: Checkout) -> None:
    message = 'LUNCH = Message("{count} lunches.", "{count} 份午餐。", "{count} lunch.")\n'
    checkout.append("bot/messages/answers.py", message.replace("{count} 份", "几份"))
    assert "test_both_languages" in checkout.test("tests/messages", "-k", "both_languages")
    checkout.write("bot/messages/answers.py", checkout.read("bot/messages/answers.py").replace("几份", "{count} 份"))
    assert "test_every_text_is_used" in checkout.test("tests/messages", "-k", "every_text_is_used")
    checkout.write(
        "bot/answering/lunches.py",
        "from bot.messages import answers\nfrom bot.messages.message import render_message\n\n"
        "def count_lunches(count, language):\n    return render_message(answers.LUNCH, language, count=count)\n",
    )
    assert checkout.test("tests/messages") == ""
    shown = checkout.python(
        "from bot.answering.lunches import count_lunches as count\n"
        "print(count(1, 'en'), count(2, 'en'), count(2, 'zh'))"
    )
    assert shown == "1 lunch. 2 lunches. 2 份午餐。"


def test_a_profile(checkout: Checkout) -> None:
    shipped = "bot/profiles/shipped"
    shutil.copytree(checkout.root / shipped / "kyc", checkout.root / shipped / "lease")
    (checkout.root / shipped / "lease" / "sample.md").write_text("The rent is 900 EUR a month.\n", encoding="utf-8")
    assert "lease/sample.md" in checkout.test("tests/profiles/test_extraction.py", "-k", "sample")
    profile = checkout.read(f"{shipped}/lease/profile.toml").partition("[[fields]]")[0]
    field = """
[[fields]]
name = "rent"
type = "amount"
title = { en = "Rent", zh = "租金" }
question = { en = "What is the rent?", zh = "租金是多少？" }
patterns = ['rent is (?P<value>\\d+ EUR)']
"""
    checkout.write(f"{shipped}/lease/profile.toml", profile + field)
    assert (
        checkout.test("tests/profiles", "tests/cli/test_profiles.py", "-m", "not slow", "-k", "sample or shipped") == ""
    )
    assert "lease" in checkout.call(sys.executable, "-m", "bot", "profiles")


def test_a_setting(checkout: Checkout) -> None:
    compared = "tests/config/test_settings.py"
    checkout.insert(
        "bot/config/models.py",
        "    unsupported: Unsupported = toml_field(",
        '    jokes: int = toml_field(0, "a number from 0 to 9", "How many jokes an answer has.", ge=0, le=9)\n',
    )
    checkout.insert(
        "bot/config/environment.py",
        "    BRAVE_API_KEY: ",
        '    KVASIR_LUNCH: str = env_field("Where you eat.", "a text", "here")\n',
    )
    configuration = "bot/config/configuration.py"
    checkout.insert(configuration, "    apps: frozenset[str]", "    jokes: int = 0\n")
    checkout.insert(configuration, "        unsupported=answers.unsupported,", "        jokes=answers.jokes,\n")
    assert "test_the_reference_is_what_the_models_say" in checkout.test(compared)
    checkout.call(sys.executable, "scripts/make_configuration.py")
    assert "test_the_example_lists_every_variable" in checkout.test(compared)
    checkout.append(".env.example", "KVASIR_LUNCH=\n")
    assert checkout.test(compared) == ""
    page = checkout.read("docs/configuration.md")
    assert '| `KVASIR_LUNCH` | `"here"` | Where you eat. Accepts a text. |' in page
    assert "| `jokes` | `0` | How many jokes an answer has. Accepts a number from 0 to 9. |" in page

    checkout.write("kvasir.toml", f"{SOURCE}[answers]\njokes = 3\n")
    assert checkout.python(READ.format("read_environment({}).KVASIR_LUNCH, load().configuration.jokes")) == "here 3"
    checkout.write("kvasir.toml", f"{SOURCE}[answers]\njokes = 12\n")
    refused = checkout.run(sys.executable, "-c", READ.format("load()")).stderr
    assert "jokes should be a number from 0 to 9." in refused


REVISION = '''\
"""The lunches that people order."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{previous}"
compatible_since = "{previous}"


def upgrade() -> None:
    """Make the table, and the new column."""
    op.create_table("bot_lunches", sa.Column("person", sa.String(32), primary_key=True))
    op.add_column("bot_installations", sa.Column("lunches", sa.Integer, nullable=False, server_default="0"))
'''


def test_a_table_and_a_column(checkout: Checkout) -> None:
    tables = "bot/storage/tables.py"
    newest = max((ROOT / "bot" / "storage" / "versions").glob("r*.py")).name[1:5]
    following = f"{int(newest) + 1:04}"
    checkout.insert(
        tables,
        "def insert_into(",
        'lunches = sa.Table("bot_lunches", tables, sa.Column("person", sa.String(32), primary_key=True))\n',
    )
    column = '    sa.Column("lunches", sa.Integer, nullable=False, server_default="0"),\n'
    checkout.insert(tables, '    sa.Column("problem", sa.String(64), nullable=False),\n', column)
    compared = ("tests/database/test_migrations.py", "-m", "not slow")
    assert "test_the_revisions_make_the_tables" in checkout.test(*compared, "-k", "revisions_make_the_tables")
    revision = REVISION.format(revision=following, previous=newest)
    checkout.write(f"bot/storage/versions/r{following}_lunches.py", revision)
    assert "test_the_newest_revision_is_the_last" in checkout.test(*compared, "-k", "newest_revision_is_the_last")
    checkout.write(tables, checkout.read(tables).replace(f'newest="{newest}"', f'newest="{following}"'))
    assert checkout.test(*compared) == ""


def test_a_page_of_the_documentation(checkout: Checkout) -> None:
    checkout.write(
        "docs/canteen.md",
        "# The canteen\n\nFor people who are hungry.\n\n## When does the canteen open?\n\n"
        "The canteen opens at half past eleven on each working day.\n",
    )
    listed = "tests/deploy/test_documentation.py"
    assert "test_the_readme_lists_every_page" in checkout.test(listed)
    checkout.append("README.md", "\n[The canteen](docs/canteen.md)\n")
    assert checkout.test(listed) == ""
    own = "tests/search/test_own_documents.py"
    asked = '        ("what time does the canteen open?", "canteen.md"),\n'
    checkout.insert(own, '        ("how do I add a source?"', asked)
    for page in (checkout.root / "docs").glob("*.md"):
        if page.name not in {"canteen.md", "profiles.md", "threat-model.md"}:
            page.unlink()  # to embed few pages
    assert checkout.test(own, "-k", "canteen") == ""


def test_a_dependency(checkout: Checkout) -> None:
    checkout.insert("pyproject.toml", '  "pydantic>=', '  "idna>=3",\n')
    checkout.call("make", "-o", "dev", "requirements")  # in the environment of this checkout
    pinned = checkout.read("requirements/kvasir.txt")
    (entry,) = re.findall(r"^idna==.*\n(?: .*\n)+", pinned, flags=re.MULTILINE)
    assert "--hash=sha256:" in entry
    assert "kvasir (pyproject.toml)" in entry
    assert "://" not in pinned
