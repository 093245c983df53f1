"""CORS preflights that go on without credentials, where the operator wants that (Fetch §3.3).

Rule: only a request that could be nothing but a preflight counts as one, and nothing that might
be a credential goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.authentication.carriers import with_query
from gateway.oauth.credentials import remove_parameters

if TYPE_CHECKING:
    from gateway.request import RequestHead

# Browsers send none of them with a preflight; Authorization never goes on as it came.
WITHHELD: Final = frozenset({b"cookie", b"referer"})


@dataclass(frozen=True, slots=True)
class OpenPreflights:
    """Lets preflights through; ``names`` are the query parameters that carry credentials."""

    names: frozenset[str] = frozenset()

    def target_of(self, head: RequestHead) -> bytes | None:
        """Return the target of a preflight without credentials, None for any other request."""
        if head.method != "OPTIONS" or head.body_length != 0:
            return None
        for name in (b"origin", b"access-control-request-method"):
            if len(head.values(name)) != 1:
                return None
        if not self.names or not head.query:
            return head.target
        return with_query(head.path, remove_parameters(head.query, self.names))
