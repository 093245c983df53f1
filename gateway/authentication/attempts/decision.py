"""May this login go to the provider now, later, or not at all: decided over plain values."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Literal

Reason = Literal["user", "address", "spread"]

# How much one address may fail over all users, and one user over all addresses, as a multiple of
# what one user may fail from one address.
ADDRESS_FACTOR = 20
SPREAD_FACTOR = 3

_HOST_BITS = 64  # RFC 4291 §2.5.4: one network has 2^64 addresses to call from
_HOST_MASK = (1 << _HOST_BITS) - 1


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How many refused logins reach the provider within ``window`` seconds, and how far apart.

    ``user`` is for one user from one address, ``spread`` for one user from all addresses,
    ``address`` for one address over all users.
    """

    user: int
    spread: int
    address: int
    window: float
    spacing: float

    @classmethod
    def of(cls, maximum: int, window: float, spacing: float) -> AttemptLimits:
        """Return the limits that follow from the one for a user and an address."""
        return cls(maximum, SPREAD_FACTOR * maximum, ADDRESS_FACTOR * maximum, window, spacing)


@dataclass(frozen=True, slots=True)
class Counts:
    """When the latest logins were refused, oldest first, in seconds of one clock."""

    user: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    address: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Allow:
    """The login may go."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The login may be asked about again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Refuse:
    """The login does not go; there is room again in ``retry_after`` seconds."""

    retry_after: float
    reason: Reason


Decision = Allow | Wait | Refuse


def decide(counts: Counts, limits: AttemptLimits, now: float) -> Decision:
    """Decide on one login of a user from an address; of several reasons the longest counts."""
    window = limits.window
    longest = longest_of(
        user=time_until_room(counts.user, limits.user, window, now),
        address=time_until_room(counts.address, limits.address, window, now),
        spread=time_until_room(counts.spread, limits.spread, window, now),
    )
    if longest.retry_after > 0:
        return longest
    # Keycloak locks a user after two failures within a second, whatever their number.
    spacing = counts.spread[-1] + limits.spacing - now if counts.spread else 0.0
    return Wait(spacing) if spacing > 0 else Allow()


def longest_of(*, user: float, address: float, spread: float) -> Refuse:
    """Return what is longest without room; with 0 seconds everything has some."""
    refusals = (Refuse(user, "user"), Refuse(address, "address"), Refuse(spread, "spread"))
    return max(refusals, key=lambda refusal: refusal.retry_after)


def count_recent(times: tuple[float, ...], window: float, now: float) -> int:
    """Return how many of these times are less than a window ago."""
    return sum(now < time + window for time in times)


def network_of(address: str) -> str:
    """Return what an address is counted as: IPv4 itself, IPv6 its /64, anything else its text."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:  # RFC 4291 §2.5.5.2: what a dual-stack socket shows
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) & ~_HOST_MASK)}/{_HOST_BITS}"


def one_spelling(identifier: str) -> str:
    """Return one text for all spellings of a name that some provider takes for the same user.

    Keycloak and LDAP ignore case; LDAP (RFC 4518 §2.6.1) and forms ignore outer spaces too.
    """
    folded = unicodedata.normalize("NFKC", identifier).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def whole_seconds(seconds: float) -> int:
    """Return the seconds as ``Retry-After`` takes them (RFC 9110 §10.2.3), never too few."""
    return max(1, math.ceil(seconds))


def time_until_room(times: tuple[float, ...], limit: int, window: float, now: float) -> float:
    """Return in how many seconds fewer than ``limit`` times are within the window; 0 for now."""
    if len(times) < limit:
        return 0.0
    return max(0.0, times[-limit] + window - now)
