"""Credentials → grant → token set → claims: the exchange this gateway exists for (RFC 6749 §4).

The cached request ends in this file, without suspending; the rest is ``cold_path``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.authentication import Authentication, Source
from gateway.authentication.known_values import KnownValues
from gateway.authentication.token_requests import Exchange
from gateway.metrics import MEMORY_HIT, MEMORY_MISS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication.carriers import Carriers, Found
    from gateway.authentication.cold_path import ColdPath
    from gateway.authentication.entries import Entries, Entry
    from gateway.authentication.grant_choice import GrantChoice
    from gateway.authentication.token_requests import TokenRequestPlan
    from gateway.oauth.credentials import Challenge
    from gateway.oauth.metadata import ProviderMetadata
    from gateway.provider.client import Provider
    from gateway.request import Body, RequestHead
    from gateway.token_cache.sealing import Deriver, SealingKeys


_MEMORY = Source.MEMORY  # looked up once, for every request


class ExchangeAuthenticator:
    """Authenticates callers by exchanging their credentials at the provider's token endpoint."""

    def __init__(
        self,
        provider: Provider,
        entries: Entries,
        cold_path: ColdPath,
        *,
        carriers: Carriers,
        choice: GrantChoice,
        plan: TokenRequestPlan,
        keys: SealingKeys,
        challenge: Challenge,
        address_of: Callable[[RequestHead], str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._entries = entries
        self._cold_path = cold_path
        self._carriers = carriers
        self._choice = choice
        self._plan = plan
        self._keys = keys
        self._challenge = challenge
        self._address_of = address_of
        self._now = now
        self._metadata: ProviderMetadata | None = None
        self._deriver: Deriver | None = None
        self._only_header = carriers.only_header
        self._known = KnownValues(entries.max_in_memory)

    @property
    def challenge(self) -> Challenge:
        """What a 401 says about Basic credentials (RFC 7617 §2)."""
        return self._challenge

    async def authenticate(self, head: RequestHead, body: Body) -> Authentication | None:
        """Return who is calling; a memory hit completes without suspending."""
        recalled = self._recall(head) if self._only_header else None
        if recalled is not None:
            return recalled
        found = await self._carriers.find(head, body)
        if found is None:
            return None
        credentials = found.credentials
        mode = self._choice.decide(credentials)
        deriver = self._derive()
        key = deriver.key(mode, credentials.identifier, credentials.secret, found.copied)
        entry = self._entries.find(key, self._now())
        if entry is not None and self._stands(entry):
            self._know(head, key)
            return Authentication(entry.principal, Source.MEMORY, found.target, found.body)
        MEMORY_MISS.inc()
        older = deriver.older_keys(mode, credentials.identifier, credentials.secret, found.copied)
        exchange = Exchange(key, older, mode, credentials, found.copied, self._address_of(head))
        authentication = await self._obtain(exchange, found)
        self._know(head, key)
        return authentication

    def _recall(self, head: RequestHead) -> Authentication | None:
        """Return who is calling if this very field value was taken before and is still kept.

        Only where nothing but the header is looked at: elsewhere every place has to be.
        """
        values = head.fields.get(b"authorization")
        if values is None or len(values) != 1:
            return None
        hashed = self._known.hash(values[0])
        key = self._known.find(hashed)
        if key is None or self._provider.require_metadata() is not self._metadata:
            return None
        entry = self._entries.find(key, self._now())
        if entry is None:
            self._known.discard(hashed)
            return None
        if not self._stands(entry):
            return None
        return Authentication(entry.principal, _MEMORY, head.target, None)

    def _know(self, head: RequestHead, key: bytes) -> None:
        if self._only_header:
            self._known.keep(self._known.hash(head.values(b"authorization")[0]), key)

    def _stands(self, entry: Entry) -> bool:
        """Tell whether the keys that verified the entry's tokens are still the provider's."""
        principal, known = entry.principal, self._provider.keys.thumbprints
        verified_by = principal.thumbprint  # none where the provider was asked
        if verified_by not in known and verified_by:
            return False
        id_token = principal.id_token
        if id_token is not None and id_token.thumbprint not in known:
            return False
        MEMORY_HIT.inc()
        entry.used = True
        return True

    async def _obtain(self, exchange: Exchange, found: Found) -> Authentication:
        entry, source = await self._cold_path.obtain(exchange)
        entry.used = True
        return Authentication(entry.principal, source, found.target, found.body)

    def _derive(self) -> Deriver:
        """Return what makes cache keys; made anew when the provider's metadata changed."""
        metadata = self._provider.require_metadata()
        if metadata is not self._metadata or self._deriver is None:
            plan = self._plan
            self._metadata = metadata
            self._known.clear()
            self._deriver = self._keys.deriver(
                issuer=metadata.issuer,
                token_endpoint=metadata.token_endpoint,
                client_id=plan.client.client_id,
                scope=plan.scopes,
                audience="",
                extra=(
                    ("client_credentials_scopes", plan.client_credentials_scopes),
                    *plan.kept_for,
                    *plan.extra,
                ),
            )
        return self._deriver
