"""Give Kvasir's user at Weaviate the role of ``weaviate-role.json``, as often as the containers start."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

CONFLICT = 409
ROLE = json.loads(Path(__file__).with_name("weaviate-role.json").read_text(encoding="utf-8"))


def send(path: str, body: object) -> int:
    """Post to Weaviate's interface of roles as its administrator; return the status, also of a refusal."""
    request = urllib.request.Request(  # noqa: S310 - the operator's own address
        f"{os.environ['WEAVIATE_URL']}/v1/authz/{path}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {os.environ['VECTORS_ADMIN_KEY']}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def main() -> None:
    """Create the role, or replace the permissions of an earlier one, and assign it."""
    created = send("roles", ROLE)
    if created == CONFLICT:
        created = send(f"roles/{ROLE['name']}/add-permissions", {"permissions": ROLE["permissions"]})
    assigned = send("users/kvasir/assign", {"roles": [ROLE["name"]], "userType": "db"})
    if max(created, assigned) >= 400:  # noqa: PLR2004 - HTTP's own number
        raise SystemExit(f"Weaviate answers {created} and {assigned}. Check VECTORS_ADMIN_KEY, and Weaviate's log.")


if __name__ == "__main__":
    main()
