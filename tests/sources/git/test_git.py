"""The git source on real repositories: histories, hosts and remotes."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import Source
from knowledge.sources.git.program import explain_failure
from tests.sources.building import build
from tests.sources.contract import listing
from tests.sources.git.bench_git import GitHttp, Repository, git

pytestmark = pytest.mark.slow  # a dozen processes a test


@pytest.fixture
async def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "repository")
    await repository.make()
    return repository


def source(here: Repository, kept: dict[str, bytes] | None = None, **options: object) -> Source:
    return build("git", here.folder.parent, kept=kept, **({"repository": "repository"} | options))


def mirror(repository: Repository) -> Path:
    (found,) = (repository.folder.parent / "state" / "bench").glob("*.git")
    return found


def running(process: psutil.Process) -> bool:
    """Return whether a process still runs. A zombie whose parent has died does not count."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def shim(folder: Path, program: str, script: str) -> str:
    """Put a program before the real one, and return the PATH that finds it."""
    folder.mkdir(exist_ok=True)
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


# ── Listing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_links_submodules_and_hidden_files_are_no_documents(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    await other.make()
    await other.put("inner.md", b"inner")
    await git(
        repository.folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.folder), "sub"
    )
    for name in ("a.md", ".hidden.md", ".github/b.md", "code.py", "run.md"):
        repository.write(name, b"text")
    (repository.folder / "run.md").chmod(0o755)
    (repository.folder / "link.md").symlink_to("a.md")
    (repository.folder / "out.md").symlink_to("/etc/passwd")
    await repository.commit()
    assert set(await listing(source(repository))) == {"a.md", "run.md"}


async def test_paths_and_suffixes_choose(repository: Repository) -> None:
    for name in ("docs/a.md", "docs/old/b.md", "docs/c.txt", "src/d.md", "e.md"):
        repository.write(name, b"text")
    await repository.commit()
    chosen = source(repository, paths=["docs", "!docs/old"], suffixes=[".md"])
    assert set(await listing(chosen)) == {"docs/a.md"}
    assert (await listing(chosen))["docs/a.md"] == (await listing(source(repository)))["docs/a.md"]


async def test_an_empty_repository_is_an_empty_listing_until_its_first_commit(repository: Repository) -> None:
    looking = source(repository)
    assert await listing(looking) == {}
    await repository.put("a.md", b"one")
    assert set(await listing(looking)) == {"a.md"}


