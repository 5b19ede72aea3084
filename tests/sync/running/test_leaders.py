"""Leaders that are killed, stopped, cut off or lose their connections: another one leads, and nothing differs after it.

Leases are shorter here. ``scripts/soak.py --kind leaders`` takes those of the product.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sync.running.leader_faults import FAULTS, run_fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

VALID_S = 6.0


@pytest.mark.parametrize(("seed", "way"), [(1, "empty_postgres"), (2, "pooled_postgres")])
@pytest.mark.parametrize("fault", FAULTS)
async def test_another_process_leads_after_a_fault(
    tmp_path: Path, request: pytest.FixtureRequest, fault: str, seed: int, way: str
) -> None:
    outcome = await run_fault(fault, tmp_path, request.getfixturevalue(way), seed, VALID_S)
    assert outcome.problems == []
    assert (outcome.refused > 0) == (fault in {"stopped", "cut"})


async def test_another_process_leads_after_a_kill_on_sqlite(tmp_path: Path) -> None:
    outcome = await run_fault("killed", tmp_path, f"sqlite:///{tmp_path / 'home' / 'kvasir.db'}", 1, VALID_S)
    assert outcome.problems == []
