"""What is kept of an exchange: the principal in memory, the sealed token set in Redis.

Rule: an entry never outlives ``ttl_max`` counted from when its credentials were last taken by the
provider, wherever it was kept and however often its token was renewed meanwhile.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.authentication.verification import names_of, weight_of
from gateway.errors import ProviderError
from gateway.oauth.tokens import TokenSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.authentication import Principal
    from gateway.authentication.token_requests import TokenRequests
    from gateway.authentication.verification import Verifier
    from gateway.token_cache.ledger import PurgeLedger, Ticket
    from gateway.token_cache.memory import MemoryCache
    from gateway.token_cache.redis import RedisTokenCache

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things are kept, in seconds."""

    ttl_max: float
    margin: float


@dataclass(slots=True)
class Entry:
    """One cached exchange; ``used`` since it was made, times in seconds since the epoch.

    ``registration`` tells of which provider and client the refresh token is.
    """

    principal: Principal
    identifier: str = field(repr=False)
    owners: tuple[bytes, ...] = field(repr=False)
    until: float
    exchanged_at: float
    refresh_token: str | None = field(default=None, repr=False)
    registration: str = ""
    used: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a provider gave to a registration for credentials it took at ``exchanged_at``."""

    grant: str
    token_set: TokenSet
    exchanged_at: float
    registration: str = ""

    def write(self) -> bytes:
        """Write the outcome for Redis; ``read`` reads it back."""
        head = f"{self.grant} {self.exchanged_at!r} {self.registration}\n"
        return head.encode("ascii") + self.token_set.write()

    @classmethod
    def read(cls, data: bytes) -> Outcome:
        """Read what ``write`` wrote; anything else raises ``ValueError``."""
        head, _, rest = data.partition(b"\n")
        grant, exchanged_at, registration = head.decode("ascii").split(" ")
        return cls(grant, TokenSet.read(rest), float(exchanged_at), registration)


class Entries:
    """Both tiers of one worker's cache; ``stored`` is ``None`` without Redis."""

    def __init__(
        self,
        memory: MemoryCache[Entry],
        stored: RedisTokenCache | None,
        *,
        ledger: PurgeLedger,
        owners: Callable[[str], tuple[bytes, ...]],
        requests: TokenRequests,
        verifier: Verifier,
        lifetimes: Lifetimes,
        registration: str = "",
    ) -> None:
        self._memory = memory
        self._stored = stored
        self._ledger = ledger
        self._owners = owners
        self.requests = requests
        self._verifier = verifier
        self._lifetimes = lifetimes
        self._registration = registration
        self._on_renewable: Callable[[bytes, Entry, float], None] | None = None

    @property
    def max_in_memory(self) -> int:
        """How many entries are kept in memory at most."""
        return self._memory.max_entries

    def find(self, key: bytes, now: float) -> Entry | None:
        """Return the entry in memory, if there is one."""
        return self._memory.find(key, now)

    def ticket(self, identifier: str) -> Ticket:
        """Return the ticket of an exchange that begins now: a purge after it wins.

        An empty identifier is of somebody whom the token will tell.
        """
        return self._ledger.ticket(self._owners(identifier) if identifier else ())

    async def find_stored(
        self, keys: Sequence[bytes], identifier: str, ticket: Ticket, now: float
    ) -> tuple[Entry | None, Ticket]:
        """Return the entry stored in Redis under the first of ``keys`` that holds one.

        Its token is verified again, and it is kept in memory under the first key from now on. The
        ticket returned is the one to ``keep`` with.
        """
        if self._stored is None:
            return None, ticket
        found = await self._stored.find(keys, now, ticket)
        if found.opened is None:
            return None, found.ticket
        try:
            outcome = Outcome.read(found.opened.plaintext)
            entry = await self._make(identifier, outcome, found.ticket, now)
        except (ProviderError, ValueError):
            _log.warning("a stored token set is unusable and counts as a miss")
            return None, found.ticket
        return entry if self._keep(keys[0], entry, found.ticket, now) else None, found.ticket

    async def keep(
        self, key: bytes, identifier: str, outcome: Outcome, ticket: Ticket, now: float
    ) -> tuple[Entry, bool]:
        """Return the verified entry of an outcome, and whether other replicas can find it.

        It is kept in both tiers if it lives long enough and nothing was purged meanwhile.
        """
        entry = await self._make(identifier, outcome, ticket, now)
        if not self._keep(key, entry, ticket, now) or self._stored is None:
            return entry, False
        aliases = entry.owners[len(ticket.owners) :]
        written = replace(
            outcome, token_set=_kept(outcome, entry), registration=self._registration
        ).write()
        stored = await self._stored.store(key, written, entry.until, now, ticket, aliases=aliases)
        return entry, stored

    async def _make(self, identifier: str, outcome: Outcome, ticket: Ticket, now: float) -> Entry:
        token_set, grant = outcome.token_set, outcome.grant
        principal = await self._verifier.verify(
            token_set,
            grant=grant,
            client_id=self.requests.client_id(grant, identifier),
            identifier=identifier,
            now=now,
        )
        lifetimes = self._lifetimes
        until = min(
            principal.expires_at - lifetimes.margin, outcome.exchanged_at + lifetimes.ttl_max
        )
        # Only the gateway's own client can use a refresh token without the caller's secret.
        renewable = token_set.refresh_token if grant == "password" else None
        owners = (*ticket.owners, *self._aliases(principal, identifier))
        return Entry(
            replace(principal, owners=owners),
            identifier,
            owners,
            until,
            outcome.exchanged_at,
            renewable,
            self._registration,
        )

    def _aliases(self, principal: Principal, identifier: str) -> tuple[bytes, ...]:
        """Return the pseudonyms of the names the provider has for somebody known by another."""
        if not identifier:
            names = names_of(principal.claims)
            return tuple(owner for name in names for owner in self._owners(name))
        name = principal.claims.raw.get("preferred_username")
        if not isinstance(name, str) or name == identifier:
            return ()
        return self._owners(name)

    def _keep(self, key: bytes, entry: Entry, ticket: Ticket, now: float) -> bool:
        if entry.until <= now or not self._ledger.stood(ticket, entry.owners):
            return False
        size = weight_of(entry.principal) + len(entry.refresh_token or "")
        self._memory.store(key, entry, entry.until, size, entry.owners)
        if entry.refresh_token is not None and self._on_renewable is not None:
            self._on_renewable(key, entry, now)
        return True

    def when_renewable(self, callback: Callable[[bytes, Entry, float], None]) -> None:
        """Call ``callback`` for each entry kept in memory with a refresh token."""
        self._on_renewable = callback


def _kept(outcome: Outcome, entry: Entry) -> TokenSet:
    """Return the token set with its ID token where upstreams get that, else without."""
    token_set = outcome.token_set
    return token_set if entry.principal.id_token else replace(token_set, id_token=None)
