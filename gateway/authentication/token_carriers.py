"""Where in a request a token is: header, query or body, as far as each is enabled.

Rule: a token in two places, or beside other credentials, is refused, never ranked (RFC 6750 §2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.authentication.carriers import MAX_CREDENTIAL_BODY, with_query
from gateway.errors import RequestError
from gateway.oauth.credentials import (
    TokenExtraction,
    body_carrier,
    read_basic_token,
    read_bearer,
    read_token_form,
    read_token_json,
    read_token_query,
)
from gateway.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.authentication.carriers import Found
    from gateway.request import Body, RequestHead

    ReadField = Callable[[Sequence[bytes]], str | None]

ACCESS_TOKEN = "access_token"  # noqa: S105 - RFC 6750 §2.2, §2.3: the parameter's name


@record
class FoundToken:
    """A token, and the request target and body without it; ``body`` is ``None`` when not read."""

    token: str = field(repr=False)
    target: bytes = field(repr=False)
    body: bytes | None = field(repr=False)


class Finder(Protocol):
    """What looks for credentials of another kind."""

    async def find(self, head: RequestHead, body: Body) -> Found | FoundToken | None:
        """Return them, or ``None`` when there are none."""
        ...


@dataclass(frozen=True, slots=True)
class TokenCarriers:
    """Where a token is looked for; ``hide`` removes it from what is sent on.

    ``read_field`` reads it from the header field of this name, ``None`` where that is no place for
    it. ``others`` look for credentials that must not come beside it.
    """

    read_field: ReadField | None = read_bearer
    field_name: bytes = b"authorization"
    parameter: str = ACCESS_TOKEN
    query: bool = False
    body: bool = False
    hide: bool = True
    others: tuple[Finder, ...] = ()

    async def find(self, head: RequestHead, body: Body) -> FoundToken | None:
        """Return the token of the request; two of them, or one of several, raise an error."""
        in_field = None
        if self.read_field is not None:
            in_field = self.read_field(head.values(self.field_name))
        in_query = read_token_query(head.query, self.parameter) if self.query else None
        data, in_body = await self._read_body(head, body) if self.body else (None, None)
        found = self._choose(head, in_field, in_query, in_body, data)
        if found is not None:
            await self._refuse_others(head, body, in_field)
        return found

    def _choose(
        self,
        head: RequestHead,
        in_field: str | None,
        in_query: TokenExtraction | None,
        in_body: TokenExtraction | None,
        data: bytes | None,
    ) -> FoundToken | None:
        if (in_field is not None) + (in_query is not None) + (in_body is not None) > 1:
            raise RequestError("a token in more than one place")
        if in_query is not None:
            target = with_query(head.path, in_query.remainder) if self.hide else head.target
            return FoundToken(in_query.token, target, data)
        if in_body is not None:
            return FoundToken(in_body.token, head.target, in_body.remainder if self.hide else data)
        return None if in_field is None else FoundToken(in_field, head.target, data)

    async def _refuse_others(self, head: RequestHead, body: Body, in_field: str | None) -> None:
        beside = in_field is None or self.field_name != b"authorization"
        if beside and head.values(b"authorization"):
            raise RequestError("a token beside an Authorization field")
        for other in self.others:
            if await other.find(head, body) is not None:
                raise RequestError("a token beside other credentials")

    async def _read_body(
        self, head: RequestHead, body: Body
    ) -> tuple[bytes | None, TokenExtraction | None]:
        if head.body_length == 0:
            return None, None
        carrier = body_carrier(
            head.method, head.values(b"content-type"), head.values(b"content-encoding")
        )
        if carrier is None:
            return None, None
        data = await body.read(MAX_CREDENTIAL_BODY)
        read = read_token_form if carrier == "form" else read_token_json
        return data, read(data, self.parameter)


BASIC_TOKEN = TokenCarriers(read_basic_token)
