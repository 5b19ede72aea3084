"""The identity source in CONTRIBUTING.md works as it stands there, and is short."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import EVERYONE, SourceContext
from knowledge.interfaces.people import IdentitySource, Person
from knowledge.sources.hosted.http_api import FixedHeaders, HostedService, HttpApi
from knowledge.sources.hosted.http_call import ApiCall
from knowledge.sources.hosted.json_form import require_objects
from tests.sources.building import memories
from tests.sources.hosted.fake_service import FakeService, Fault

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
ADA, EVE = Person("U1", "ada@company.com"), Person("U2", "eve@company.com")


class FakeDirectory(FakeService):
    """A directory of teams."""

    teams: Mapping[str, list[str]] = {"ada@company.com": ["board"]}

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/teams", self.find_teams)

    def refusal(self, _: web.Request) -> web.StreamResponse | None:
        return None

    async def find_teams(self, request: web.Request) -> web.Response:
        emails = (await request.json())["emails"]
        people = [{"email": one, "teams": self.teams[one]} for one in emails if one in self.teams]
        return web.json_response({"people": people})


@pytest.fixture
async def directory() -> AsyncIterator[FakeDirectory]:
    async with FakeDirectory() as fake:
        yield fake


async def test_the_example_finds_people_and_fails_closed(directory: FakeDirectory, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(class StaffDirectory.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code.count("\n") < 60
    names: dict[str, Any] = {
        "HttpApi": HttpApi, "ApiCall": ApiCall, "Person": Person, "Sequence": Sequence, "Mapping": Mapping,
        "require_objects": require_objects,
    }  # fmt: skip
    exec(code, names)
    context = SourceContext("staff", tmp_path, tmp_path, memories({}), EVERYONE)
    api = HttpApi(HostedService("Staff", URL(directory.url)), context, FixedHeaders({}))
    source = names["StaffDirectory"](api)
    assert isinstance(source, IdentitySource)
    assert await source.check_identities() == "answers"
    assert await IdentityMap([source]).expand_people([ADA, EVE]) == [{"staff:board"}, frozenset()]
    directory.faults.append(Fault("teams", status=404))
    identities = IdentityMap([source])
    assert await identities.expand_people([ADA]) == [frozenset()]
    assert identities.failures == {"staff directory": 1}
    await api.close()
