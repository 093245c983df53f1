"""When something last failed, said once, and when it may be asked again."""

from __future__ import annotations

import logging
from typing import Final

from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError
from redis.exceptions import TimeoutError as RedisTimeoutError

PAUSE: Final = 1.0  # seconds without a question after a failure
_REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)

logger = logging.getLogger("gateway.token_cache")


class Outage:
    """Whether one thing works; the way into an outage and out of it is one log line each."""

    def __init__(self, what: str, pause: float = PAUSE) -> None:
        self._what = what
        self._pause = pause
        self._ask_at: float | None = None  # None: it works
        self.silent = False  # whether the last question had no answer at all

    def rests(self, now: float) -> bool:
        """Tell whether it is to be left alone; the first asker after the pause is let through."""
        if self._ask_at is None:
            return False
        if now < self._ask_at:
            return True
        self._ask_at = now + self._pause
        return False

    def failed(self, now: float, exc: BaseException) -> None:
        """Begin or prolong the outage. The exception's text is not logged: it may quote a value."""
        if self._ask_at is None:
            name = type(exc).__name__
            if isinstance(exc, _REFUSALS):
                logger.error(
                    "%s refuses this gateway (%s); see user, password and rights of REDIS_URL",
                    self._what,
                    name,
                )
            else:
                logger.warning("%s does not answer (%s); the gateway goes on", self._what, name)
        self._ask_at = now + self._pause
        self.silent = isinstance(exc, TimeoutError | RedisTimeoutError)

    def ended(self) -> None:
        """End the outage, if there was one."""
        if self._ask_at is not None:
            self._ask_at = None
            self.silent = False
            logger.info("%s answers again", self._what)
