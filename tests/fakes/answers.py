"""What token endpoints answer: the real ones, and the ones that make no sense (RFC 6749 §5)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON: Final = "application/json"
HTML: Final = "text/html;charset=utf-8"
KIBIBYTE: Final = 1024


class Removed:
    """The mark for a member that is to be left out."""


REMOVED: Final = Removed()


@dataclass(frozen=True, slots=True)
class RawJSON:
    """A JSON value spelled by hand, for what ``json.dumps`` does not write."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer; without ``body`` it is the genuine answer with ``members`` merged in.

    ``repeated`` members are written once more at the end of the object, ``cut`` takes that many
    bytes off the end of the body.  ``drop`` ends the connection without an answer (``before``) or
    in the middle of the body (``mid_body``).  ``delay`` comes before the answer, ``dribble``
    before each byte of the body; both are in seconds.
    """

    status: int = 200
    body: bytes | None = field(default=None, repr=False)
    content_type: str | None = JSON
    headers: tuple[tuple[str, str], ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)
    repeated: tuple[tuple[str, Any], ...] = ()
    cut: int = 0
    delay: float = 0.0
    dribble: float = 0.0
    drop: Literal["before", "mid_body"] | None = None

    def write_body(self, genuine: Mapping[str, Any]) -> bytes:
        """Write the body, from the genuine object where this answer has none of its own."""
        body = self.body
        if body is None:
            body = write_object([*merge(genuine, self.members).items(), *self.repeated])
        return body[: len(body) - self.cut]


def write_object(pairs: list[tuple[str, Any]]) -> bytes:
    """Write a JSON object from pairs, repeated names included."""
    members = (
        f"{json.dumps(name)}:{value.text if isinstance(value, RawJSON) else json.dumps(value)}"
        for name, value in pairs
    )
    return ("{" + ",".join(members) + "}").encode()


def merge(usual: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Put changes over the usual members; ``REMOVED`` takes one away."""
    merged = {**usual, **changes}
    return {name: value for name, value in merged.items() if value is not REMOVED}


def refusal(status: int, error: str, description: str = "", *headers: tuple[str, str]) -> Answer:
    """Write an error response (RFC 6749 §5.2)."""
    members = {"error": error} | ({"error_description": description} if description else {})
    return Answer(status, json.dumps(members, separators=(",", ":")).encode(), headers=headers)


def granted(**members: Any) -> Answer:
    """Write a genuine token response with these members put over it."""
    return Answer(members=members)


def redirect(location: str, status: int = 302) -> Answer:
    """Send the caller of the endpoint elsewhere (RFC 9110 §15.4)."""
    return Answer(status, b"", None, (("Location", location),))


LOGIN_PAGE: Final = b"<!DOCTYPE html><html><body><form method=post>Sign in</form></body></html>"
ERROR_PAGE: Final = b"<html><body><h1>Internal Server Error</h1></body></html>"
NO_STORE: Final = ("Cache-Control", "no-store")
CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="nanoidp"')

#: The provider says no to the person: 401 for the caller.
WRONG_PASSWORD: Final[dict[str, Answer]] = {
    "keycloak_wrong_password": refusal(400, "invalid_grant", "Invalid user credentials", NO_STORE),
    "keycloak_25_wrong_password": refusal(
        401, "invalid_grant", "Invalid user credentials", NO_STORE
    ),
    "keycloak_disabled_user": refusal(400, "invalid_grant", "Account disabled", NO_STORE),
    "keycloak_not_set_up": refusal(400, "invalid_grant", "Account is not fully set up", NO_STORE),
    "nanoidp_wrong_password": refusal(400, "invalid_grant", "Invalid resource owner credentials"),
    "oidc_provider_wrong_password": refusal(400, "invalid_grant", "grant request is invalid"),
    "invalid_grant_bare": refusal(400, "invalid_grant"),
}

#: The provider does not know the client: 502 when it is the gateway's own, else the caller's 401.
WRONG_CLIENT: Final[dict[str, Answer]] = {
    "keycloak_wrong_client_secret": refusal(
        401, "unauthorized_client", "Invalid client or Invalid client credentials", NO_STORE
    ),
    "keycloak_unknown_client": refusal(
        401, "invalid_client", "Invalid client or Invalid client credentials", NO_STORE
    ),
    "keycloak_grant_not_allowed": refusal(
        400, "unauthorized_client", "Client not allowed for direct access grants", NO_STORE
    ),
    "nanoidp_wrong_client_secret": refusal(
        401, "invalid_client", "Invalid client credentials", CHALLENGE
    ),
    "invalid_client_400": refusal(400, "invalid_client"),
}

