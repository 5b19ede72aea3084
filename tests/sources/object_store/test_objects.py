"""An object source against a real S3 server over HTTP, with faults between the two; and the roads to other stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from tests.sources.building import build
from tests.sources.contract import listing, opened
from tests.sources.object_store.bench_objects import S3Bench, refused

KEYS = {"key_env": "KEY", "secret_env": "SECRET"}
SECRETS = {"key": "the-key", "secret": "the-secret"}


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[S3Bench]:
    bench = S3Bench(tmp_path)
    async with opened(bench):
        yield bench


@pytest.mark.slow
async def test_a_listing_of_many_pages(s3: S3Bench) -> None:
    names = {f"{number % 9}/{number}.md" for number in range(230)}
    await s3.put_all(dict.fromkeys(names, b"x"))
    s3.faults.page_keys = 50
    batches = [batch async for batch in s3.source().list()]
    assert sum(len(batch) for batch in batches) == len(names)
    assert {one.document for batch in batches for one in batch} == names
    assert len(batches) == 5


@pytest.mark.slow
async def test_only_documents_below_the_prefix_are_listed(s3: S3Bench) -> None:
    for key in ("docs/a.md", "docs/b.bin", "docs/.hidden/c.md", "docs/folder/", "docs2/d.md", "e.md"):
        await asyncio.to_thread(s3.client.put_object, Bucket=s3.bucket, Key=key, Body=b"x")
    assert set(await listing(s3.source())) == {"a.md"}
    whole = build("objects", s3.folder, secrets=SECRETS, **s3.options() | {"url": f"s3://{s3.bucket}"})
    assert set(await listing(whole)) == {"docs/a.md", "docs2/d.md", "e.md"}
    await whole.close()


@pytest.mark.slow
async def test_an_object_that_is_replaced_after_its_answer_began(s3: S3Bench) -> None:
    """A read object has the version of the same answer, whatever changes meanwhile."""
    await s3.put("a.md", b"the old one")
    source = s3.source()
    listed = (await listing(source))["a.md"]
    replaced: list[web.Request] = []

    def replace(request: web.Request) -> None:
        if request.path.endswith("a.md") and not replaced:
            replaced.append(request)
            s3.client.put_object(Bucket=s3.bucket, Key="docs/a.md", Body=b"a newer one")

    s3.faults.before = replace
    content = await source.read(listed)
    assert replaced
    assert (content.data, content.version) == (b"a newer one", (await listing(source))["a.md"].version)
    await source.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "InvalidAccessKeyId", SourceDenied),
        (403, "SignatureDoesNotMatch", SourceDenied),
        (400, "ExpiredToken", SourceDenied),
        (403, "AccessDenied", SourceDenied),
        (404, "NoSuchBucket", SourceUnavailable),
        (500, "InternalError", SourceUnavailable),
        (503, "SlowDown", SourceUnavailable),
        (200, "not xml at all <", SourceUnavailable),
    ],
)
async def test_a_listing_that_is_refused(s3: S3Bench, status: int, code: str, kind: type[SourceError]) -> None:
    s3.faults.answer = lambda _: refused(status, code)
    source = s3.source()
    with pytest.raises(kind) as caught:
        await listing(source)
    assert not any(secret in str(caught.value) for secret in s3.hushed())
    await source.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", SourceError),
        (403, "AccessDenied", SourceError),
        (403, "InvalidObjectState", SourceError),
        (403, "InvalidAccessKeyId", SourceDenied),
        (400, "ExpiredToken", SourceDenied),
        (404, "NoSuchBucket", SourceUnavailable),
        (503, "SlowDown", SourceUnavailable),
    ],
)
async def test_a_read_that_is_refused(s3: S3Bench, status: int, code: str, kind: type[SourceError]) -> None:
    """One object's trouble is its own; that of the key or the bucket is everybody's."""
    await s3.put("a.md", b"one")
    source = s3.source()
    listed = (await listing(source))["a.md"]
    s3.faults.answer = lambda _: refused(status, code)
    with pytest.raises(SourceError) as caught:
        await source.read(listed)
    assert type(caught.value) is kind
    assert ("a.md" in str(caught.value)) == (kind is SourceError)
    s3.faults.answer = lambda _: None
    assert (await source.read(listed)).data == b"one"
    await source.close()


@pytest.mark.slow
async def test_an_answer_that_breaks_off(s3: S3Bench) -> None:
    await s3.put("a.md", b"one")
    source = s3.source()
    listed = (await listing(source))["a.md"]

    def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    s3.faults.answer = cut
    with pytest.raises(SourceUnavailable):
        await source.read(listed)
    await source.close()


@pytest.mark.slow
async def test_a_server_that_checks_keys(s3: S3Bench) -> None:
    """A real one: a user with rights to read, its key, and the same key with another secret."""
    import boto3  # noqa: PLC0415 - slow to load
    import requests  # noqa: PLC0415

    from tests.sources.object_store.bench_objects import s3_server  # noqa: PLC0415

    await s3.put("a.md", b"one")
    server = s3_server()
    iam = boto3.client(
        "iam", endpoint_url=server, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    rights = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}
    iam.create_user(UserName=s3.bucket)
    iam.put_user_policy(
        UserName=s3.bucket, PolicyName="read",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [rights]}),
    )  # fmt: skip
    key = iam.create_access_key(UserName=s3.bucket)["AccessKey"]
    right = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    options = s3.options() | {"endpoint_url": server}
    await asyncio.to_thread(requests.post, f"{server}/moto-api/reset-auth", data="0", timeout=120)
    try:
        reading = build("objects", s3.folder, secrets=right, **options)
        listed = (await listing(reading))["a.md"]
        assert (await reading.read(listed)).data == b"one"
        await reading.close()
        for wrong in ({**right, "secret": "hush"}, {"key": "AKIANOTHING", "secret": "hush"}):
            denied = build("objects", s3.folder, secrets=wrong, **options)
            with pytest.raises(SourceDenied) as caught:
                await listing(denied)
            assert "hush" not in str(caught.value)
            await denied.close()
    finally:
        await asyncio.to_thread(requests.post, f"{server}/moto-api/reset-auth", data="inf", timeout=120)


@pytest.mark.slow
async def test_a_closed_port_is_an_error(s3: S3Bench) -> None:
    source = build("objects", s3.folder, secrets=SECRETS, **s3.options() | {"endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        await listing(source)
    await source.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "s3://"}, "bucket"),
        ({"url": "bucket"}, "bucket"),
        ({"url": "file:///srv"}, "“folder”"),
        ({"url": "https://example.com/x"}, "“website”"),
        ({"url": "abfz://bucket"}, "Did you mean “abfs”?"),
        ({"url": "simplecache::s3://bucket"}, "bucket"),
        ({"url": "sftp://u:hush@host/x"}, "password"),
        ({"url": "s3://b", "endpoint_url": "https://u:hush@host"}, "password"),
        ({"url": "s3://b", "endpoint_url": "https://hush@host"}, "password"),
        ({"url": "s3://b", "endpoint_url": "minio:9000"}, "https://"),
        ({"url": "s3://b", "key_env": "K"}, "need each other"),
        ({"url": "gs://b"}, "kvasir[gcs]"),
        ({"url": "az://b"}, "kvasir[azure]"),
        ({"url": "s3://b", "paths": [""]}, "paths"),
    ],
)
def test_an_invalid_value_is_refused(options: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(SourceMisconfigured) as caught:
        build("objects", tmp_path, **options)
    assert says in str(caught.value)
    assert "hush" not in str(caught.value)
