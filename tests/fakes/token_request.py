"""Reading a token request as strictly as RFC 6749 §2.3, §3.2 and §4 allow."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, unquote_plus

import jwt

if TYPE_CHECKING:
    from collections.abc import Mapping

FORM = "application/x-www-form-urlencoded"
STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

PAIR = 2

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2

AuthMethod = Literal[
    "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"
]


class TokenRequestError(Exception):
    """The request is refused with this error code (RFC 6749 §5.2)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True)
class TokenCall:
    """A token request as it arrived; ``at`` is the loop's time of arrival."""

    grant_type: str
    client_id: str
    client_secret: str = field(repr=False)
    auth_method: AuthMethod
    form: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    at: float

    def field_values(self, name: str) -> list[str]:
        """Give every value of a header field, in order."""
        return [value for found, value in self.headers if found.lower() == name.lower()]


def read_token_call(
    headers: Mapping[str, str], raw: tuple[tuple[str, str], ...], body: bytes, at: float
) -> TokenCall:
    """Read a token request; raise ``TokenRequestError`` for anything a strict server refuses."""
    media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise TokenRequestError("invalid_request", f"content type {media_type!r}")
    form = read_form(body)
    client_id, client_secret, auth_method = read_client(headers.get("Authorization"), form)
    return TokenCall(
        grant_type=form.get("grant_type", ""),
        client_id=client_id,
        client_secret=client_secret,
        auth_method=auth_method,
        form=form,
        body=body,
        headers=raw,
        at=at,
    )


def read_form(body: bytes) -> dict[str, str]:
    """Read the form; a parameter must not come twice (RFC 6749 §3.2)."""
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as exc:
        raise TokenRequestError("invalid_request", "unreadable form") from exc
    if STRAY_PERCENT.search(text):
        raise TokenRequestError("invalid_request", "percent sign without two digits")
    form = dict(pairs)
    if len(form) != len(pairs):
        raise TokenRequestError("invalid_request", "duplicate parameter")
    return form


def read_client(authorization: str | None, form: Mapping[str, str]) -> tuple[str, str, AuthMethod]:
    """Read the client's authentication; one method only (RFC 6749 §2.3)."""
    if "client_assertion" in form:
        if authorization is not None or "client_secret" in form:
            raise TokenRequestError("invalid_request", "two client authentication methods")
        return read_assertion(form)
    if authorization is None:
        method: AuthMethod = "client_secret_post" if "client_secret" in form else "none"
        return form.get("client_id", ""), form.get("client_secret", ""), method
    if "client_secret" in form:
        raise TokenRequestError("invalid_request", "two client authentication methods")
    client_id, client_secret = read_basic(authorization)
    if form.get("client_id", client_id) != client_id:
        raise TokenRequestError("invalid_request", "two client identifiers")
    return client_id, client_secret, "client_secret_basic"


def read_assertion(form: Mapping[str, str]) -> tuple[str, str, AuthMethod]:
    """Read who an assertion says the client is; its signature is judged later (RFC 7521 §4.2)."""
    token = form["client_assertion"]
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise TokenRequestError("invalid_request", "another client_assertion_type")
    try:
        alg = jwt.get_unverified_header(token)["alg"]
        client_id = jwt.decode(token, options={"verify_signature": False})["sub"]
    except (jwt.InvalidTokenError, KeyError) as exc:
        raise TokenRequestError("invalid_client", "unreadable client_assertion") from exc
    if form.get("client_id", client_id) != client_id:
        raise TokenRequestError("invalid_request", "two client identifiers")
    return client_id, "", "client_secret_jwt" if alg.startswith("HS") else "private_key_jwt"


def read_basic(authorization: str) -> tuple[str, str]:
    """Read a client's Basic pair: form-decoded after base64 (RFC 6749 §2.3.1, Appendix B)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise TokenRequestError("invalid_client", f"scheme {scheme!r}")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode("ascii")
        if STRAY_PERCENT.search(decoded):
            raise TokenRequestError("invalid_client", "client credentials are not form-encoded")
        halves = [unquote_plus(half, errors="strict") for half in decoded.split(":")]
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise TokenRequestError("invalid_client", "unreadable Basic value") from exc
    if len(halves) != PAIR:
        raise TokenRequestError("invalid_client", "not one colon in the Basic value")
    return halves[0], halves[1]
