"""Who is who in Confluence: accounts by address, name and file, and their groups, at the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from knowledge.errors import IdentityError, KnowledgeError
from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import Viewers, may_read
from knowledge.interfaces.people import IdentifyingSource, IdentitySource, Person
from knowledge.sources.confluence import source as confluence
from knowledge.sources.identities import make_identity_map
from knowledge.sources.narrowing import narrow_source
from tests.sources.confluence.fake_confluence import FakeConfluence
from tests.sources.hosted.fake_service import Fault
from tests.sources.hosted.world import World, listing

TOKEN = "s3cret-t0ken"
ADA = Person("U1", "ada@company.com", frozenset({"U1", "*"}))
BO = Person("U2", "bo@company.com", frozenset({"U2", "*"}))


@pytest.fixture(params=["cloud", "data-center"])
async def wiki(request: pytest.FixtureRequest) -> AsyncIterator[FakeConfluence]:
    async with FakeConfluence(cloud=request.param == "cloud", token=TOKEN) as fake:
        fake.space("ENG")
        fake.most = 2
        fake.people = {"ada": "Ada", "bo": "Bo", "kvasir": "Kvasir", "zoe": "Zoë"}
        fake.emails = {"ada": "Ada@company.com", "bo": "bo@company.com"}
        fake.members = {"staff": ["ada", "bo"], "board": ["ada"], "ops": ["ada", "zoe"]}
        yield fake


@pytest.fixture
async def source(wiki: FakeConfluence) -> AsyncIterator[Any]:
    built = build(wiki)
    yield built
    await built.close()


def build(wiki: FakeConfluence, world: World | None = None, **options: Any) -> Any:
    edition = "cloud" if wiki.cloud else "data-center"
    keys = {"url": wiki.url, "edition": edition, "token_env": "T", "spaces": ["ENG"], **options}
    if not wiki.cloud:
        keys.setdefault("email_domain", "company.com")
    return (world or World()).build(confluence.KIND, {"token": TOKEN}, **keys)


async def find(source: Any, person: Person) -> frozenset[str]:
    return (await source.identities.find_principals([person])).get(person.id, frozenset())


async def test_people_have_their_account_and_groups(source: Any) -> None:
    assert isinstance(source, IdentifyingSource)
    assert isinstance(source.identities, IdentitySource)
    groups = {f"confluence:group:{one}" for one in ("staff", "board", "ops")}
    assert await find(source, ADA) == {"confluence:user:ada", *groups}
    assert await find(source, BO) == {"confluence:user:bo", "confluence:group:staff"}


@pytest.mark.parametrize("email", ["", "eve@company.com", "ada@other.com", "zoe@elsewhere.com"])
async def test_who_has_no_account_by_this_address_holds_nothing(source: Any, email: str) -> None:
    assert await find(source, Person("U9", email, frozenset({"U9", "*"}))) == frozenset()


async def test_the_file_may_name_an_account(source: Any) -> None:
    zoe = Person("U3", "zoe@elsewhere.com", frozenset({"U3", "confluence:user:zoe"}))
    assert await find(source, zoe) == {"confluence:user:zoe", "confluence:group:ops"}


async def test_a_deactivated_account_holds_nothing(wiki: FakeConfluence, source: Any) -> None:
    assert await find(source, ADA)
    wiki.inactive.add("ada")
    assert await find(source, ADA) == frozenset()


async def test_a_missing_account_takes_nothing_from_the_others(wiki: FakeConfluence, source: Any) -> None:
    wiki.faults.append(Fault("memberof?start=0&limit=200&accountId=ada" if wiki.cloud else "username=ada", status=404))
    found = await source.identities.find_principals([ADA, BO])
    assert not found["U1"]
    assert found["U2"] == {"confluence:user:bo", "confluence:group:staff"}


async def test_a_person_of_a_group_finds_the_restricted_page_until_he_leaves_the_group(wiki: FakeConfluence) -> None:
    page = wiki.page("Minutes", groups=["board"])
    wiki.space_readers["ENG"] = [("group", "staff")]
    world = World()
    source = build(wiki, world, everyone=["confluence:group:staff"])
    readers = (await listing(source))[f"ENG/{page.id}"].readers
    identities = IdentityMap(make_identity_map(None, [source]).sources, now=lambda: world.now)

    async def reads(person: Person) -> bool:
        return may_read(Viewers.of(*await identities.expand_people([person])), readers)

    assert await reads(ADA)
    assert not await reads(BO)
    wiki.members["board"] = ["bo"]
    world.now += 59
    assert not await reads(ADA)
    assert await reads(BO)
    wiki.faults.append(Fault("memberof", status=503))
    world.now += 59
    assert not await reads(BO), "no answer means no"
    assert identities.failures.total() == 1
    await source.close()


async def test_the_doctor_learns_what_is_missing(wiki: FakeConfluence, source: Any) -> None:
    said = await source.identities.check_identities()
    assert ("2 accounts show their e-mail addresses" if wiki.cloud else "ada@company.com is ada") in said
    wiki.faults.append(Fault("memberof", status=403))
    with pytest.raises(KnowledgeError, match="the account has no right to it"):
        await source.identities.check_identities()


async def test_an_excluding_source_has_the_same_identities(source: Any) -> None:
    assert make_identity_map(None, [narrow_source(source, ["*.pdf"], ())]).sources[1] is source.identities


async def test_ignored_rights_need_no_groups(wiki: FakeConfluence) -> None:
    source = build(wiki, rights="ignore")
    assert len(make_identity_map(Path("people.csv"), [source]).sources) == 2
    await source.close()


# ── Cloud ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def cloud() -> AsyncIterator[FakeConfluence]:
    async with FakeConfluence(cloud=True, token=TOKEN) as fake:
        fake.people = {"ada": "Ada", "bo": "Bo", "kvasir": "Kvasir"}
        fake.emails = {"ada": "ada@company.com", "bo": "bo@company.com"}
        fake.members = {"staff": ["ada", "bo"]}
        yield fake


async def test_accounts_are_listed_once_an_hour_and_checked_at_each_question(cloud: FakeConfluence) -> None:
    world = World()
    source = build(cloud, world)
    assert await find(source, ADA)
    cloud.emails = {"bo": "ada@company.com", "ada": "old@company.com"}
    assert not await find(source, ADA), "the account has another address now"
    assert cloud.asked("search/user") == 1
    world.now += 3_601
    await find(source, ADA)
    await source.close()
    assert cloud.asked("search/user") == 2


async def test_an_address_of_two_accounts_names_neither(cloud: FakeConfluence) -> None:
    cloud.emails["bo"] = "ada@company.com"
    source = build(cloud)
    assert not await find(source, ADA)
    await source.close()


async def test_a_sync_that_ends_meanwhile_fails_the_question_and_does_not_cancel_it(cloud: FakeConfluence) -> None:
    cloud.faults.append(Fault("search/user", hang=True, times=1))
    source = build(cloud)
    asking = asyncio.create_task(find(source, ADA))
    while not cloud.asked("search/user"):  # noqa: ASYNC110 - the fake has no event
        await asyncio.sleep(0.01)
    await source.close()
    with pytest.raises(IdentityError, match="was closed"):
        await asking
    assert await find(source, ADA)
    await source.close()


async def test_hidden_addresses_are_reported(cloud: FakeConfluence) -> None:
    cloud.emails = {}
    source = build(cloud)
    with pytest.raises(IdentityError, match="shows no e-mail address"):
        await source.identities.check_identities()
    await source.close()


# ── Data Center ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_user_name_is_not_guessed_from_an_address_of_an_unnamed_domain() -> None:
    async with FakeConfluence(cloud=False, token=TOKEN) as wiki:
        wiki.people, wiki.members = {"ada": "Ada"}, {"board": ["ada"]}
        source = build(wiki, email_domain="other.com")
        assert not await find(source, ADA)
        assert not wiki.calls
        await source.close()


async def test_two_data_centers_give_nobody_groups_but_two_sources_of_one_share_them() -> None:
    async with FakeConfluence(cloud=False, token=TOKEN) as one, FakeConfluence(cloud=False, token=TOKEN) as other:
        other.people, other.members = {"ada": "Ada"}, {"board": ["ada"]}
        sources = [build(one), build(other), build(one, spaces=["HR"])]
        identities = make_identity_map(None, sources)
        assert len(identities.sources) == 2
        (held,) = await identities.expand_people([ADA])
        assert not any(principal.startswith("confluence:") for principal in held)
        with pytest.raises(IdentityError, match="different groups of the same name"):
            await identities.sources[1].check_identities()
        for source in sources:
            await source.close()
