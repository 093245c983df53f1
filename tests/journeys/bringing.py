"""Access tokens that callers bring: settings, fields, and what became of a request."""

from __future__ import annotations

BEARER = {"AUTH_METHODS": "password,client_credentials,bearer", "AUDIENCE_REQUIRED": "api"}


EVERYWHERE = {**BEARER, "BEARER_TOKEN_PARAM_TYPE": "header,query,body"}


FORM = (b"Content-Type", b"application/x-www-form-urlencoded")


JSON = (b"Content-Type", b"application/json")


CHALLENGES = [
    b'Bearer realm="bearergate", error="invalid_token"',
    b'Basic realm="bearergate", charset="UTF-8"',
]


def bearer(token, scheme="Bearer "):
    """Write an ``Authorization`` field for a token (RFC 6750 §2.1)."""
    return b"Authorization", f"{scheme}{token}".encode()


def outcome(response):
    """Tell the status and the error of an answer."""
    return response.status, response.json()["error"]
