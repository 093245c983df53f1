"""How one replica tells the others the end of a flight: how it went, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.authentication import Source
from gateway.errors import (
    GatewayError,
    InvalidAccessTokenError,
    InvalidCredentialsError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    TooManyAttemptsError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.authentication.entries import Entry
    from gateway.token_cache.ledger import Ticket
    from gateway.token_cache.lock import Lease

# The leader stored a token set; it got one that was not stored, for whatever reason; it gave up.
STORED, NOT_STORED, RETRY = b"stored", b"not stored", b"retry"

_REASON = "another replica was told so by the provider"


async def lead(
    lease: Lease,
    find: Callable[[], Awaitable[tuple[Entry | None, Ticket]]],
    ask: Callable[[Ticket], Awaitable[tuple[Entry, bool]]],
) -> tuple[Entry, Source]:
    """Fly for every replica, and tell the others how it went.

    ``find`` looks into Redis: another leader may have landed between the last look and the lease.
    ``ask`` asks the provider, and tells whether other replicas can find what came of it.
    """
    told = write_failure(GatewayError("the leader was stopped"))
    try:
        entry, ticket = await find()
        if entry is not None:
            told = STORED
            return entry, Source.REDIS
        entry, stored = await ask(ticket)
        told = STORED if stored else NOT_STORED
    except TooManyAttemptsError:
        told = RETRY  # it is about the leader's caller, and nobody else
        raise
    except GatewayError as error:
        told = write_failure(error)
        raise
    else:
        return entry, Source.PROVIDER
    finally:
        await lease.land(told)


def write_failure(error: GatewayError) -> bytes:
    """Write a failure for the other replicas; ``read_failure`` reads it back."""
    retry_after = getattr(error, "retry_after", 1)
    return f"{error.error} {retry_after}".encode("ascii")


def read_failure(outcome: bytes) -> GatewayError:
    """Return the error another replica wrote; anything unknown means try again shortly."""
    name, _, seconds = outcome.decode("ascii", "replace").partition(" ")
    retry_after = int(seconds) if seconds.isdecimal() else 1
    if name == InvalidCredentialsError.error:
        return InvalidCredentialsError(_REASON)
    if name == InvalidAccessTokenError.error:
        return InvalidAccessTokenError(_REASON)
    if name == ProviderTimeoutError.error:
        return ProviderTimeoutError(_REASON)
    if name == ProviderError.error:
        return ProviderError(_REASON)
    return ProviderUnavailableError(_REASON, retry_after)
