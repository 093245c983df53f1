"""What the token endpoint answers: a token set, or an error response (RFC 6749 §5.1, §5.2).

Rule: no text made here quotes the answer, apart from an ``error`` code of known form.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from types import NoneType
from typing import Any

from gateway.errors import ProviderError
from gateway.oauth.statuses import require_available
from gateway.oauth.strict_json import StrictJSONError, is_number, read_object

MAX_BODY_BYTES = 262_144
MAX_LIFETIME = 315_360_000  # ten years; a longer ``expires_in`` counts as this

_MAX_DESCRIPTION = 200
_ERROR_CODE = re.compile(r"[a-z_]{1,64}")  # narrower than RFC 6749 Appendix A.7
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_CLIENT_ERROR = 4  # the first digit of its class, RFC 9110 §15


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Everything one token response gave; ``expires_at`` is ``expires_in`` made absolute.

    ``issued_token_type`` is what an exchange gave (RFC 8693 §2.2.1); it is not written.
    """

    access_token: str = field(repr=False)
    token_type: str
    expires_at: float | None = None
    scope: str | None = None
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    issued_token_type: str | None = None

    def write(self) -> bytes:
        """Write the token set for the token cache; ``read`` reads it back."""
        members = {name: getattr(self, name) for name in _SHAPE}
        return json.dumps(members, separators=(",", ":")).encode("ascii")

    @classmethod
    def read(cls, data: bytes) -> TokenSet:
        """Read what ``write`` wrote; anything else raises ``ValueError``."""
        members = read_object(data)
        if members.keys() != _SHAPE.keys():
            raise ValueError("not a token set")
        if not all(type(members[name]) in types for name, types in _SHAPE.items()):
            raise ValueError("not a token set")
        return cls(**members)


@dataclass(frozen=True, slots=True)
class TokenErrorResponse:
    """The provider says no (RFC 6749 §5.2); ``error_description`` is for the log only."""

    error: str
    error_description: str = ""


def read_token_response(
    *, status: int, content_type: str, body: bytes, now: float, retry_after: int | None = None
) -> TokenSet | TokenErrorResponse:
    """Read an answer of the token endpoint: a token set, an error response, or an exception.

    The ``error`` member decides and the status is a hint: providers answer a wrong password
    with 400, 401 or 403.
    """
    require_available("token", status, retry_after)
    if status != HTTPStatus.OK and status // 100 != _CLIENT_ERROR:
        raise ProviderError(f"the token endpoint answered {status}")
    members = _read_members(status, content_type, body)
    if status == HTTPStatus.OK:
        return _read_token_set(members, now)
    return _read_error_response(status, members)


def _read_members(status: int, content_type: str, body: bytes) -> dict[str, Any]:
    """Read the body's members (RFC 6749 §5.1: application/json)."""
    if not _is_json(content_type):
        raise ProviderError(f"the token endpoint answered {status} with something not JSON")
    if len(body) > MAX_BODY_BYTES:
        raise ProviderError(f"the token endpoint answered more than {MAX_BODY_BYTES} bytes")
    try:
        return read_object(body)
    except StrictJSONError as exc:
        raise ProviderError(f"the token endpoint answered {status} with bad JSON: {exc}") from exc


def _read_token_set(members: dict[str, Any], now: float) -> TokenSet:
    """Read a successful response (RFC 6749 §5.1)."""
    if "error" in members:
        raise ProviderError("the token response has an error member beside status 200")
    access_token = _text(members, "access_token")
    if access_token is None or not _B64TOKEN.fullmatch(access_token):
        raise ProviderError("the token response has no access_token fit for a header field")
    token_type = _text(members, "token_type")
    if token_type is None or token_type.lower() != "bearer":  # RFC 6749 §7.1
        raise ProviderError("the token response's token_type is not Bearer")
    return TokenSet(
        access_token=access_token,
        token_type=token_type,
        expires_at=_read_expiry(members, now),
        scope=_text(members, "scope"),
        refresh_token=_text(members, "refresh_token"),
        id_token=_text(members, "id_token"),
        issued_token_type=_text(members, "issued_token_type"),
    )


def _read_error_response(status: int, members: dict[str, Any]) -> TokenErrorResponse:
    """Read an error response (RFC 6749 §5.2)."""
    error = members.get("error")
    if not isinstance(error, str) or not _ERROR_CODE.fullmatch(error):
        raise ProviderError(f"the token endpoint answered {status} without an error code")
    return TokenErrorResponse(error, _loggable(members.get("error_description")))


def _read_expiry(members: dict[str, Any], now: float) -> float | None:
    """Make ``expires_in`` absolute; a missing one is None (RFC 6749 §5.1)."""
    expires_in = members.get("expires_in")
    if expires_in is None:
        return None
    if not is_number(expires_in) or expires_in != int(expires_in) or expires_in <= 0:
        raise ProviderError("the token response's expires_in is not a positive whole number")
    return now + min(expires_in, MAX_LIFETIME)


def _text(members: dict[str, Any], name: str) -> str | None:
    """Read a string member; ``null`` counts as absent."""
    value = members.get(name)
    if value is None or isinstance(value, str):
        return value
    raise ProviderError(f"the token response's {name} is not a string")


def _loggable(description: object) -> str:
    """Strip what could forge or flood a log line."""
    if not isinstance(description, str):
        return ""
    printable = filter(str.isprintable, description[: 4 * _MAX_DESCRIPTION])
    return "".join(printable)[:_MAX_DESCRIPTION]


def _is_json(content_type: str) -> bool:
    """Accept application/json and the +json suffix, in any case (RFC 8259 §11, RFC 6839 §3.1)."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


_TEXT, _OPTIONAL_TEXT = (str,), (str, NoneType)
_SHAPE: dict[str, tuple[type, ...]] = {
    "access_token": _TEXT,
    "token_type": _TEXT,
    "expires_at": (int, float, NoneType),
    "scope": _OPTIONAL_TEXT,
    "refresh_token": _OPTIONAL_TEXT,
    "id_token": _OPTIONAL_TEXT,
}
