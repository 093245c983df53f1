"""How one replica tells the others the end of a flight: how it went, and nothing else."""

from __future__ import annotations

from gateway.errors import (
    GatewayError,
    InvalidAccessTokenError,
    InvalidCredentialsError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)

# The leader stored a token set; it got one that was not stored, for whatever reason; it gave up.
STORED, NOT_STORED, RETRY = b"stored", b"not stored", b"retry"

_REASON = "another replica was told so by the provider"


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
