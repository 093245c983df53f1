"""Every way a request can fail, with the status and the error code its answer carries.

Rule: whose fault it is stands in the class name, the status stands on the class, and nobody
branches on the text. Texts are for people and hold no secret.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Base of all; never raised itself."""

    status: ClassVar[int] = 500
    error: ClassVar[str] = "internal_error"


class ConfigurationError(GatewayError):
    """What the operator wrote cannot be run; the process ends with status 2 before listening."""


class RequestError(GatewayError):
    """The caller wrote something unreadable or something that can be read two ways."""

    status = 400
    error = "invalid_request"


class RouteNotFoundError(RequestError):
    """No route takes this request."""

    status = 404
    error = "not_found"


class MethodNotAllowedError(RequestError):
    """The gateway does not forward this method (RFC 9110 §15.5.6)."""

    status = 405


class RequestTimeoutError(RequestError):
    """The request head or body does not arrive, or too slowly (RFC 9110 §15.5.9)."""

    status = 408


class BodyTooLargeError(RequestError):
    """The request body is over its limit (RFC 9110 §15.5.14)."""

    status = 413


class ExpectationFailedError(RequestError):
    """An expectation other than 100-continue (RFC 9110 §10.1.1)."""

    status = 417


class HeaderTooLargeError(RequestError):
    """The header section is over its limit (RFC 6585 §5)."""

    status = 431


class AuthenticationError(GatewayError):
    """The caller is not known; the answer carries challenges (RFC 9110 §15.5.2).

    ``user`` is the pseudonym of the name that was tried; the pipeline sets ``challenges``.
    """

    status = 401
    error = "invalid_credentials"

    def __init__(self, message: str, *, user: str | None = None) -> None:
        super().__init__(message)
        self.user = user
        self.challenges: tuple[str, ...] = ()


class MissingCredentialsError(AuthenticationError):
    """The request carries no credentials of a kind the route takes."""

    error = "missing_credentials"


class InvalidCredentialsError(AuthenticationError):
    """Unreadable credentials, or credentials the provider refused."""


class InvalidAccessTokenError(AuthenticationError):
    """A token the caller sent is unreadable, expired, revoked or for others (RFC 6750 §3.1)."""

    error = "invalid_token"


class TooManyAttemptsError(GatewayError):
    """Too many logins were refused lately (RFC 6585 §4); ``retry_after`` is in seconds.

    ``user`` is the pseudonym of the name that was tried, ``network`` where the caller is.
    """

    status = 429
    error = "too_many_attempts"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.user: str | None = None
        self.network: str | None = None


class TooManyConnectionsError(GatewayError):
    """So many callers are connected that no more are let in (RFC 9110 §15.6.4)."""

    status = 503
    error = "too_many_connections"


class TooManyTunnelsError(GatewayError):
    """The caller has as many WebSocket connections open as one may have (RFC 6585 §4)."""

    status = 429
    error = "too_many_websockets"


class AuthorizationError(GatewayError):
    """The caller is known and the policy says no; ``cause`` is for the log only.

    ``user`` is the caller's pseudonym, ``challenges`` say what would do (RFC 6750 §3.1).
    """

    status = 403
    error = "access_denied"

    def __init__(self, message: str, *, cause: str | None = None) -> None:
        super().__init__(message)
        self.cause = cause or message
        self.user: str | None = None
        self.challenges: tuple[str, ...] = ()


class InsufficientScopeError(AuthorizationError):
    """The token lacks a scope the policy asks for (RFC 6750 §3.1)."""

    error = "insufficient_scope"


class ProviderError(GatewayError):
    """The provider refused the gateway itself, or its answer makes no sense."""

    status = 502
    error = "provider_error"


class ProviderUnavailableError(ProviderError):
    """The provider is down, overloaded or not yet known; ``retry_after`` is in seconds."""

    status = 503
    error = "provider_unavailable"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderTimeoutError(ProviderError):
    """The provider did not answer in time."""

    status = 504
    error = "provider_timeout"


class UpstreamError(GatewayError):
    """The upstream is unreachable or does not speak HTTP."""

    status = 502
    error = "bad_gateway"


class UpstreamTimeoutError(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    error = "gateway_timeout"
