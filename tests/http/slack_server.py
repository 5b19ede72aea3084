"""Serves Slack over HTTP in a process with few descriptors, until it is killed; prints its address."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from slack_bolt.authorization import AuthorizeResult

from bot.slack.wire.settings import SlackSettings
from bot.slack.wire.transport.http_server import HttpServer
from bot.slack.wire.transport.web_client import make_web_client, open_http_session
from bot.slack.workspace.app import create_bolt_app


async def authorize(**_: object) -> AuthorizeResult:
    return AuthorizeResult(enterprise_id=None, team_id="T1", bot_user_id="U1", bot_id="B1", bot_token="xoxb-t")


async def main() -> None:
    api_url = "http://127.0.0.1:1/api/"
    settings = SlackSettings(
        bot_token="xoxb-t", app_token=None, signing_secret="secret", api_url=api_url, port=0, oauth=None
    )
    async with open_http_session() as session:
        bolt = create_bolt_app(settings, make_web_client(api_url, "xoxb-t", session), authorize)

        @bolt.event("app_mention")
        async def accept_mention() -> None:
            await asyncio.sleep(0)

        server = HttpServer(bolt, 0, "127.0.0.1")
        await server.start()
        print(server.address, flush=True)  # noqa: T201 - for the test
        await asyncio.Event().wait()


if __name__ == "__main__":
    descriptors = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    asyncio.run(main())
