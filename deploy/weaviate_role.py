"""Give Kvasir's user at Weaviate the role of ``weaviate-role.json`` alone, as often as the containers start."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

ROLE = json.loads(Path(__file__).with_name("weaviate-role.json").read_text(encoding="utf-8"))
NAME = ROLE["name"]
USER = "users/kvasir"


def send(path: str, body: object = None) -> Any:  # noqa: ANN401 - what JSON may be
    """Ask Weaviate's interface of roles as its administrator: post a body, or get the answer; None for a conflict.

    Raises:
        SystemExit: Weaviate refuses, or does not answer.

    """
    url = os.environ["WEAVIATE_URL"]
    request = urllib.request.Request(  # noqa: S310 - the operator's own address
        f"{url}/v1/authz/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {os.environ['VECTORS_ADMIN_KEY']}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.CONFLICT:
            raise SystemExit(f"Weaviate answers {error.code}. Check VECTORS_ADMIN_KEY, and Weaviate's log.") from None
    except OSError as error:  # URLError is one
        raise SystemExit(f"Weaviate at {url} does not answer ({error}). Start it, or check WEAVIATE_URL.") from None


def main() -> None:
    """Create the role, or replace the permissions of an earlier one, and make it the only role of the user."""
    send("roles", ROLE)
    wanted, present = ROLE["permissions"], send(f"roles/{NAME}")["permissions"]
    if missing := [one for one in wanted if one not in present]:
        send(f"roles/{NAME}/add-permissions", {"permissions": missing})
    if surplus := [one for one in present if one not in wanted]:
        send(f"roles/{NAME}/remove-permissions", {"permissions": surplus})
    send(f"{USER}/assign", {"roles": [NAME], "userType": "db"})
    if others := [one["name"] for one in send(f"{USER}/roles/db") if one["name"] != NAME]:
        send(f"{USER}/revoke", {"roles": others, "userType": "db"})


if __name__ == "__main__":
    main()
