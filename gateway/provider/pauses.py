"""How long to wait before asking a provider again; spread, so that many workers are not in step."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# ``spread`` gives a number of [0, 1), another one each time.
FIRST = 1.0
LONGEST = 5.0
_SHORTENED_BY = 0.2


def grown(tries: int, spread: Callable[[], float] = random.random) -> float:
    """Return the pause after so many failed tries: it doubles, and never is over ``LONGEST``."""
    return shortened(min(LONGEST, FIRST * 2.0 ** min(tries - 1, 10)), spread)


def shortened(seconds: float, spread: Callable[[], float] = random.random) -> float:
    """Return ``seconds`` or up to a fifth less."""
    return seconds * (1 - _SHORTENED_BY * spread())


def lengthened(seconds: float, spread: Callable[[], float] = random.random) -> float:
    """Return ``seconds`` or up to a fifth more."""
    return seconds * (1 + _SHORTENED_BY * spread())
