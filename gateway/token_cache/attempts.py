"""What all replicas know together about refused logins, in Redis.

Rule: each call is bounded and may fail; then there is no answer, and the caller's own counts stand
alone. Times are Redis's own, so clocks that differ do no harm.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.token_cache.leases import LIFE, LONGEST, Leases
from gateway.token_cache.link import Command

if TYPE_CHECKING:
    from gateway.token_cache.link import Link

COUNTING: Final = "counting attempts"
PREFIX: Final = "bearergate:attempts:1:"

# A ledger is a sorted set of the times of refused logins in milliseconds, one member each.
_LEDGER: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local window = tonumber(ARGV[1])
local function until_room(key, limit)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local count = redis.call('ZCARD', key)
  if count < limit then return 0 end
  local latest = redis.call('ZRANGE', key, count - limit, count - limit, 'WITHSCORES')
  return math.max(1, tonumber(latest[2]) + window - now)
end
local function record(key, id)
  redis.call('ZADD', key, now, id)
  return redis.call('PEXPIRE', key, window)
end
"""
# KEYS: the address; ARGV: window, limit.
_FIND_ADDRESS: Final = _LEDGER + "return until_room(KEYS[1], tonumber(ARGV[2]))"
# KEYS: the address; ARGV: window, id.
_RECORD_ADDRESS: Final = _LEDGER + "return record(KEYS[1], ARGV[2])"
# KEYS: user and address, user, the user's turn; ARGV: window, both limits, id, lease.
_TAKE_TURN: Final = (
    _LEDGER
    + """
local user = until_room(KEYS[1], tonumber(ARGV[2]))
local spread = until_room(KEYS[2], tonumber(ARGV[3]))
if user > 0 or spread > 0 then return {user, spread, 0} end
if redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5], 'NX') then return {0, 0, 0} end
return {0, 0, math.max(1, redis.call('PTTL', KEYS[3]))}
"""
)
# KEYS: as above; ARGV: window, id, spacing. The turn is kept for the spacing: nobody goes sooner.
_END_REFUSED: Final = (
    _LEDGER
    + """
record(KEYS[1], ARGV[2])
record(KEYS[2], ARGV[2])
if tonumber(ARGV[3]) == 0 then return redis.call('DEL', KEYS[3]) end
return redis.call('SET', KEYS[3], 'refused', 'PX', ARGV[3])
"""
)
# KEYS: the user's turn; ARGV: id. What another took after the lease had passed stays.
_END: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)


@dataclass(frozen=True, slots=True)
class AttemptKeys:
    """What a login is counted under; keyed pseudonyms, so that Redis holds no name or address."""

    user: bytes  # with the address
    spread: bytes  # the user alone
    address: bytes  # the address alone


@dataclass(frozen=True, slots=True)
class Outlook:
    """In how many seconds each of them has room, and when it is the user's turn; 0 for now."""

    user: float = 0.0
    spread: float = 0.0
    address: float = 0.0
    turn: float = 0.0


class SharedAttempts:
    """Refused logins of all replicas, and whose turn it is: one login of a user at a time.

    A turn is a lease that lives for ``life`` seconds, kept for ``longest`` seconds at most.
    """

    def __init__(
        self,
        link: Link,
        *,
        window: float,
        spacing: float,
        life: float = LIFE,
        longest: float = LONGEST,
    ) -> None:
        self._link = link
        self._window = _milliseconds(window)
        self._spacing = _milliseconds(spacing)
        self._turns = Leases(link, COUNTING, life=life, longest=longest)

    async def take_turn(
        self, keys: AttemptKeys, turn: str, *, user: int, spread: int, address: int
    ) -> Outlook | None:
        """Take the user's turn if all have room; ``None`` when Redis does not answer."""
        arguments = (self._window, user, spread, turn, self._turns.milliseconds)
        commands = [
            _command(_FIND_ADDRESS, _address(keys), (self._window, address)),
            _command(_TAKE_TURN, _user(keys), arguments),
        ]
        match await self._link.send(commands, COUNTING):
            case [int(until_address), [int(until_user), int(until_spread), int(until_turn)]]:
                pass
            case _:
                return None
        if until_address and not until_turn:
            await self.end(keys, turn)
        elif not (until_user or until_spread or until_turn):
            self._turns.hold(_user(keys)[2], turn)
        return Outlook(
            user=until_user / 1000,
            spread=until_spread / 1000,
            address=until_address / 1000,
            turn=until_turn / 1000,
        )

    async def end_refused(self, keys: AttemptKeys, turn: str) -> None:
        """Record that the login was refused, and let the next one wait for the spacing."""
        self._turns.let_go(turn)
        commands = [
            _command(_END_REFUSED, _user(keys), (self._window, turn, self._spacing)),
            _command(_RECORD_ADDRESS, _address(keys), (self._window, turn)),
        ]
        await self._link.send(commands, COUNTING)

    async def end(self, keys: AttemptKeys, turn: str) -> None:
        """Give the turn back; nothing was refused."""
        self._turns.let_go(turn)
        await self._link.send([_command(_END, _user(keys)[2:], (turn,))], COUNTING)

    async def aclose(self) -> None:
        """Leave the turns that are still taken to run out."""
        await self._turns.aclose()


def new_turn() -> str:
    """Return a name for one turn, unlike any other."""
    return os.urandom(12).hex()


def _command(script: str, keys: tuple[str, ...], arguments: tuple[str | int, ...]) -> Command:
    return Command(keys[0], ("EVAL", script, len(keys), *keys, *arguments))


def _user(keys: AttemptKeys) -> tuple[str, str, str]:
    """Return the keys of one user; the part in braces puts them into one slot of a cluster."""
    base = f"{PREFIX}{{{keys.spread.hex()}}}"
    return f"{base}:{keys.user.hex()}", base, f"{base}:turn"


def _address(keys: AttemptKeys) -> tuple[str]:
    return (f"{PREFIX}{keys.address.hex()}",)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
