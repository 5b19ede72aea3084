"""Ways into the inner network that public lists of SSRF payloads have, family by family."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

INNER_4 = (
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254",
    "169.254.170.2", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "240.0.0.1",
    "224.0.0.1", "255.255.255.255", "192.88.99.1", "203.0.113.1",
)  # fmt: skip
INNER_6 = (
    "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1",
    "5f00::1", "100::1",
)  # fmt: skip
METADATA_NAMES = ("metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal")
INNER_NAMES = ("localhost", "LOCALHOST", "localhost.", "foo.localhost", "localhost.localdomain", "router.local", "db")
PUBLIC = "93.184.216.34"


def embedded(address: str) -> Iterator[str]:
    """Yield the IPv6 addresses that lead to an IPv4 address, or carry it."""
    value = int(IPv4Address(address))
    yield f"::ffff:{address}"
    yield f"::{address}"
    yield f"::ffff:0:{address}"
    yield f"64:ff9b::{address}"
    yield f"64:ff9b:1::{address}"
    yield str(IPv6Address(0x64FF9B0001 << 88 | (value >> 16) << 64 | (value & 0xFFFF) << 40))
    yield str(IPv6Address(0x2002 << 112 | value << 80 | 1))
    yield str(IPv6Address(0x20010000 << 96 | 0x5DB8D822 << 64 | (~value & 0xFFFFFFFF)))
    yield f"2606:4700::5efe:{address}"


def spelled(address: str) -> Iterator[str]:
    """Yield odd spellings of an IPv4 address that some program or other takes for it."""
    a, b, c, d = (int(part) for part in address.split("."))
    value = int(IPv4Address(address))
    yield str(value)
    yield hex(value)
    yield f"0{value:o}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"000{a:o}.{b}.{c:#x}.{d}"
    yield f"{a}.{b << 16 | c << 8 | d}"
    yield f"{a}.{b}.{c << 8 | d}"
    yield f"{a}.{b}.{c}.0{d:o}"
    yield f"{a + 256}.{b}.{c}.{d}"
    yield f"{address}."
    yield f"{address}.."
    yield "".join(chr(0xFF10 + int(one)) if one.isdigit() else "。" for one in address)
    yield "".join("⓪①②③④⑤⑥⑦⑧⑨"[int(one)] if one.isdigit() else "." for one in address)
    yield address.replace(".", "%2e")
    yield "".join(f"%{ord(one):02x}" for one in address)
    yield f"{address}%00.test.example"
    yield f" {address}"
    yield f"{address}\t"
    yield f"\u200b{address}"


def urls(port: str) -> Iterator[tuple[str, str]]:
    """Yield ``(family, url)``; ``port`` is "" or ``:N``."""
    for address in INNER_4:
        yield "plain IPv4", f"http://{address}{port}/"
        yield "https", f"https://{address}{port}/"
        yield from (("embedded in IPv6", f"http://[{form}]{port}/") for form in embedded(address))
        yield from (("a name's A", f"http://v4-{address.replace('.', '-')}.evil.example{port}/") for _ in range(1))
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1"):
        yield from (("odd spelling", f"http://{form}{port}/") for form in spelled(address))
        for form in embedded(address):
            yield "a name's AAAA", f"http://v6-{int(ip_address(form)):x}.evil.example{port}/"
    for address in INNER_6:
        yield "plain IPv6", f"http://[{address}]{port}/"
        yield "zone", f"http://[{address}%25lo]{port}/"
        yield "zone", f"http://[{address}%lo]{port}/"
        yield "a name's AAAA", f"http://v6-{int(IPv6Address(address)):x}.evil.example{port}/"
    yield from (("metadata name", f"http://{name}{port}/latest/meta-data/") for name in METADATA_NAMES)
    yield from (("inner name", f"http://{name}{port}/") for name in INNER_NAMES)
    yield from _confused(port)
    yield from _redirected(port)
    yield from _resolved(port)


def _confused(port: str) -> Iterator[tuple[str, str]]:
    inner = f"10.0.0.1{port}"
    yield from (("userinfo", f"http://{user}{inner}/") for user in ("site.example@", "a:b@", "@", "site.example%40@"))
    yield "userinfo", f"http://{inner}@evil.example{port}/"
    yield "userinfo", f"http://site.example{port}#@{inner}@v4-10-0-0-1.evil.example/"
    yield "backslash", f"http://site.example{port}\\@{inner}/"
    yield "backslash", f"http:\\\\{inner}/"
    yield "backslash", f"http://{inner}\\.site.example/"
    yield "slashes", f"http:///{inner}/"
    yield "slashes", f"http:{inner}/"
    yield "slashes", f"//{inner}/"
    yield "slashes", f"http:/{inner}/"
    for ending in ("\r\nHost: inner", "\r\n\r\nGET / HTTP/1.1", "%0d%0aHost:inner", "\n", "\t", "\0", "\u2028", "\x85"):
        yield "CRLF", f"http://{inner}{ending}/"
        yield "CRLF", f"http://10.0.0.1{ending}{port}/"
    for scheme in ("gopher", "file", "ftp", "dict", "ldap", "tftp", "jar:http", "data", "javascript", "ws", "netdoc"):
        yield "scheme", f"{scheme}://{inner}/_GET%20/"
    yield "scheme", "file:///etc/passwd"
    yield "scheme", "data:text/html,hello"
    yield from (("port", f"http://site.example:{number}/") for number in (22, 25, 6379, 9200, 0, 65536, "80a", "٨٠"))
    for mark in (
        "ⅼocalhost",
        "LOCALHOST。",
        "loc\u00adalhost",
        "lo\u200dcalhost",
        "ｌｏｃａｌｈｏｓｔ",
        "127。0。0。1",
        "①27.0.0.1",
    ):
        yield "IDNA", f"http://{mark}{port}/"
    yield from (("long", f"http://{'a' * length}.evil.example{port}/") for length in (64, 300, 9_000))


def _redirected(port: str) -> Iterator[tuple[str, str]]:
    start = f"http://site.example{port}/to?"
    for address in (*INNER_4, *(f"[{one}]" for one in INNER_6)):
        yield "redirect", f"{start}http://{address}{port}/"
    for address in ("127.0.0.1", "169.254.169.254"):
        for form in (*spelled(address), *(f"[{one}]" for one in embedded(address))):
            if form.isascii() and form.isprintable():
                yield "redirect", f"{start}http://{form.strip()}{port}/"
    inner = f"v4-10-0-0-1.evil.example{port}/"
    yield from (
        ("redirect", start + to) for to in (f"//{inner}", f"http://{inner}", f"//10.0.0.1{port}", "file:///etc")
    )
    yield "redirect", f"{start}http://site.example{port}/to?http://10.0.0.1{port}/"
    yield "redirect", f"{start}http://u:p@10.0.0.1{port}/"


def _resolved(port: str) -> Iterator[tuple[str, str]]:
    yield from (("rebinding", f"http://rebind{number}.evil.example{port}/") for number in range(20))
    yield from (("mixed answer", f"http://mixed{number}.evil.example{port}/") for number in range(4))
