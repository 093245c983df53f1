"""One call to the provider: its turn, its time, leave of the breaker, and how it is counted.

Rule: the time for a call begins when it is asked for, so waiting for a turn does not add to it.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import ProviderError, ProviderTimeoutError, ProviderUnavailableError
from gateway.provider.breaker import Breaker, Permit, State
from gateway.provider.counting import counted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from gateway.provider.guard import Guard

_log = logging.getLogger(__name__)

_LEAST = 0.001  # aiohttp takes 0 for no limit


@dataclass(slots=True)
class Call:
    """A call that may be made now, within so many seconds; its maker notes what came of it."""

    within: float
    refused: bool = False
    slow_down: int | None = None


class Calls:
    """Lets calls through, so many at a time and none while the breaker is open."""

    def __init__(
        self,
        guard: Guard,
        breaker: Breaker,
        *,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = guard
        self._breaker = breaker
        self._timeout = timeout
        self._clock = clock

    @property
    def state(self) -> State:
        """Whether calls are made, refused, or tried with a probe."""
        return self._breaker.state

    @asynccontextmanager
    async def begin(
        self, endpoint: str, grant: str = "none", *, learn: bool = True
    ) -> AsyncIterator[Call]:
        """Wait for a turn and give the call; no turn or no leave raises ``ProviderError``.

        ``learn`` tells whether the end of the call says something about the provider.
        """
        self._refuse_while_open()
        deadline = self._clock() + self._timeout
        async with self._guard.turn(self._timeout):
            call = Call(max(deadline - self._clock(), _LEAST))
            taught = self._taught(call) if learn else self._untaught()
            with taught, counted(endpoint, grant) as ending:
                yield call
                ending.refused = call.refused

    def _refuse_while_open(self) -> None:
        remaining = self._breaker.remaining(self._clock())
        if remaining is not None:
            raise _refusal(remaining)

    @contextmanager
    def _untaught(self) -> Iterator[None]:
        self._refuse_while_open()
        yield

    @contextmanager
    def _taught(self, call: Call) -> Iterator[None]:
        """Tell the breaker how the call ends; what nobody waits for any more says nothing."""
        permit = self._breaker.admit(self._clock())
        if permit is None:
            raise _refusal(self._breaker.remaining(self._clock()) or 0)
        try:
            yield
        except ProviderTimeoutError:
            # A call that began late in its time tells about the queue, not about the provider.
            if call.within < self._timeout / 2:
                self._breaker.abandon(permit, self._clock())
            else:
                self._fail(permit, None)
            raise
        except ProviderUnavailableError:
            self._fail(permit, call.slow_down)
            raise
        except ProviderError:
            self._succeed(permit)  # an answer, if a strange one
            raise
        except BaseException:
            self._breaker.abandon(permit, self._clock())
            raise
        self._succeed(permit)

    def _succeed(self, permit: Permit) -> None:
        before = self._breaker.state
        self._breaker.succeed(permit)
        if self._breaker.state is not before:
            _log.info("the provider answers again")

    def _fail(self, permit: Permit, slow_down: int | None) -> None:
        before = self._breaker.state
        self._breaker.fail(permit, self._clock(), slow_down)
        if before is State.CLOSED and self._breaker.state is State.OPEN:
            _log.warning("the provider fails: new logins are refused until it answers again")


def _refusal(remaining: float) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        "the provider failed a moment ago and is not asked yet", max(1, math.ceil(remaining))
    )
