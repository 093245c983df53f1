"""One HTTP request and its answer as they travelled: nothing decoded, nothing followed."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """Status, header fields and body, as received."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the field's values joined as RFC 9110 §5.3 says, None where there is none."""
        values = [value for other, value in self.headers if other.lower() == name.lower()]
        return ", ".join(values) if values else None

    def document(self) -> Any:
        """Return the body's JSON value."""
        return json.loads(self.body)


def basic(user: str, password: str) -> dict[str, str]:
    """Return the Authorization field of RFC 7617 §2."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    patience: float = 30.0,
) -> Answer:
    """Send one request on a connection of its own."""
    where = urlsplit(url)
    target = where.path + (f"?{where.query}" if where.query else "")
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=patience)
    try:
        connection.request(method, target or "/", body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def forwarded(answer: Answer) -> str:
    """Return the bearer token that httpbin says it received."""
    assert answer.status == 200, answer.body
    scheme, _, token = answer.document()["headers"]["Authorization"].partition(" ")
    assert scheme == "Bearer"
    return str(token)


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT, unverified (RFC 7519 §3)."""
    return json_segment(token, 1)


def jose_header(token: str) -> dict[str, Any]:
    """Return the JOSE header of a JWT (RFC 7515 §4)."""
    return json_segment(token, 0)


def json_segment(token: str, number: int) -> dict[str, Any]:
    """Return one base64url segment of a JWT as JSON."""
    segment = token.split(".")[number]
    document: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    )
    return document