#: The provider refuses what the gateway asked: always 502.
WRONG_REQUEST: Final[dict[str, Answer]] = {
    "unsupported_grant_type": refusal(
        400, "unsupported_grant_type", "Unsupported grant_type", NO_STORE
    ),
    "invalid_scope": refusal(400, "invalid_scope", "Invalid scopes: openid nonsense", NO_STORE),
    "canaille_wrong_password": refusal(
        400, "invalid_request", "Invalid 'username' or 'password' in request."
    ),
    "glewlwyd_wrong_password": Answer(403, b"", None),
    "glewlwyd_wrong_client": Answer(400, b"", None),
    "unauthorized_html": Answer(401, LOGIN_PAGE, HTML),
    "unknown_error": refusal(400, "not_in_the_registry"),
    "error_not_a_string": Answer(400, b'{"error":["invalid_grant"]}'),
    "error_as_html_type": Answer(400, b'{"error":"invalid_grant"}', HTML),
}

#: The provider cannot answer now: 503.
UNAVAILABLE: Final[dict[str, Answer]] = {
    "too_many_requests": Answer(429, b"", None, (("Retry-After", "7"),)),
    "service_unavailable": Answer(503, b"", None, (("Retry-After", "9"),)),
    "service_unavailable_date": Answer(
        503, b"", None, (("Retry-After", "Fri, 31 Dec 2100 23:59:59 GMT"),)
    ),
    "service_unavailable_bare": Answer(503, b"", None),
    "internal_error_html": Answer(500, ERROR_PAGE, HTML),
    "server_error_json": refusal(500, "server_error"),
    "bad_gateway_html": Answer(502, ERROR_PAGE, HTML),
    "connection_dropped": Answer(drop="before"),
}

#: A 200 (or a redirect) that makes no sense: 502.
NONSENSE: Final[dict[str, Answer]] = {
    "login_page": Answer(200, LOGIN_PAGE, HTML),
    "html_content_type": Answer(content_type=HTML),
    "no_content_type": Answer(content_type=None),
    "empty": Answer(200, b""),
    "no_content": Answer(204, b"", None),
    "truncated_json": Answer(cut=3),
    "too_large": granted(padding="x" * (256 * KIBIBYTE + 1)),
    "duplicate_members": Answer(repeated=(("access_token", "another"),)),
    "not_an_object": Answer(200, b'["access_token"]'),
    "bom": Answer(200, b'\xef\xbb\xbf{"access_token":"t","token_type":"Bearer"}'),
    "access_token_missing": granted(access_token=REMOVED),
    "access_token_empty": granted(access_token=""),
    "access_token_number": granted(access_token=42),
    "access_token_null": granted(access_token=None),
    "access_token_list": granted(access_token=["a.b.c"]),
    "token_type_mac": granted(token_type="mac"),
    "token_type_missing": granted(token_type=REMOVED),
    "expires_in_string": granted(expires_in="300"),
    "expires_in_zero": granted(expires_in=0),
    "expires_in_negative": granted(expires_in=-1),
    "expires_in_1e400": granted(expires_in=RawJSON("1e400")),
    "expires_in_boolean": granted(expires_in=True),
    "expires_in_nan": granted(expires_in=RawJSON("NaN")),
    "error_beside_token": granted(error="invalid_grant"),
    "error_alone_with_200": Answer(200, b'{"error":"invalid_grant"}'),
    "redirect": redirect("https://attacker.example/token"),
    "redirect_307": redirect("https://attacker.example/token", 307),
    "opaque_access_token": granted(access_token="TDMRrmyI3kszze7fC0kDqgKrEJ8WpTq2"),
    "encrypted_access_token": granted(access_token="a.b.c.d.e"),
}

#: Unusual and allowed: the caller is let in.
ACCEPTABLE: Final[dict[str, Answer]] = {
    "genuine": Answer(),
    "token_type_lower_case": granted(token_type="bearer"),
    "expires_in_missing": granted(expires_in=REMOVED),
    "content_type_with_charset": Answer(content_type="application/json;charset=UTF-8"),
    "unknown_members": granted(**{"not-before-policy": 0, "session_state": "s", "iat": 1}),
}

ANSWERS: Final[dict[str, Answer]] = {
    **WRONG_PASSWORD,
    **WRONG_CLIENT,
    **WRONG_REQUEST,
    **UNAVAILABLE,
    **NONSENSE,
    **ACCEPTABLE,
}
