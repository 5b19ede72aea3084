"""Google's groups of people, at the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from knowledge.errors import KnowledgeError
from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import Viewers, may_read
from knowledge.interfaces.people import IdentitySource, Person
from knowledge.sources.drive import source as drive
from knowledge.sources.identities import make_identity_map
from tests.sources.drive.fake_drive import FakeDrive
from tests.sources.hosted.fake_service import Fault
from tests.sources.hosted.world import World, listing

ADA = Person("U1", "ada@company.com", frozenset({"U1", "*"}))
GUS = Person("U2", "gus@studio.example", frozenset({"U2", "guests"}))
ADMIN = "admin@company.com"


@pytest.fixture
async def fake() -> AsyncIterator[FakeDrive]:
    async with FakeDrive() as fake:
        fake.groups = {ADMIN: [], ADA.email: ["Board@company.com", "staff@company.com", "ops@company.com"]}
        yield fake


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def source(fake: FakeDrive, world: World) -> AsyncIterator[Any]:
    options = {"credentials_env": "KEY", "url": fake.url, "groups_as": ADMIN}
    built: Any = world.build(drive.KIND, {"credentials": fake.credentials()}, **options)
    yield built
    await built.close()


async def test_a_person_has_the_groups_of_his_address_and_a_stranger_has_none(fake: FakeDrive, source: Any) -> None:
    assert isinstance(source.identities, IdentitySource)
    found = await source.identities.find_principals([ADA, GUS, Person("U3")])
    assert found == {
        "U1": {"drive:group:board@company.com", "drive:group:staff@company.com", "drive:group:ops@company.com"},
        "U2": frozenset(),
        "U3": frozenset(),
    }
    assert fake.subjects == [ADMIN]


async def test_a_member_reads_the_file_of_the_group_until_he_leaves_it(
    fake: FakeDrive, world: World, source: Any
) -> None:
    fake.grant(fake.file("Minutes.md"), type="group", emailAddress="board@company.com")
    ((_, file),) = (await listing(source)).items()
    identities = IdentityMap(make_identity_map(None, [source]).sources, now=lambda: world.now)

    async def reads(person: Person) -> bool:
        return may_read(Viewers.of(*await identities.expand_people([person])), file.readers)

    assert await reads(ADA)
    assert not await reads(GUS)
    fake.groups[ADA.email] = []
    world.now += 59
    assert not await reads(ADA)


async def test_a_missing_right_gives_nobody_groups_and_is_reported(fake: FakeDrive, source: Any) -> None:
    assert await source.identities.check_identities() == "0 groups of the administrator can be read"
    fake.faults.append(Fault("admin/directory", status=403))
    identities = make_identity_map(None, [source])
    (principals,) = await identities.expand_people([ADA])
    assert not any(one.startswith("drive:group:") for one in principals)
    assert identities.failures.total() == 1
    with pytest.raises(KnowledgeError, match="the account has no right to it"):
        await source.identities.check_identities()


async def test_a_missing_delegation_names_the_scope(fake: FakeDrive, source: Any) -> None:
    fake.undelegated.add("admin.directory.group.readonly")
    with pytest.raises(KnowledgeError, match=r"delegation is granted for admin\.directory\.group\.readonly"):
        await source.identities.check_identities()


async def test_groups_are_read_only_if_configured(fake: FakeDrive, world: World) -> None:
    source: Any = world.build(
        drive.KIND, {"credentials": fake.credentials()}, credentials_env="KEY", url=fake.url, subject="ada@x.com"
    )
    assert source.identities is None
    assert len(make_identity_map(None, [source]).sources) == 1
    await source.close()
