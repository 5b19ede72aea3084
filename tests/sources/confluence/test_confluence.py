"""Confluence, Cloud and Data Center, against fakes that were written from the documentation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import SourceError, SourceMisconfigured
from knowledge.interfaces import EVERYONE, Document, ExplainingSource, Source, Viewers, may_read, narrow_readers
from knowledge.parsing.formats.web_page import parse_html
from knowledge.sources.confluence import source as confluence
from knowledge.sources.confluence.audiences import find_groups, intersect_audiences
from knowledge.sources.confluence.storage_format import find_mentions, render_page_html
from tests.sources.confluence.fake_confluence import FakeConfluence, FakePage
from tests.sources.hosted.fake_service import Fault
from tests.sources.hosted.world import World, listing

TOKEN = "s3cret-t0ken"


@pytest.fixture(params=["cloud", "data-center"])
async def wiki(request: pytest.FixtureRequest) -> AsyncIterator[FakeConfluence]:
    async with FakeConfluence(cloud=request.param == "cloud", token=TOKEN) as fake:
        fake.most = 3
        fake.space("ENG")
        yield fake


def build(wiki: FakeConfluence, world: World | None = None, **options: Any) -> Source:
    edition = "cloud" if wiki.cloud else "data-center"
    settings = {"url": wiki.url, "edition": edition, "token_env": "T", "spaces": ["ENG"], **options}
    return (world or World()).build(confluence.KIND, {"token": TOKEN}, **settings)


async def readers(wiki: FakeConfluence, **options: Any) -> dict[str, frozenset[str]]:
    source = build(wiki, **options)
    found = {document: one.readers for document, one in (await listing(source)).items()}
    await source.close()
    return found


# ── Listing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pages_of_the_named_spaces_with_link_date_and_title(wiki: FakeConfluence) -> None:
    wiki.space("HR")
    page = wiki.page("Leave & days off", "<p>Thirty days.</p>")
    wiki.page("elsewhere", space="HR")
    wiki.page("thrown away", status="trashed")
    wiki.page("put away", status="archived")
    wiki.page("a post", kind="blogpost")
    source = build(wiki, rights="ignore")
    found = await listing(source)
    (document, one), *rest = found.items()
    assert (document, rest) == (f"ENG/{page.id}", [])
    assert one.modified_at == page.when
    assert one.url is not None
    assert one.url.startswith(f"{wiki.url}{'/wiki' if wiki.cloud else ''}/spaces/ENG/pages/{page.id}/Leave")
    content = await source.read(one)
    assert (content.title, content.version) == ("Leave & days off", one.version)
    await source.close()


async def test_posts_are_listed_if_configured(wiki: FakeConfluence) -> None:
    post = wiki.page("news", "<p>We moved.</p>", kind="blogpost")
    source = build(wiki, rights="ignore", blog_posts=True)
    found = await listing(source)
    assert b"We moved." in (await source.read(found[f"ENG/blog/{post.id}"])).data
    await source.close()


async def test_without_spaces_all_except_personal_ones_are_listed(wiki: FakeConfluence) -> None:
    wiki.space("HR")
    wiki.space("~ada", kind="personal")
    for key in ("ENG", "HR", "~ada"):
        wiki.page("p", space=key)
    source = build(wiki, rights="ignore", spaces=[])
    assert {document.partition("/")[0] for document in await listing(source)} == {"ENG", "HR"}
    await source.close()


async def test_a_missing_space_is_reported_and_deletes_nothing(wiki: FakeConfluence) -> None:
    wiki.page("p")
    source = build(wiki, spaces=["ENG", "GONE"])
    with pytest.raises(SourceError, match="GONE"):
        await listing(source)
    await source.close()


async def test_only_pages_with_a_label(wiki: FakeConfluence) -> None:
    wiki.page("no")
    yes = [wiki.page(f"yes {number}", labels=["policy"]) for number in range(4)]
    wiki.page("other", labels=["draft"])
    source = build(wiki, rights="ignore", labels=["policy", "unused"])
    assert set(await listing(source)) == {f"ENG/{page.id}" for page in yes}
    await source.close()


async def test_a_rename_and_a_move_within_the_space_keep_the_document(wiki: FakeConfluence) -> None:
    page = wiki.page("old name")
    above = wiki.page("above")
    source = build(wiki, rights="ignore")
    before = (await listing(source))[f"ENG/{page.id}"]
    wiki.edit(page, title="new name")
    page.parent = above.id
    after = (await listing(source))[f"ENG/{page.id}"]
    assert after.version != before.version
    assert (await source.read(after)).title == "new name"
    await source.close()


async def test_a_page_that_moves_out_of_the_space_is_gone(wiki: FakeConfluence) -> None:
    wiki.space("HR")
    page = wiki.page("p")
    source = build(wiki, rights="ignore")
    assert len(await listing(source)) == 1
    page.space = "HR"
    assert await listing(source) == {}
    await source.close()


async def test_a_listing_that_fails_on_page_7_is_an_error(wiki: FakeConfluence) -> None:
    for number in range(30):
        wiki.page(f"p{number}")
    source = build(wiki, rights="ignore")
    path = "/spaces/1/pages" if wiki.cloud else "content?"
    wiki.faults = [Fault(path, status=400, after=6)]
    with pytest.raises(SourceError):
        await listing(source)
    await source.close()


async def test_a_deletion_during_the_listing_hides_nothing_else(wiki: FakeConfluence) -> None:
    """Data Center counts from the start, so a deletion moves later results, and a plain step would skip one."""
    pages = [wiki.page(f"p{number}") for number in range(12)]
    source = build(wiki, rights="ignore", attachments=False)
    calls = iter(range(100))

    def someone_deletes() -> None:
        if next(calls) == 3 and not wiki.cloud:
            pages[0].status = "trashed"

    wiki.on_page = someone_deletes
    assert set(await listing(source)) >= {f"ENG/{page.id}" for page in pages[1:]}
    await source.close()


async def test_deleted_between_listing_and_reading(wiki: FakeConfluence) -> None:
    page = wiki.page("p")
    source = build(wiki, rights="ignore")
    (one,) = (await listing(source)).values()
    page.status = "trashed"
    with pytest.raises(SourceError, match=rf"ENG/{page.id} is gone"):
        await source.read(one)
    await source.close()


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_files_are_documents_of_their_own_with_the_readers_of_their_page(wiki: FakeConfluence) -> None:
    page = wiki.page("p", users=["ada"])
    pdf = wiki.file(page, "Plan.PDF", b"%PDF-1.7 plan")
    wiki.file(page, "photo.png", b"\x89PNG", "image/png")
    source = build(wiki, rights="restrictions")
    found = await listing(source)
    document = f"ENG/{page.id}/{pdf.id}.pdf"
    assert set(found) == {f"ENG/{page.id}", document}
    assert found[document].readers == found[f"ENG/{page.id}"].readers == {"confluence:user:ada"}
    content = await source.read(found[document])
    assert (content.data, content.media_type, content.title) == (b"%PDF-1.7 plan", "application/pdf", "Plan.PDF")
    assert content.version == found[document].version
    pdf.status = "trashed"
    assert document not in await listing(source)
    with pytest.raises(SourceError, match="is gone"):
        await source.read(found[document])
    await source.close()


async def test_files_on_several_pages_are_listed(wiki: FakeConfluence) -> None:
    page = wiki.page("p")
    for number in range(40):
        wiki.file(page, f"{number}.pdf", b"%PDF-1")
    source = build(wiki, rights="ignore")
    assert len(await listing(source)) == 41
    await source.close()


async def test_a_file_on_another_host_is_fetched_without_credentials() -> None:
    async with (
        FakeConfluence(cloud=True, token=TOKEN) as wiki,
        FakeConfluence(cloud=True) as store,
    ):
        wiki.space("ENG")
        file = wiki.file(wiki.page("p"), "a.pdf", b"%PDF-1")
        wiki.storage_url = store.url
        store.faults = [Fault(f"/{file.id}", status=200, body=b"%PDF-far", content_type="application/pdf")]
        source = build(wiki, rights="ignore")
        (one,) = [one for document, one in (await listing(source)).items() if document.endswith(".pdf")]
        assert (await source.read(one)).data == b"%PDF-far"
        assert "Authorization" not in store.calls[0].headers
        await source.close()


# ── Readers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_is_for_the_readers_of_its_space(wiki: FakeConfluence) -> None:
    wiki.page("p")
    assert set((await readers(wiki)).values()) == {frozenset({"confluence:group:staff"})}
    assert set((await readers(wiki, everyone=["confluence:group:staff"])).values()) == {EVERYONE}


async def test_restrictions_are_inherited(wiki: FakeConfluence) -> None:
    top = wiki.page("top", groups=["board"])
    middle = wiki.page("middle", parent=top.id)
    leaf = wiki.page("leaf", parent=middle.id, users=["ada", "bo"])
    beside = wiki.page("beside")
    wiki.members = {"board": ["ada", "cy"]}
    found = await readers(wiki, everyone=["confluence:group:staff"])
    assert found[f"ENG/{middle.id}"] == narrow_readers(EVERYONE, frozenset({"confluence:group:board"}))
    assert found[f"ENG/{leaf.id}"] == narrow_readers(EVERYONE, frozenset({"confluence:user:ada"}))
    guest = Viewers.of({"guests", "confluence:user:ada"})
    assert not may_read(guest, found[f"ENG/{leaf.id}"]), "the space is for full members"
    assert found[f"ENG/{beside.id}"] == EVERYONE


async def test_guests_see_only_pages_whose_restrictions_name_them_if_spaces_are_unknown(
    wiki: FakeConfluence,
) -> None:
    """An unrestricted page is for whom the space admits, which nobody says: so it is for full members alone."""
    wiki.page("open")
    named = wiki.page("named", users=["gus", "ada"])
    inherited = wiki.page("inherited", parent=named.id)
    hidden = wiki.page("hidden", users=["ada"])
    below = wiki.page("below", parent=hidden.id, users=["gus"])
    source = build(wiki, rights="restrictions", readers=frozenset({"*", "guests"}))
    found = {document: one.readers for document, one in (await listing(source)).items()}
    await source.close()
    guest = Viewers.of({"guests", "confluence:user:gus"})
    assert {document for document, each in found.items() if may_read(guest, each)} == {
        f"ENG/{named.id}",
        f"ENG/{inherited.id}",
    }
    assert not may_read(Viewers.of({"*", "confluence:user:ada"}), found[f"ENG/{below.id}"])


async def test_a_restriction_counts_at_once_without_a_new_version(wiki: FakeConfluence) -> None:
    page = wiki.page("p")
    source = build(wiki, rights="restrictions")
    (before,) = (await listing(source)).values()
    page.users = ["ada"]
    (after,) = (await listing(source)).values()
    assert (before.readers, after.readers) == (EVERYONE, frozenset({"confluence:user:ada"}))
    assert before.version == after.version
    await source.close()


async def test_unknown_members_admit_nobody(wiki: FakeConfluence) -> None:
    wiki.page("p", users=["ada"])
    assert set((await readers(wiki)).values()) == {frozenset()}


async def test_a_space_without_readers_is_for_nobody(wiki: FakeConfluence) -> None:
    wiki.spaces.clear()
    wiki.space("ENG", readers=[])
    wiki.page("p")
    assert set((await readers(wiki)).values()) == {frozenset()}


async def test_configured_readers_narrow_and_never_widen(wiki: FakeConfluence) -> None:
    wiki.page("p", users=["ada"])
    source = build(wiki, rights="restrictions", readers=frozenset({"U1"}))
    [found] = [one.readers for one in (await listing(source)).values()]
    await source.close()
    assert not may_read(Viewers.of({"U1"}), found)
    assert not may_read(Viewers.of({"confluence:user:ada"}), found)
    assert may_read(Viewers.of({"U1", "confluence:user:ada"}), found)


async def test_what_limits_the_readers_of_a_page_is_explained(wiki: FakeConfluence) -> None:
    wiki.space_readers["ENG"] = [("group", "staff")]
    top = wiki.page("top", groups=["board"])
    page = wiki.page("p", parent=wiki.page("middle", parent=top.id).id, users=["ada"])
    source = build(wiki, everyone=["confluence:group:everybody"])
    assert isinstance(source, ExplainingSource)
    limits = {limit.what: limit.readers for limit in await source.explain_rights(f"ENG/{page.id}")}
    assert limits == {
        "the permission to view the space ENG": {"confluence:group:staff"},
        "its page restriction": {"confluence:user:ada"},
        f"page restriction of ENG/{page.parent}, above it,": EVERYONE,
        f"page restriction of ENG/{top.id}, above it,": {"confluence:group:board"},
    }
    assert await source.explain_rights("ENG/404") == []
    assert await source.explain_rights("no page") == []
    await source.close()


async def test_an_unlisted_ancestor_still_counts(wiki: FakeConfluence) -> None:
    """Its restriction is fetched. If it is not returned, nobody may see the page."""
    hidden = wiki.page("hidden", groups=["board"], status="archived")
    page = wiki.page("p", parent=hidden.id)
    found = await readers(wiki, rights="restrictions")
    assert found[f"ENG/{page.id}"] == {"confluence:group:board"}
    wiki.faults = [Fault(f"/{hidden.id}", status=404)]
    assert (await readers(wiki, rights="restrictions"))[f"ENG/{page.id}"] == frozenset()


async def test_an_old_data_center_without_permissions_is_an_error() -> None:
    async with FakeConfluence(cloud=False, token=TOKEN) as wiki:
        wiki.space("ENG")
        wiki.page("p")
        wiki.tells_permissions = False
        source = build(wiki)
        with pytest.raises(SourceError, match='rights = "restrictions"'):
            await listing(source)
        await source.close()


@pytest.fixture
async def cloud() -> AsyncIterator[FakeConfluence]:
    async with FakeConfluence(cloud=True, token=TOKEN) as fake:
        fake.space("ENG")
        yield fake


async def test_a_page_that_search_misses_is_fetched_by_itself(cloud: FakeConfluence) -> None:
    page = cloud.page("p", users=["ada"])
    cloud.unindexed.add(page.id)
    assert (await readers(cloud, rights="restrictions"))[f"ENG/{page.id}"] == {"confluence:user:ada"}
    assert cloud.asked("byOperation/read") == 1


async def test_readers_on_several_pages_count(cloud: FakeConfluence) -> None:
    page = cloud.page("p", users=[f"u{number}" for number in range(430)])
    assert len((await readers(cloud, rights="restrictions"))[f"ENG/{page.id}"]) == 430


async def test_restrictions_of_folders_count(cloud: FakeConfluence) -> None:
    cloud.folders["77"] = FakePage("77", "folder", "ENG", groups=["board"])
    page = cloud.page("p", parent="77")
    assert (await readers(cloud, rights="restrictions"))[f"ENG/{page.id}"] == {"confluence:group:board"}


async def test_a_circle_of_parents_admits_nobody(cloud: FakeConfluence) -> None:
    one, other = cloud.page("one"), cloud.page("other")
    one.parent, other.parent = other.id, one.id
    assert set((await readers(cloud, rights="restrictions")).values()) == {frozenset()}


_ids = st.sampled_from(["confluence:user:a", "confluence:user:b", "confluence:group:g", "confluence:group:h"])
_audiences = st.lists(st.just(EVERYONE) | st.frozensets(_ids, max_size=4), min_size=1, max_size=5)
_members = st.fixed_dictionaries({
    group: st.frozensets(st.sampled_from(["confluence:user:a", "confluence:user:b"]))
    for group in ("confluence:group:g", "confluence:group:h")
})  # fmt: skip


@given(_audiences, _members)
def test_a_reader_must_be_in_all_of_several_audiences(
    admitted: list[frozenset[str]], members: dict[str, frozenset[str]]
) -> None:
    found = intersect_audiences(admitted, members)
    for person in ("confluence:user:a", "confluence:user:b"):
        may = [one >= EVERYONE or person in one or any(person in members.get(g, ()) for g in one) for one in admitted]
        seen = found >= EVERYONE or person in found or any(person in members.get(g, ()) for g in found)
        assert seen == all(may)
    assert find_groups(admitted) <= members.keys()


# ── Pages as HTML ────────────────────────────────────────────────────────────────────────────────────────────────────

STORAGE = """<h2>Leave&nbsp;days &amp; more</h2><ac:structured-macro ac:name="toc"/>
<p>Ask <ac:link><ri:user ri:account-id="557:ada"/></ac:link> before <time datetime="2026-03-01"/>,
<ac:link><ri:page ri:content-title="The form"/></ac:link>, <ac:structured-macro ac:name="status">
<ac:parameter ac:name="title">IN FORCE</ac:parameter></ac:structured-macro> <code>x &lt; y</code></p>
<ac:structured-macro ac:name="code"><ac:parameter ac:name="language">c</ac:parameter>
<ac:plain-text-body><![CDATA[if (a < b && c)
  puts("&nbsp;");]]></ac:plain-text-body></ac:structured-macro>