async def test_a_branch_a_tag_and_the_default_branch(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    await git(repository.folder, "tag", "--annotate", "-m", "x", "v1")
    await git(repository.folder, "checkout", "--quiet", "-b", "topic/x")
    await repository.put("b.md", b"two")
    await git(repository.folder, "checkout", "--quiet", "main")
    await repository.put("c.md", b"three")
    link = {"url": "https://example.com/{branch}/{stem}"}
    on = {name: await listing(source(repository, branch=name, **link)) for name in ("topic/x", "v1", "main")}
    assert {name: set(found) for name, found in on.items()} == {
        "topic/x": {"a.md", "b.md"}, "v1": {"a.md"}, "main": {"a.md", "c.md"},
    }  # fmt: skip
    assert on["topic/x"]["b.md"].url == "https://example.com/topic/x/b"
    assert await listing(source(repository, **link)) == on["main"]


async def test_a_deleted_branch_is_an_error(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    await git(repository.folder, "branch", "topic")
    looking = source(repository, branch="topic")
    assert set(await listing(looking)) == {"a.md"}
    await git(repository.folder, "branch", "--delete", "--force", "topic")
    with pytest.raises(SourceUnavailable, match="no branch topic"):
        await listing(looking)


async def test_the_default_branch_is_followed_when_it_is_renamed(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    looking = source(repository)
    await listing(looking)
    await git(repository.folder, "branch", "--move", "main", "trunk")
    await repository.put("b.md", b"two")
    assert set(await listing(looking)) == {"a.md", "b.md"}


async def test_a_rewritten_history_is_followed(repository: Repository) -> None:
    for name in ("a.md", "b.md", "c.md"):
        await repository.put(name, name.encode())
    kept: dict[str, bytes] = {}
    looking = source(repository, kept)
    await listing(looking)
    await git(repository.folder, "reset", "--quiet", "--hard", "HEAD~2")
    await repository.put("d.md", b"d")
    found = await listing(looking)
    assert set(found) == {"a.md", "d.md"}
    shutil.rmtree(mirror(repository))
    assert found == await listing(source(repository))


async def test_a_remote_without_its_whole_history(repository: Repository, tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        await repository.put(name, name.encode())
    url = f"file://{repository.folder}"
    await git(tmp_path, "clone", "--quiet", "--depth", "1", url, str(tmp_path / "shallow"))
    assert set(await listing(source(repository, repository="shallow"))) == {"a.md", "b.md"}


# ── When it was changed ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_has_the_date_of_its_last_commit(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    await repository.put("b.md", b"one")
    first = repository.time
    await repository.put("a.md", b"two")
    found = await listing(source(repository))
    assert {name: one.modified_at and one.modified_at.timestamp() for name, one in found.items()} == {
        "a.md": repository.time, "b.md": first,
    }  # fmt: skip


async def test_a_merge_dates_its_files(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    await git(repository.folder, "checkout", "--quiet", "-b", "topic")
    await repository.put("b.md", b"two")
    await git(repository.folder, "checkout", "--quiet", "main")
    await repository.put("c.md", b"three")
    when = repository.time + 3600
    dates = {"GIT_AUTHOR_DATE": f"{when} +0000", "GIT_COMMITTER_DATE": f"{when} +0000"}
    await git(repository.folder, "merge", "--quiet", "--no-ff", "-m", "merge", "topic", env=dates)
    modified_at = (await listing(source(repository)))["b.md"].modified_at
    assert modified_at is not None
    assert modified_at.timestamp() == when


async def test_a_commit_changes_only_the_dates_of_its_files(repository: Repository) -> None:
    for name in ("a.md", "b.md"):
        await repository.put(name, b"one")
    kept: dict[str, bytes] = {}
    looking = source(repository, kept)
    await listing(looking)
    for key, data in kept.items():
        kept[key] = data.replace(str(repository.time - 60).encode(), b"1000000000")
    await repository.put("b.md", b"two")
    found = await listing(looking)
    assert {name: one.modified_at and one.modified_at.timestamp() for name, one in found.items()} == {
        "a.md": 1_000_000_000,  # from memory: its history was not walked again
        "b.md": repository.time,
    }


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_pointer_into_git_lfs_is_reported(repository: Repository) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    await repository.put("a.pdf", pointer)
    looking = source(repository)
    with pytest.raises(SourceError, match=r"a\.pdf lies in Git LFS"):
        await looking.read((await listing(looking))["a.pdf"])
    await looking.close()


async def test_a_listed_content_is_read_after_the_branch_has_moved(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    looking = source(repository)
    listed = (await listing(looking))["a.md"]
    await repository.put("a.md", b"two")
    content = await looking.read(listed)
    assert (content.data, content.version) == (b"one", listed.version)
    await looking.close()


async def test_a_damaged_or_locked_copy_is_repaired(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    looking = source(repository)
    before = await listing(looking)
    for damage in ("objects", "lock", "HEAD", "everything"):
        folder = mirror(repository)
        if damage == "objects":
            for pack in [*folder.glob("objects/pack/*"), *folder.glob("objects/??/*")]:
                pack.chmod(0o644)
                pack.write_bytes(b"no pack")
        elif damage == "lock":
            (folder / "shallow.lock").touch()
            (folder / "refs/kvasir/tip.lock").touch()
        elif damage == "HEAD":
            (folder / "HEAD").write_bytes(b"\0\0")
        else:
            shutil.rmtree(folder)
            folder.mkdir()
        assert await listing(looking) == before, damage
        assert (await looking.read(before["a.md"])).data == b"one"
        await repository.put("b.md", damage.encode())
        assert set(await listing(looking)) == {"a.md", "b.md"}, damage
        (repository.folder / "b.md").unlink()
        await repository.commit()
        before = await listing(looking)
    await looking.close()


async def test_the_next_listing_fetches_a_damaged_content_again(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    first = source(repository)
    listed = (await listing(first))["a.md"]
    (pack,) = mirror(repository).glob("objects/pack/*.pack")
    pack.chmod(0o644)
    data = pack.read_bytes()
    pack.write_bytes(data[:-24] + b"\0\0\0\0" + data[-20:])  # a content is last, then the pack's own sum
    with pytest.raises(SourceUnavailable, match="damaged"):
        await first.read(listed)
    await first.close()
    second = source(repository)
    assert (await second.read((await listing(second))["a.md"])).data == b"one"
    await second.close()


async def test_the_copy_of_another_repository_is_deleted(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    await other.make()
    for one in (repository, other):
        await one.put("a.md", one.folder.name.encode())
    first = source(repository)
    await listing(first)
    second = source(repository, repository="other")
    listed = await listing(second)
    assert (await second.read(listed["a.md"])).data == b"other"
    assert len(list((tmp_path / "state" / "bench").glob("*.git"))) == 1
    await second.close()


# ── Over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────

TOKEN = "the-token-of-the-test"


def over_http(server: GitHttp, repository: Repository, **options: object) -> Source:
    address = {"repository": f"{server.url}/repository/.git", "token_env": "TOKEN"}
    return build("git", repository.folder.parent, secrets={"token": TOKEN}, **(address | options))


async def test_only_the_contents_of_documents_are_fetched(repository: Repository) -> None:
    await git(repository.folder, "config", "uploadpack.allowFilter", "true")
    await repository.put("a.md", b"an older text")
    old = (await git(repository.folder, "rev-parse", "HEAD:a.md")).strip()
    await repository.put("a.md", b"a text")
    await repository.put("video.bin", os.urandom(300_000))
    async with GitHttp(repository.folder.parent, TOKEN) as server:
        looking = over_http(server, repository)
        found = await listing(looking)
        assert found["a.md"].size_bytes == 6
        lacking = [old, (await git(repository.folder, "rev-parse", "HEAD:video.bin")).strip()]
        output = await git(mirror(repository), "cat-file", "--batch-check", data="\n".join(lacking).encode())
        assert output.split() == [lacking[0], "missing", lacking[1], "missing"]
        # What comes back from the past is not sent with the commit that brings it back.
        await repository.put("a.md", b"an older text")
        found = await listing(looking)
        assert (await looking.read(found["a.md"])).data == b"an older text"
        requests = len(server.seen)
        assert await listing(looking) == found
        assert (
            len(server.seen) - requests <= 3
        )  # only a check whether the branch moved (including a 401 and its answer)
        await looking.close()


async def test_the_token_is_in_no_argument_file_or_address(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await repository.put("a.md", b"one")
    real = shutil.which("git")
    monkeypatch.setenv("PATH", shim(tmp_path / "bin", "git", f'echo "$@" >> {tmp_path}/argv\nexec {real} "$@"'))
    async with GitHttp(tmp_path, TOKEN) as server:
        looking = over_http(server, repository)
        await looking.read((await listing(looking))["a.md"])
        await looking.close()
        assert not any(TOKEN in str(request.url) for request in server.seen)
    assert TOKEN not in (tmp_path / "argv").read_text()
    assert "ls-remote" in (tmp_path / "argv").read_text()
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert files
    assert not any(TOKEN.encode() in path.read_bytes() for path in files)


async def test_the_token_does_not_reach_another_host(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    async with (
        GitHttp(repository.folder.parent, TOKEN) as elsewhere,
        GitHttp(repository.folder.parent, TOKEN) as server,
    ):
        other = elsewhere.url.replace("127.0.0.1", "localhost")
        server.answer = lambda asked: web.Response(status=302, headers={"Location": f"{other}{asked.path_qs}"})
        with pytest.raises(SourceError):
            await listing(over_http(server, repository))
        assert elsewhere.seen
        assert not any("Authorization" in request.headers for request in elsewhere.seen)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, SourceDenied), (403, SourceDenied), (404, SourceUnavailable), (500, SourceUnavailable)],
)
async def test_a_refusal_of_a_host_is_reported(repository: Repository, status: int, kind: type[SourceError]) -> None:
    async with GitHttp(repository.folder.parent, TOKEN) as server:
        server.answer = lambda _: web.Response(status=status, text=f"no: {TOKEN}")
        with pytest.raises(kind) as caught:
            await listing(over_http(server, repository))
    assert TOKEN not in str(caught.value)


async def test_a_stalled_transfer_ends_all_its_processes(repository: Repository) -> None:
    await repository.put("a.md", b"one")
    async with GitHttp(repository.folder.parent) as server:
        server.stall = asyncio.Event()
        looking = build("git", repository.folder.parent, repository=f"{server.url}/repository/.git")
        listed = asyncio.create_task(listing(looking))
        await server.asked.wait()
        started = [process for process in psutil.Process().children(recursive=True) if "git" in process.name()]
        assert started
        listed.cancel()
        await asyncio.gather(listed, return_exceptions=True)
        server.stall.set()
        async with asyncio.timeout(240):
            while any(running(process) for process in started):  # noqa: ASYNC110 - killed, and dying
                await asyncio.sleep(0.01)
        assert set(await listing(looking)) == {"a.md"}


# ── Whose git it is ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_settings_of_the_user_do_not_count(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await repository.put("a.md", b"one")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.bare")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "nonsense")
    (tmp_path / ".gitconfig").write_text('[url "/nowhere/"]\n\tinsteadOf = /\n[core]\n\thooksPath = /nowhere\n')
    hook = repository.folder / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    assert set(await listing(source(repository))) == {"a.md"}
    assert not (tmp_path / "ran").exists()


async def test_without_git_the_next_step_is_named(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceUnavailable, match="apt-get install git"):
        await listing(source(repository))


async def test_ssh_never_prompts(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script stands in for ``ssh`` and runs the command locally."""
    await repository.put("a.md", b"one")
    script = f'echo "$@" >> {tmp_path}/argv\nwhile [ $# -gt 1 ]; do shift; done\nexec sh -c "$1"'
    monkeypatch.setenv("PATH", shim(tmp_path / "bin", "ssh", script))
    looking = source(repository, repository=f"git@git.example.com:{repository.folder}", ssh_key="the key", host="gitea")
    assert set(await listing(looking)) == {"a.md"}
    arguments = (tmp_path / "argv").read_text()
    assert "BatchMode=yes" in arguments
    assert f"-i {tmp_path}/the key" in arguments
    with pytest.raises(SourceUnavailable, match="no repository"):
        await listing(source(repository, repository=f"git@git.example.com:{tmp_path}/none"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"repository": "--upload-pack=touch /tmp/x"}, "not an address"),
        ({"repository": ""}, "not an address"),
        ({"repository": "a\nb"}, "not an address"),
        ({"repository": "git://example.com/x"}, "git://"),
        ({"repository": "ext::sh -c id"}, None),
        ({"repository": "https://user:hush@example.com/x"}, "password"),
        ({"repository": "https://hush@example.com/x"}, "password"),
        ({"repository": "ssh://-oProxyCommand=id/x"}, "no host"),
        ({"repository": "https://example.com"}, "names no repository"),
        ({"repository": "x", "branch": "-f"}, "branch"),
        ({"repository": "x", "branch": "a..b"}, "branch"),
        ({"repository": "x", "branch": "a b"}, "branch"),
        ({"repository": "x", "host": "sourceforge"}, "github"),
        ({"repository": "x", "paths": ["!"]}, "paths"),
        ({"repository": "x", "max_mb": 0}, "max_mb"),
    ],
)
async def test_an_invalid_value_is_refused(options: dict[str, object], says: str | None, tmp_path: Path) -> None:
    if says is None:  # a path like any other: no remote helper is run
        with pytest.raises(SourceUnavailable):
            await listing(build("git", tmp_path, **options))
        return
    with pytest.raises(SourceMisconfigured) as caught:
        build("git", tmp_path, **options)
    assert says in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("password", ["hu/sh", "hu@sh", "hu//sh", "hush" * 1_000])
def test_a_proxys_password_that_git_quotes_is_not_passed_on(password: str) -> None:
    output = f"fatal: Invalid proxy URL 'http://kvasir:{password}@proxy:3128/x': only SOCKS proxies support paths\n"
    error = str(explain_failure(output, "https://git.example.com/x", None))
    assert "hu" not in error.partition("Invalid proxy")[2]
    assert "proxy:3128" in error


@pytest.mark.parametrize(
    ("repository", "token", "says"),
    [
        ("http://git.example.com/x", "t", "unencrypted"),
        ("git@git.example.com:x", "t", "https"),
        ("https://git.example.com/x", "a\nb", "holds no token"),
    ],
)
def test_a_token_goes_only_over_https(repository: str, token: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SourceMisconfigured, match=says):
        build("git", tmp_path, repository=repository, token_env="T", secrets={"token": token})
