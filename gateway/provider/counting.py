"""What is counted about the calls to providers, and read off them when somebody looks.

Rule: a label is one of a fixed few words; nothing a caller or a provider says becomes one.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from gateway.errors import ProviderError, ProviderTimeoutError, ProviderUnavailableError
from gateway.metrics import BREAKER_STATE, KEY_SET_AGE, PROVIDER_REQUESTS, PROVIDER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Counted:
    """A call that will be counted; who makes it says so when the provider refused."""

    refused: bool = False


class Watched(Protocol):
    """What a provider shows of itself."""

    @property
    def breaker_state(self) -> int:
        """Return the number of the breaker's state."""

    @property
    def key_set_age(self) -> float:
        """Return the seconds since the keys were fetched, not a number before that."""


@contextmanager
def counted(endpoint: str, grant: str = "none") -> Iterator[Counted]:
    """Count a call and its time by how it ends; a call nobody waits for any more is left out."""
    call = Counted()
    started = time.monotonic()
    try:
        yield call
    except ProviderError as exc:
        _count(endpoint, grant, _name(exc), started)
        raise
    _count(endpoint, grant, "refused" if call.refused else "ok", started)


def _count(endpoint: str, grant: str, outcome: str, started: float) -> None:
    PROVIDER_REQUESTS.labels(endpoint, grant, outcome).inc()
    PROVIDER_SECONDS.labels(endpoint).observe(time.monotonic() - started)


def _name(error: ProviderError) -> str:
    match error:
        case ProviderTimeoutError():
            return "timeout"
        case ProviderUnavailableError():
            return "unavailable"
        case _:
            return "error"


_watched: WeakSet[Watched] = WeakSet()


def watch(provider: Watched) -> None:
    """Show this provider in the gauges, as long as it lives; of several, the one worst off."""
    _watched.add(provider)


def _worst_breaker() -> float:
    return max((float(each.breaker_state) for each in _watched), default=0.0)


def _oldest_keys() -> float:
    ages = [each.key_set_age for each in _watched]
    return math.nan if any(map(math.isnan, ages)) else max(ages, default=math.nan)


BREAKER_STATE.set_function(_worst_breaker)
KEY_SET_AGE.set_function(_oldest_keys)
