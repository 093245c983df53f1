"""A token of the caller in a header field (RFC 6750 §2.1, RFC 7617).

Rule: a field is a token's or a pair's, never both; another scheme is nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.errors import InvalidAccessTokenError, RequestError
from gateway.oauth.credentials.basic import read_pair
from gateway.oauth.credentials.pair import require_token

if TYPE_CHECKING:
    from collections.abc import Sequence

# Who sends a token as the password of a Basic pair: nobody, or the name Google's registries use.
TOKEN_USERS: Final = ("", "oauth2accesstoken")


def read_bearer(values: Sequence[bytes]) -> str | None:
    """Read the token of a request's ``Authorization`` fields; None = none, or another scheme."""
    if not values or values[0][:6].lower() != b"bearer":  # any case: RFC 9110 §11.1
        return None
    if len(values) > 1 or b"," in values[0]:  # not a list field: RFC 9110 §5.3
        raise RequestError("more than one Authorization field, or a list in one")
    scheme, space, token = values[0].partition(b" ")
    if len(scheme) > len(b"bearer"):
        if scheme[6:7] == b"\t":
            raise InvalidAccessTokenError("the Bearer scheme needs a space and a token after it")
        return None
    if not space:
        raise InvalidAccessTokenError("the Bearer scheme needs a space and a token after it")
    return require_token(token.lstrip(b" ").decode("latin-1"))


def read_token_field(values: Sequence[bytes]) -> str | None:
    """Read the token that is all of a field; two fields of this name raise ``RequestError``."""
    if len(values) > 1:
        raise RequestError("more than one field with a token")
    return require_token(values[0].decode("latin-1")) if values else None


def read_basic_token(values: Sequence[bytes]) -> str | None:
    """Read the token that is the password of a Basic pair; None where the user is somebody."""
    pair = read_pair(values)
    if pair is None or pair[0] not in TOKEN_USERS:
        return None
    return require_token(pair[1])
