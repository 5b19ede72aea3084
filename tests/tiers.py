"""Which tests ``make test-servers`` runs, and why; ``make test`` runs all others.

``make test`` proves the product with its embedded defaults on any machine with Python, git and make. A test belongs to
``make test-servers`` if it is marked ``servers``, stands in a place named below, or uses a fixture named below. A test
of the other tier that starts a server fails with the name of the mark that it lacks.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pytest

SERVER_FIXTURES = frozenset({"clinic", "postgres", "shared_pgbouncer", "shared_postgres", "vector_postgres"})
SERVER_PARAMETERS = frozenset(
    {"elasticsearch", "mariadb", "opensearch", "pgbouncer", "postgres", "postgresql", "weaviate"}
)
"""Values of parameters with which a slow test uses such a server."""
SERVER_PLACES = {
    "tests/cli/test_engine_command.py": "it starts and stops engines of other processes",
    "tests/database/test_postgresql_url.py::test_a_certificate_that_does_not_prove": "it needs PostgreSQL",
    "tests/database/test_postgresql_url.py::test_ssl_modes_of_a_server": "it needs PostgreSQL",
    "tests/deploy/test_deploy.py::test_the_role_is_given_and_is_enough": "it needs Weaviate",
    "tests/e2e/test_product.py": "it needs a browser",
    "tests/e2e/test_readers.py": "it needs a browser",
    "tests/engine/real/": "it starts SGLang in many ways",
    "tests/cli/test_run.py::test_a_weaviate_that_is_down": "it needs Weaviate",
    "tests/cli/test_run.py::test_a_wrong_weaviate_key": "it needs Weaviate",
    "tests/library/test_production.py": "it needs Weaviate",
    "tests/library/test_store_switch.py": "it needs Weaviate and PostgreSQL",
    "tests/ray_cluster/test_real_cluster.py": "it needs Ray",
    "tests/sandbox/test_page": "it needs a browser",
    "tests/security/test_probes.py": "it needs Weaviate",
    "tests/slack/features/settings/test_channel_settings_page.py": "it needs a browser",
    "tests/slack/workspace/test_home_page.py": "it needs a browser",
    "tests/stores/opensearch/": "it needs OpenSearch and Elasticsearch",
    "tests/stores/postgresql/": "it needs PostgreSQL",
    "tests/stores/weaviate/": "it needs Weaviate",
}
"""Files and folders whose tests all need a server or a browser, with which one."""
LONG_PLACES = {
    "tests/api/test_openapi.py::test_schemathesis_finds_nothing": "it asks thousands of questions",
    "tests/cli/test_backup.py": "each test backs up and restores whole installations",
    "tests/cli/test_planted_values.py": "it runs every command with planted secrets",
    "tests/cli/test_private_state.py": "it runs every command and reads every file",
    "tests/e2e/test_egress.py": "it needs a network namespace",
    "tests/e2e/test_live_web.py": "it needs a network namespace",
    "tests/e2e/test_web_off.py": "it needs a network namespace",
    "tests/engine/process/test_flags.py": "it needs SGLang's own parser of arguments",
    "tests/library/test_closed_pages.py": "it closes thousands of pages",
    "tests/library/test_hosts.py": "it needs namespaces of mounts",
    "tests/library/test_nightly.py": "it waits for a schedule",
    "tests/library/test_random_rights.py": "it draws random worlds",
    "tests/parsing/test_recognition.py": "text recognition takes seconds a picture",
    "tests/search/test_own_documents.py": "it embeds every page of the documentation",
    "tests/slack/test_attacks.py": "it makes every attack in two languages",
    "tests/slack/turns/recovery/test_crash_recovery.py": "it kills processes",
    "tests/slack/turns/test_edit_storm.py": "it is a storm of edits",
    "tests/slack/turns/test_replicas.py": "it starts replicas",
    "tests/soak/": "it draws random worlds",
    "tests/sync/running/test_convergence.py": "it syncs random worlds",
    "tests/sync/running/test_killed.py": "it kills a sync at each step",
    "tests/sync/running/test_leaders.py": "it kills leaders",
    "tests/test_recipes.py": "it follows each recipe on a copy of the repository",
}
"""Files and folders whose tests all belong to ``make test-servers`` for another reason."""

COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""All tests that a run collected, also those that its expression of marks leaves out."""
_TIMEOUT_S = 360.0
"""Of a test without a timeout of its own, as in pyproject.toml."""
_running: list[pytest.Item] = []


def mark_tiers(items: list[pytest.Item]) -> None:
    """Mark the tests of the places and fixtures named above; one that starts a server may fail once.

    A busy machine can starve a server. The summary of a run lists the tests that ran twice. Repair those that do often.
    """
    for item in items:
        marked = item.get_closest_marker("servers") is not None
        uses_server = marked or _is_in(item, SERVER_PLACES) or _has_server(item)
        if not marked and (uses_server or _is_in(item, LONG_PLACES)):
            item.add_marker(pytest.mark.servers)
        if uses_server or item.get_closest_marker("engine"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def _is_in(item: pytest.Item, places: Iterable[str]) -> bool:
    return any(item.nodeid.startswith(place) for place in places)


def _has_server(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    values = list(item.callspec.params.values()) if hasattr(item, "callspec") else []
    names = {one for one in values if isinstance(one, str)}
    has_parameter = not SERVER_PARAMETERS.isdisjoint(names) and item.get_closest_marker("slow") is not None
    has_parameter = has_parameter or any(getattr(one, "needs_server", False) is True for one in values)
    return has_parameter or not SERVER_FIXTURES.isdisjoint(item.fixturenames)


def spread_tests(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests in an order whose equal parts, one for each worker, all begin with modules that take long.

    A worker of ``--dist worksteal`` first gets such a part. The fast tests at its end are there for others to take.
    """
    modules: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        modules[item.nodeid.partition("::")[0]].append(item)
    slow = {name for name, tests in modules.items() if any(test.get_closest_marker("slow") for test in tests)}
    parts: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, name in enumerate(sorted(slow, key=lambda name: (-max(map(find_timeout, modules[name])), name))):
        parts[number % workers] += modules[name]
    fast = iter([test for name, tests in modules.items() if name not in slow for test in tests])
    for part in parts:
        part.extend(islice(fast, max(0, len(items) // workers - len(part))))
    return [*(test for part in parts for test in part), *fast]


def find_timeout(item: pytest.Item) -> float:
    """Return the seconds after which a test is ended."""
    return float(max((mark.args[0] for mark in item.iter_markers("timeout")), default=_TIMEOUT_S))


@contextlib.contextmanager
def watch_test(item: pytest.Item) -> Iterator[None]:
    """Remember which test runs, for ``require_servers``."""
    _running.append(item)
    try:
        yield
    finally:
        _running.pop()


def require_servers(name: str) -> None:
    """Fail a test of ``make test`` that starts a server.

    Raises:
        RuntimeError: the test lacks the mark ``servers``.

    """
    if _running and _running[-1].get_closest_marker("servers") is None:
        raise RuntimeError(f"{_running[-1].nodeid} starts {name}: mark it `servers`, see tests/tiers.py.")
