"""How long a test waits for an effect that must come.

A wait ends as soon as the effect is there, so a long limit costs nothing: it only ends a test that hangs. A busy
machine can delay every effect, so no limit may be an assertion about speed.
"""

from __future__ import annotations

WAIT_S = 180.0
"""Less than pytest's timeout of a test, so that a failure says what did not come."""
