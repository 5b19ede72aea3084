"""Makes the runs of a schedule due, without waiting for the clock."""

from __future__ import annotations

from datetime import UTC, datetime

from knowledge.sync.schedule import Schedule


def make_due(schedule: Schedule, source: str | None = None) -> None:
    """Make the next run of a source, or the nightly run, due now. Later runs keep their times."""
    job = f"source {source}" if source is not None else "nightly"
    schedule._scheduler.modify_job(job, next_run_time=datetime.now(UTC))
