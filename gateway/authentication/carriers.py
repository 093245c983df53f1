"""Where in a request the credentials are: header, query or body, as far as each is enabled.

Rule: credentials in two places are refused, never ranked (RFC 6749 §2.3, RFC 6750 §2).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.errors import RequestError
from gateway.oauth.credentials import (
    Credentials,
    Extraction,
    Kind,
    body_carrier,
    read_authorization,
    read_form,
    read_json,
    read_parameters,
    read_query,
)
from gateway.record import record

if TYPE_CHECKING:
    from gateway.request import Body, RequestHead

MAX_CREDENTIAL_BODY = 64 * 1024


@record
class Found:
    """Credentials, and the request target and body without them.

    ``body`` is ``None`` when it was not read; ``copied`` are fields for the token request.
    """

    credentials: Credentials
    target: bytes = field(repr=False)
    body: bytes | None = field(repr=False)
    copied: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Carriers:
    """Which kinds of credentials are looked for where; ``hide`` removes what was found.

    ``copied`` names parameters of the query that go into the token request.
    """

    header: bool
    query: frozenset[Kind]
    body: frozenset[Kind]
    hide: bool = True
    copied: frozenset[str] = frozenset()

    @property
    def only_header(self) -> bool:
        """Whether nothing else of a request is looked at."""
        return self.header and not (self.query or self.body or self.copied)

    async def find(self, head: RequestHead, body: Body) -> Found | None:
        """Return the credentials of the request; two of them raise ``RequestError``."""
        found = await self._find(head, body)
        if found is None or not self.copied:
            return found
        return replace(found, copied=read_parameters(head.query, self.copied))

    async def _find(self, head: RequestHead, body: Body) -> Found | None:
        authorization = head.values(b"authorization")
        in_header = read_authorization(authorization)
        if not self.query and not self.body:
            if in_header is None or not self.header:
                return None
            return Found(in_header, head.target, None)
        in_query = read_query(head.query, self.query) if self.query else None
        data, in_body = await self._read_body(head, body) if self.body else (None, None)
        if bool(authorization) + bool(in_query) + bool(in_body) > 1:
            raise RequestError("credentials in more than one place")
        return self._choose(head, in_header if self.header else None, in_query, in_body, data)

    def _choose(
        self,
        head: RequestHead,
        in_header: Credentials | None,
        in_query: Extraction | None,
        in_body: Extraction | None,
        data: bytes | None,
    ) -> Found | None:
        if in_query is not None:
            target = with_query(head.path, in_query.remainder) if self.hide else head.target
            return Found(in_query.credentials, target, data)
        if in_body is not None:
            return Found(in_body.credentials, head.target, in_body.remainder if self.hide else data)
        return None if in_header is None else Found(in_header, head.target, data)

    async def _read_body(
        self, head: RequestHead, body: Body
    ) -> tuple[bytes | None, Extraction | None]:
        if head.body_length == 0:
            return None, None
        carrier = body_carrier(
            head.method, head.values(b"content-type"), head.values(b"content-encoding")
        )
        if carrier is None:
            return None, None
        data = await body.read(MAX_CREDENTIAL_BODY)
        read = read_form if carrier == "form" else read_json
        return data, read(data, self.body)


def with_query(path: bytes, query: bytes) -> bytes:
    """Return a request target of these parts; without a query there is no question mark."""
    return path + b"?" + query if query else path