<ac:structured-macro ac:name="warning"><ac:parameter ac:name="title">Careful</ac:parameter>
<ac:rich-text-body><p>Not in August.</p></ac:rich-text-body></ac:structured-macro>
<ac:structured-macro ac:name="expand"><ac:parameter ac:name="title">Why?</ac:parameter>
<ac:rich-text-body><p>Everybody wants August.</p></ac:rich-text-body></ac:structured-macro>
<table><tbody><tr><th><p>Role</p></th><th>Days</th></tr><tr><td><h3>Nurse</h3></td><td>
<ac:structured-macro ac:name="code">
<ac:plain-text-body><![CDATA[30]]></ac:plain-text-body></ac:structured-macro></td></tr>
</tbody></table>
<ac:task-list><ac:task><ac:task-id>1</ac:task-id><ac:task-status>complete</ac:task-status>
<ac:task-body>sign it</ac:task-body></ac:task></ac:task-list>
<ac:image ac:alt="The calendar"><ri:attachment ri:filename="c.png"/><ac:caption><p>As of May</p></ac:caption></ac:image>
<ac:structured-macro ac:name="mathblock">
<ac:plain-text-body><![CDATA[d = 2.5 m]]></ac:plain-text-body></ac:structured-macro>
<ac:structured-macro ac:name="include"><ac:parameter ac:name="">
<ac:link><ri:page ri:content-title="Secret page"/></ac:link>
</ac:parameter></ac:structured-macro>
<ac:structured-macro ac:name="html">
<ac:plain-text-body><![CDATA[<script>evil()</script><b>plain</b>]]></ac:plain-text-body>
</ac:structured-macro><script>alert(1)</script>"""


def parsed(storage: str) -> tuple[Document, str]:
    html = render_page_html("Title", storage, {"557:ada": "Ada L."}, lambda heading: "-".join(heading.split()))
    document = parse_html(html.encode(), "ENG/1")
    return document, "\n".join(section.text for section in document.sections)


def test_no_text_of_a_page_is_lost() -> None:
    document, said = parsed(STORAGE)
    assert document.title == "Title"
    (section,) = document.sections
    assert (section.headings, section.anchor) == (("Leave days & more",), "Leave-days-&-more")
    for what in (
        "Ask @Ada L. before 2026-03-01, The form, IN FORCE `x < y`", 'if (a < b && c)\n  puts("&nbsp;");',
        "Warning: Careful", "Not in August.", "Why?", "Everybody wants August.", "| Role | Days |", "| Nurse | 30 |",
        "[x] sign it", "The calendar", "As of May", "$d = 2.5 m$", "Secret page", "plain",
    ):  # fmt: skip
        assert what in said, what
    assert "evil" not in said
    assert "alert" not in said


def test_mentions_of_people_are_found() -> None:
    assert find_mentions(STORAGE) == {"557:ada"}
    assert find_mentions('<ri:user ri:userkey="k1" /> <ri:user foo="x" ri:username="bo"/>') == {"k1", "bo"}


async def test_mentions_show_peoples_names(wiki: FakeConfluence) -> None:
    key = "account-id" if wiki.cloud else "userkey"
    wiki.people = {"a1": "Ada L."}
    wiki.page(
        "p", f'<p>Ask <ac:link><ri:user ri:{key}="a1"/></ac:link> or <ac:link><ri:user ri:{key}="b2"/></ac:link></p>'
    )
    source = build(wiki, rights="ignore")
    (one,) = (await listing(source)).values()
    assert b"Ask @Ada L. or @someone" in (await source.read(one)).data
    await source.close()


def test_broken_storage_format_still_has_its_text() -> None:
    _, said = parsed("<p>one <b>two</p><ac:plain-text-body><![CDATA[a<b]]></ac:plain-text-body>&nosuch;")
    assert "one two" in said
    assert "a<b" in said


def test_deep_nesting_and_entities_do_no_harm() -> None:
    _, said = parsed("<div>" * 3000 + "deep" + "</div>" * 3000)
    assert "deep" in said
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><p>&b;</p>'
    assert "aaaaaaaaaaaaaaa" not in render_page_html("t", bomb, {}, str)


@given(st.text() | st.text('<>ac:/&;![CDATA]p"= ', max_size=200))
def test_any_storage_becomes_html(storage: str) -> None:
    assert render_page_html("t", storage, {}, str).startswith("<html>")


def test_invalid_options_are_refused(tmp_path: Any) -> None:
    for wrong in ({"rights": "all"}, {"edition": "server"}, {"max_mb": 0.0}):
        with pytest.raises(SourceMisconfigured):
            World().build(
                confluence.KIND,
                {"token": TOKEN},
                folder=tmp_path,
                url="https://x.atlassian.net",
                token_env="T",
                **wrong,
            )
