"""Kvasir in a network of its own that answers at every address: ``python -m tests.e2e.egress FOLDER PART``.

The kernel routes every address to this machine. A name server gives each name an address of its own, and a socket that
sees all packets records each first packet of TCP and each datagram. So it sees every attempt, at any port.
Printed as JSON: what was contacted, by name, and what ``kvasir doctor --egress`` lists.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.e2e.conftest import ROOT, Place
from tests.e2e.live_web import the_engine
from tests.engine.fakes import SMALL_MODEL
from tests.slack.running_bot import get_text

FIRST_ADDRESS = int(IPv4Address("93.184.216.1"))
"""Addresses of names begin here: public ones."""
ENGINE = "http://engine.example:30000"
SYN, ACK = 0x02, 0x10
TCP, UDP = 6, 17
PAGE = """<!doctype html><html lang="en"><head><title>Timetable</title></head><body><article>
<h1>Timetable of the ferry</h1>
<p>The ferry leaves at noon, on each day of the week, from the old pier of the harbour of Aldmark.</p>
<p>Tickets are sold on board by the mate, who takes coins alone and gives no change to anybody.</p>
<a href="/more">more</a> <a href="/away">away</a> <a href="http://elsewhere.example/">elsewhere</a>
<img src="http://elsewhere.example/x.png"></article></body></html>"""


class NameServer(asyncio.DatagramProtocol):
    """Gives each name an IPv4 address of its own."""

    def __init__(self, names: dict[str, str]) -> None:
        """``names`` are by their addresses; several servers share them."""
        self.names = names

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        (kind,) = struct.unpack_from(">H", data, at + 1)
        answer = b""
        if kind == 1:
            address = self.find_address(".".join(labels).lower())
            answer = struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + IPv4Address(address).packed
        head = struct.pack(">HHHHHH", struct.unpack_from(">H", data)[0], 0x8180, 1, bool(answer), 0, 0)
        self._transport.sendto(head + data[12 : at + 5] + answer, addr)

    def find_address(self, name: str) -> str:
        address = next((one for one, known in self.names.items() if known == name), None)
        if address is None:
            address = str(IPv4Address(FIRST_ADDRESS + len(self.names)))
            self.names[address] = name
        return address


class Recorder:
    """Sees every packet of the loopback device."""

    def __init__(self) -> None:
        self.places: set[tuple[str, int, int]] = set()
        """Address, port and protocol."""
        self._line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0003))
        self._line.bind(("lo", 0))
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self._line.setblocking(False)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._line.fileno(), self._read)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = self._line.recv(65_535)
                kind = struct.unpack_from(">H", frame, 12)[0]
                if kind == 0x0800:
                    self._note(frame[14:])
                elif kind == 0x86DD and frame[20] in {TCP, UDP}:
                    self._note_payload(socket.inet_ntop(socket.AF_INET6, frame[38:54]), frame[20], frame[54:])

    def _note(self, packet: bytes) -> None:
        size = (packet[0] & 0x0F) * 4
        if packet[9] in {TCP, UDP}:
            self._note_payload(str(IPv4Address(packet[16:20])), packet[9], packet[size:])

    def _note_payload(self, address: str, protocol: int, payload: bytes) -> None:
        is_reply = protocol == UDP and struct.unpack_from(">H", payload)[0] == 53
        if (protocol == UDP and not is_reply) or (protocol == TCP and payload[13] & (SYN | ACK) == SYN):
            self.places.add((address, struct.unpack_from(">H", payload, 2)[0], protocol))


def name_servers() -> list[str]:
    """Return the name servers that the C library asks."""
    lines = Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines if line.startswith("nameserver")][:3] or ["127.0.0.1"]


async def serve_site(stack: AsyncExitStack) -> None:
    """Serve a site at port 80 of every address, with a link, a redirect and a sitemap that lead to another host."""

    async def page(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nAllow: /\nSitemap: http://elsewhere.example/sitemap.xml\n")
        if request.path == "/away":
            raise web.HTTPFound("http://elsewhere.example/page")
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/{path:.*}", page)])
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, None, 80).start()


async def forward(stack: AsyncExitStack, port: int, to: str) -> None:
    """Serve a loopback server at a port of every address."""
    host, _, inner = to.removeprefix("http://").partition(":")

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, int(inner))
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    server = await asyncio.start_server(connect, port=port)
    stack.callback(server.close)


@contextlib.asynccontextmanager
async def network() -> AsyncIterator[tuple[dict[str, str], Recorder, AsyncExitStack]]:
    async with AsyncExitStack() as stack:
        names, recorder = dict[str, str](), Recorder()
        loop = asyncio.get_running_loop()
        for server in name_servers():  # bound to its address, because a reply must come from there
            transport, _ = await loop.create_datagram_endpoint(lambda: NameServer(names), local_addr=(server, 53))
            stack.callback(transport.close)
        await serve_site(stack)
        recorder.start()
        yield names, recorder, stack


def describe(names: dict[str, str], recorder: Recorder, own: set[int]) -> list[str]:
    """Return what was contacted as ``name:port``; names that were only resolved have the port ``*``."""
    found = {
        f"{names.get(address, address)}:{port}"
        for address, port, _ in recorder.places
        if port != 53 and not (address.startswith("127.") and port in own)
    }
    contacted = {one.rpartition(":")[0] for one in found}
    return sorted({*found, *(f"{name}:*" for name in names.values() if name not in contacted)})


def write_configuration(folder: Path, part: str) -> None:
    (folder / "docs").mkdir()
    (folder / "docs" / "menu.md").write_text("# Menu\nOn Friday the kitchen of the ferry serves soup and bread.\n")
    (folder / "kvasir.toml").write_text(
        '[[source]]\nname = "menu"\nkind = "folder"\npath = "docs"\n'
        '[[source]]\nname = "ferry"\nkind = "website"\nurl = "http://site.example/"\ndelay_s = 0\n'
        + ('[web]\nmode = "on"\n' if part == "web" else ""),
        encoding="utf-8",
    )


async def seen(folder: Path, part: str) -> dict[str, Any]:
    write_configuration(folder, part)
    async with network() as (names, recorder, stack):
        engine = await the_engine(stack, [])
        await forward(stack, 30_000, engine)
        chosen = {"KVASIR_MODEL": SMALL_MODEL} if part == "sglang" else {"KVASIR_ENGINE_URL": ENGINE}
        place, environ = Place(folder), {**chosen, "NO_PROXY": "*", "LOCALDOMAIN": ""}
        run = await stack.enter_async_context(place.run(**environ))
        await run.line(" added in ")
        await run.line("engine: ready")
        ts = await run.box.say("ada", "#general", "@Kvasir When does the ferry leave?")
        answer = await run.box.wait_for_message(lambda m: m["root"] == ts and m.get("bot_id") and m.get("metadata"))
        await run.box.command("ada", "#general", "/kb refresh")
        link = await run.box.say("ada", "#general", "@Kvasir What does http://elsewhere.example/x say of the ferry?")
        await run.box.wait_for_message(lambda m: m["root"] == link and m.get("bot_id") and m.get("metadata"))
        for command in (("status",), ("doctor",), ("search", "ferry")):
            await place.fork_command(*command, **environ)
        if part == "stray":
            await stray()
        sandbox = int(run.box.base_url.rpartition(":")[2])
        _, listed_json, _ = await place.fork_command("doctor", "--egress", "--json", **environ)
        listed = json.loads(listed_json)
        own = {sandbox, int(engine.rpartition(":")[2])}
        return {
            "answer": get_text(answer),
            "contacted": describe(names, recorder, own),
            "listed": [f"{one['host']}:{one['port']}" for one in listed["destinations"]],
        }


async def stray() -> None:
    """Connect to what no configuration names: a name, a TCP port where nothing listens, and a datagram."""
    for host, port in (("stray.example", 4444), ("10.9.8.7", 5555)):
        with contextlib.suppress(OSError):
            await asyncio.wait_for(asyncio.open_connection(host, port), 5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"x", ("10.9.8.7", 6666))
    await asyncio.sleep(0.1)


def main() -> None:
    for command in ("ip link set lo up", "ip route add local 0.0.0.0/0 dev lo", "ip -6 route add local ::/0 dev lo"):
        subprocess.run(command.split(), check=True, timeout=120)
    json.dump(asyncio.run(seen(Path(sys.argv[1]), sys.argv[2])), sys.stdout)


if __name__ == "__main__":
    assert ROOT
    main()
