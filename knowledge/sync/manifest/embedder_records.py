"""What an installation knows of its embedders: the vector that identifies each, and constants that were fitted here."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, insert, select, update

from knowledge.database.database import Database, transaction
from knowledge.embedding import find_calibration
from knowledge.embedding.calibration import FITTING_VERSION, OUTDATED, UNCALIBRATED, EmbedderCalibration
from knowledge.interfaces import Vector
from knowledge.sync.manifest.tables import embedders

_FITTED: Final = TypeAdapter(tuple[int, EmbedderCalibration])
_LITTLE_ENDIAN: Final = "<f4"


class EmbedderRecords:
    """The embedders of one namespace by their identities; an ``EmbedderMemory``.

    Every method raises ``DatabaseError`` if the database failed.
    """

    def __init__(self, database: Database, namespace: str) -> None:
        self.database = database
        self._namespace = namespace

    async def load_canary(self, identity: str) -> Vector | None:
        """Return the stored vector of an embedder, None if there is none."""
        rows = await self.database.fetch_rows(select(embedders.c.canary).where(self._is_row(identity)))
        return np.frombuffer(rows[0][0], _LITTLE_ENDIAN) if rows and rows[0][0] else None

    async def add_canary(self, identity: str, vector: Vector) -> Vector:
        """Store a vector unless there is one already, and return the stored one."""
        return np.frombuffer(await self._insert_row(identity, vector.astype(_LITTLE_ENDIAN).tobytes()), _LITTLE_ENDIAN)

    async def load_calibration(self, identity: str) -> EmbedderCalibration:
        """Return the declared constants of an embedder, or those that were fitted here.

        ``UNCALIBRATED`` for none, and ``OUTDATED`` if another version fitted them.
        """
        declared = find_calibration(identity)
        rows = await self.database.fetch_rows(select(embedders.c.calibration).where(self._is_row(identity)))
        if declared is not UNCALIBRATED or not rows or rows[0][0] is None:
            return declared
        try:
            version, fitted = _FITTED.validate_json(rows[0][0])
        except ValidationError:
            return OUTDATED
        return fitted if version == FITTING_VERSION else OUTDATED

    @transaction
    def save_calibration(self, connection: Connection, identity: str, calibration: EmbedderCalibration) -> None:
        """Store the constants of an embedder."""
        text = _FITTED.dump_json((FITTING_VERSION, calibration)).decode()
        changed = connection.execute(update(embedders).where(self._is_row(identity)).values(calibration=text))
        if not changed.rowcount:
            row = {"namespace": self._namespace, "identity": identity, "canary": b"", "calibration": text}
            connection.execute(insert(embedders).values(row))

    @transaction
    def _insert_row(self, connection: Connection, identity: str, canary: bytes) -> bytes:
        stored = connection.execute(select(embedders.c.canary).where(self._is_row(identity))).scalar()
        if stored is None:
            connection.execute(insert(embedders).values(namespace=self._namespace, identity=identity, canary=canary))
        return canary if stored is None else bytes(stored)

    def _is_row(self, identity: str) -> Any:  # noqa: ANN401 - SQLAlchemy's own type of a condition varies
        return (embedders.c.namespace == self._namespace) & (embedders.c.identity == identity)
