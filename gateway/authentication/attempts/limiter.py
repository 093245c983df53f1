"""The limiter itself: logins wait here for their turn, and refused ones are counted.

Rule: one login of a user is under way at a time, and an address never has more under way than it
may still fail; so no crowd gets past a limit before its first refusal is known.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from gateway.authentication.attempts.decision import (
    Allow,
    Decision,
    Reason,
    Refuse,
    Wait,
    decide,
    longest_of,
    whole_seconds,
)
from gateway.authentication.attempts.ledgers import Ledgers
from gateway.authentication.attempts.lines import LineFullError, Lines
from gateway.errors import TooManyAttemptsError
from gateway.metrics import THROTTLED
from gateway.token_cache.attempts import SharedAttempts, new_turn
from gateway.token_cache.leases import LONGEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from gateway.authentication.attempts.decision import AttemptLimits
    from gateway.authentication.attempts.turns import SharedTurns
    from gateway.token_cache.attempts import AttemptKeys, Outlook
    from gateway.token_cache.link import Link

MAX_ENTRIES = 10_000  # of each table
MAX_WAITING = 1024  # logins in all lines of a kind
MAX_OF_GROUP = 16  # of them of one user from one address
PATIENCE = 15.0  # seconds a login waits at most; then its caller is told to come again
POLL = 0.2  # seconds between two questions whether another replica's login is over

_MESSAGES: dict[Reason, str] = {
    "user": "too many failed logins of this user from this address",
    "address": "too many failed logins from this address",
    "spread": "too many failed logins of this user",
}


class AttemptsLimiter:
    """Holds logins back after refused ones: ``admit`` first, then one of the other three.

    ``key`` turns addresses into pseudonyms and is the same on every replica. What Redis knows, if
    there is a ``link`` to it, or else ``shared``, comes on top of what this process has counted:
    without an answer the limits hold for this process alone. ``longest`` is how many seconds a
    login takes at most once it is admitted.
    """

    def __init__(
        self,
        limits: AttemptLimits,
        *,
        key: bytes,
        link: Link | None = None,
        shared: SharedTurns | None = None,
        longest: float = LONGEST,
        max_entries: int = MAX_ENTRIES,
        max_waiting: int = MAX_WAITING,
        patience: float = PATIENCE,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        if link is not None:
            shared = SharedAttempts(
                link, window=limits.window, spacing=limits.spacing, longest=longest
            )
        self._shared = shared
        self._patience = patience
        self._now = now
        self._sleep = sleep
        self._ledgers = ledgers = Ledgers(limits, key, max_entries)
        self._addresses = Lines(
            # With no room left they come forward one by one, to be refused.
            room=lambda address: max(1, ledgers.room_of_address(address, now())),
            rank=lambda _: 0,
            max_waiting=max_waiting,
            max_of_group=MAX_OF_GROUP,
        )
        self._users = Lines(
            room=lambda _: 1,
            # Who guesses from elsewhere does not keep the user waiting.
            rank=lambda user: ledgers.refusals_of_user(user, now()),
            max_waiting=max_waiting,
            max_of_group=MAX_OF_GROUP,
        )
        self._turns: dict[bytes, str] = {}  # of the logins under way, by user
        self._telling: set[asyncio.Task[None]] = set()

    async def admit(self, user: bytes, address: str) -> None:
        """Return when a login may go to the provider, or raise ``TooManyAttemptsError``.

        ``user`` is a pseudonym of what ``one_spelling`` makes of the name. Each admitted login
        ends with exactly one call of ``refused``, ``succeeded`` or ``abandoned``.
        """
        keys = self._ledgers.keys(user, address)
        _require_room(self._decide(keys))
        try:
            async with asyncio.timeout(self._patience):
                self._turns[keys.spread] = await self._enter(keys)
        except TimeoutError:
            raise _refusal(Refuse(self._limits.spacing, "user")) from None

    def refused(self, user: bytes, address: str) -> None:
        """End a login the provider refused: it counts against the user and the address."""
        keys = self._ledgers.keys(user, address)
        self._ledgers.record(keys, self._now())
        turn = self._leave(keys)
        if self._shared is not None:
            self._tell(self._shared.end_refused(keys, turn))

    def succeeded(self, user: bytes, address: str) -> None:
        """End a login that worked; what was refused before keeps counting."""
        self.abandoned(user, address)

    def abandoned(self, user: bytes, address: str) -> None:
        """End a login whose outcome says nothing against the credentials."""
        keys = self._ledgers.keys(user, address)
        turn = self._leave(keys)
        if self._shared is not None:
            self._tell(self._shared.end(keys, turn))

    async def aclose(self) -> None:
        """Wait until Redis has been told what is still to be told."""
        await asyncio.gather(*self._telling)
        if self._shared is not None:
            await self._shared.aclose()

    async def _enter(self, keys: AttemptKeys) -> str:
        """Take a place of the address and then the user's; return the name of the turn."""
        await _take(self._addresses, keys.address, keys.user, "address")
        try:
            await _take(self._users, keys.spread, keys.user, "user")
            try:
                return await self._pass(keys)
            except BaseException:
                self._users.leave(keys.spread)
                raise
        except BaseException:
            self._addresses.leave(keys.address)
            raise

    async def _pass(self, keys: AttemptKeys) -> str:
        """Wait until this process and every other allow the login."""
        turn = new_turn()
        while True:
            decision = self._decide(keys)
            if isinstance(decision, Allow):
                decision = await self._take_shared_turn(keys, turn)
            _require_room(decision)
            if not isinstance(decision, Wait):
                return turn
            await self._sleep(decision.seconds)

    def _decide(self, keys: AttemptKeys) -> Decision:
        now = self._now()
        return decide(self._ledgers.counts(keys, now), self._limits, now)

    async def _take_shared_turn(self, keys: AttemptKeys, turn: str) -> Decision:
        if self._shared is None:
            return Allow()
        limits = self._limits
        outlook = await self._shared.take_turn(
            keys, turn, user=limits.user, spread=limits.spread, address=limits.address
        )
        return Allow() if outlook is None else _read(outlook)

    def _leave(self, keys: AttemptKeys) -> str:
        turn = self._turns.pop(keys.spread)
        self._users.leave(keys.spread)
        self._addresses.leave(keys.address)
        return turn

    def _tell(self, message: Coroutine[object, object, None]) -> None:
        """Tell Redis without keeping the caller; until it knows, the turn is still taken there."""
        task = asyncio.create_task(message)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


async def _take(lines: Lines, key: bytes, group: bytes, reason: Reason) -> None:
    try:
        await lines.enter(key, group)
    except LineFullError:
        raise _refusal(Refuse(0.0, reason)) from None


def _read(outlook: Outlook) -> Decision:
    longest = longest_of(user=outlook.user, address=outlook.address, spread=outlook.spread)
    if longest.retry_after > 0:
        return longest
    return Wait(min(outlook.turn, POLL)) if outlook.turn > 0 else Allow()


def _require_room(decision: Decision) -> None:
    if isinstance(decision, Refuse):
        raise _refusal(decision)


def _refusal(decision: Refuse) -> TooManyAttemptsError:
    THROTTLED.labels(decision.reason).inc()
    return TooManyAttemptsError(_MESSAGES[decision.reason], whole_seconds(decision.retry_after))
