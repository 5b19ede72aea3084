"""People of Confluence's groups, from the question to the passage: a lost group counts within a minute."""

from __future__ import annotations

from typing import Any

from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import Viewers
from knowledge.interfaces.people import Person
from knowledge.sources.confluence import source as confluence
from tests.library.library_bench import Bench
from tests.sources.confluence.fake_confluence import FakeConfluence
from tests.sources.hosted.world import World

ADA = Person("U1", "ada@company.com", frozenset({"U1", "*"}))
BO = Person("U2", "bo@company.com", frozenset({"U2", "*"}))


async def test_members_of_a_group_find_its_page_until_they_leave(bench: Bench) -> None:
    world = World()
    async with FakeConfluence(cloud=True, token="s3cret") as wiki:
        wiki.space("ENG")
        wiki.people = {"ada": "Ada", "bo": "Bo", "kvasir": "Kvasir"}
        wiki.emails = {"ada": "ada@company.com", "bo": "bo@company.com"}
        wiki.members = {"staff": ["ada", "bo"], "board": ["ada"]}
        wiki.page("Minutes", "<p>The harbour office closes in March.</p>", groups=["board"])
        wiki.page("Plan", "<p>The harbour office gets a new roof.</p>")
        options = {"url": wiki.url, "edition": "cloud", "token_env": "T", "everyone": ["confluence:group:staff"]}
        source: Any = world.build(confluence.KIND, {"token": "s3cret"}, **options)
        async with bench.library(source) as library:
            await library.refresh()
            identities = IdentityMap(library.identities.sources, now=lambda: world.now)

            async def find(*people: Person) -> set[str]:
                viewers = Viewers.of(*await identities.expand_people(people))
                return {hit.title for hit in (await library.search("harbour office", viewers=viewers)).hits}

            assert await find(ADA) == {"Minutes", "Plan"}
            assert await find(BO) == {"Plan"}
            assert await find(ADA, BO) == {"Plan"}
            wiki.members["board"] = ["bo"]
            world.now += 59
            assert await find(ADA) == {"Plan"}
            assert await find(BO) == {"Minutes", "Plan"}
            wiki.inactive.add("bo")
            world.now += 59
            assert await find(BO) == {"Plan"}
        await source.close()
