"""What the status of a provider's answer says before anything of it is read (RFC 9110 §15)."""

from __future__ import annotations

from http import HTTPStatus

from gateway.errors import ProviderUnavailableError

MAX_RETRY_AFTER = 300

_SERVER_ERROR = 5  # the first digit of its class, RFC 9110 §15


def require_available(endpoint: str, status: int, retry_after: int | None) -> None:
    """Raise ``ProviderUnavailableError`` where the provider is down, or wants to be left alone."""
    if status != HTTPStatus.TOO_MANY_REQUESTS and status // 100 != _SERVER_ERROR:
        return
    wait = min(max(retry_after or 1, 1), MAX_RETRY_AFTER)
    raise ProviderUnavailableError(f"the {endpoint} endpoint answered {status}", wait)
