"""Real servers of OpenSearch and Elasticsearch on the loopback, from the jars that ``make services`` fetches."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.services import free_ports
from tests.tiers import require_servers

OPENSEARCH = "opensearch-2.19.1"
ELASTICSEARCH = "elasticsearch-9.2.0"
_JAVA = Path(__file__).parent / "java"
_MODULE = "transport-netty4"
_DESCRIPTOR = """name=transport-netty4
description=Serves HTTP
version=9.2.0
elasticsearch.version=9.2.0
java.version=21
classname=org.elasticsearch.transport.netty4.Netty4Plugin
"""


@dataclass
class SearchServer:
    """A server without authentication, whose data stay while it is stopped."""

    url: str
    prefix: str
    """The beginning of Kvasir's variables."""
    folder: Path
    _argv: list[str] = field(repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def variables(self) -> dict[str, Any]:
        """Return the variables with which Kvasir uses it."""
        return {f"{self.prefix}_URL": self.url}

    def start(self, timeout_s: float = 120) -> None:
        """Start the server (again) and wait until it is ready. It ends with this process."""
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=self.folder, start_new_session=True
            )
        end = time.monotonic() + timeout_s
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"The server did not become ready: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the server as a crash would, and wait until it is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.communicate(timeout=10)
            self._process = None

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call its interface."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def _is_ready(self) -> bool:
        try:
            return self.call("GET", "/_cluster/health")["status"] != "red"
        except OSError:
            return False


@contextlib.contextmanager
def opensearch_server(folder: Path) -> Iterator[SearchServer]:
    """Run an OpenSearch with its data in ``folder``.

    Raises:
        RuntimeError: there is no server program, or it did not become ready.

    """
    jars = _find_jars(OPENSEARCH)
    with _running(folder, "OPENSEARCH", "OpenSearchServer.java", jars) as server:
        yield server


@contextlib.contextmanager
def elasticsearch_server(folder: Path) -> Iterator[SearchServer]:
    """Run an Elasticsearch with its data in ``folder``. Its module for HTTP has a folder of its own.

    Raises:
        RuntimeError: as ``opensearch_server``.

    """
    jars = _find_jars(ELASTICSEARCH)
    module = folder / "modules" / _MODULE
    module.mkdir(parents=True)
    (module / "plugin-descriptor.properties").write_text(_DESCRIPTOR)
    for name in ("config", "plugins", "lib"):
        (folder / name).mkdir()
    of_module = [jar for jar in jars if jar.name.startswith((_MODULE, "netty-"))]
    for jar in of_module:
        (module / jar.name).symlink_to(jar)
    rest = [jar for jar in jars if jar not in of_module]
    with _running(folder, "ELASTICSEARCH", "ElasticsearchServer.java", rest, f"-Des.path.home={folder}") as server:
        yield server


@contextlib.contextmanager
def _running(folder: Path, prefix: str, program: str, jars: list[Path], *options: str) -> Iterator[SearchServer]:
    require_servers("a search server")
    (port,) = free_ports(1)
    java = jars[0].parents[1] / "java"
    # A server of a test lives for seconds, so its optimising compiler would cost more than it saves.
    lean = ("-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    path = os.pathsep.join(map(str, jars))
    argv = [str(java), *lean, *options, "-cp", path, str(_JAVA / program), str(folder), str(port)]
    server = SearchServer(f"http://127.0.0.1:{port}", prefix, folder, argv)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _find_jars(name: str) -> list[Path]:
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    jars = sorted((cache / name / "lib").glob("*.jar"))
    if not jars:
        raise RuntimeError(f"There is no {name} to test with: run `make services`.")
    return jars
