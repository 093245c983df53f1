"""What the provider says about a token, and about its user (RFC 7662, OpenID Connect Core §5.3).

Rule: an answer is read whole or not at all, and no text made here quotes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gateway.errors import ProviderError
from gateway.oauth.statuses import require_available
from gateway.oauth.strict_json import StrictJSONError, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.oauth.grants import Form

MAX_BODY_BYTES = 65_536

_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)  # RFC 6750 §3.1
_SIGNED = ("jwt", "+jwt")


@dataclass(frozen=True, slots=True)
class Introspection:
    """A question about an access token (RFC 7662 §2.1)."""

    token: str = field(repr=False)

    def form(self) -> Form:
        """Write the parameters of RFC 7662 §2.1."""
        return (("token", self.token), ("token_type_hint", "access_token"))


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The userinfo endpoint does not take the token (OpenID Connect Core §5.3.3)."""

    status: int


def read_introspection(
    *, status: int, content_type: str, body: bytes, retry_after: int | None = None
) -> Mapping[str, Any] | None:
    """Read an introspection response; None = the token is not active (RFC 7662 §2.2)."""
    members = _read_members("introspection", status, content_type, body, retry_after)
    active = members.get("active")
    if not isinstance(active, bool):
        raise ProviderError("the introspection answer does not say whether the token is active")
    return members if active else None


def user_info_headers(access_token: str) -> tuple[tuple[str, str], ...]:
    """Return the header fields of a userinfo request (OpenID Connect Core §5.3.1)."""
    return (
        ("Authorization", f"Bearer {access_token}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
    )


def read_user_info(
    *, status: int, content_type: str, body: bytes, retry_after: int | None = None
) -> Mapping[str, Any] | TokenRefused:
    """Read a userinfo response (OpenID Connect Core §5.3.2, §5.3.3)."""
    if status in _REFUSALS:
        return TokenRefused(status)
    return _read_members("userinfo", status, content_type, body, retry_after)


def _read_members(
    name: str, status: int, content_type: str, body: bytes, retry_after: int | None
) -> dict[str, Any]:
    require_available(name, status, retry_after)
    if status != HTTPStatus.OK:
        raise ProviderError(f"the {name} endpoint answered {status}")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.endswith(_SIGNED):
        raise ProviderError(
            f"the {name} answer is a JWT, which is not supported (RFC 9701): "
            "have the provider answer this client with application/json"
        )
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProviderError(f"the {name} endpoint answered with something not JSON")
    try:
        return read_object(body)
    except StrictJSONError as exc:
        raise ProviderError(f"the {name} endpoint answered with bad JSON: {exc}") from exc
