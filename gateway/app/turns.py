"""Refused logins of several workers without Redis: kept by the supervisor, asked for by them.

Rule: what is sent are pseudonyms. Without an answer in time a worker's own counts stand alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.authentication.attempts import AttemptLimits, Turns
from gateway.token_cache.attempts import AttemptKeys, Outlook

if TYPE_CHECKING:
    from gateway.app.channel import Message
    from gateway.app.seats import Seat
    from gateway.app.worker import Crew

MAX_TABLES: Final = 64  # of different limits; routes may have their own


class CrewTurns:
    """The supervisor's knowledge under some limits, as one worker uses it."""

    def __init__(self, crew: Crew, limits: AttemptLimits, lease: float) -> None:
        self._crew = crew
        self._under = [
            limits.user,
            limits.spread,
            limits.address,
            limits.window,
            limits.spacing,
            lease,
        ]

    async def take_turn(
        self,
        keys: AttemptKeys,
        turn: str,
        *,
        user: int,  # noqa: ARG002 - what is sent are the limits this was made with
        spread: int,  # noqa: ARG002 - as above
        address: int,  # noqa: ARG002 - as above
    ) -> Outlook | None:
        """Take the user's turn if all have room; ``None`` when the supervisor does not answer."""
        value = await self._crew.request({"take": turn, **self._write(keys)})
        return None if value is None else Outlook(*value)

    async def end_refused(self, keys: AttemptKeys, turn: str) -> None:
        """Record that the login was refused, and let the next one wait for the spacing."""
        self._crew.tell({"refused": turn, **self._write(keys)})

    async def end(self, keys: AttemptKeys, turn: str) -> None:
        """Give the turn back; nothing was refused."""
        self._crew.tell({"over": turn, **self._write(keys)})

    async def aclose(self) -> None:
        """Do nothing: the turns of a worker that ends are given back by the supervisor."""

    def _write(self, keys: AttemptKeys) -> Message:
        named = [keys.user.hex(), keys.spread.hex(), keys.address.hex()]
        return {"keys": named, "under": self._under}


class TurnTables:
    """What the supervisor keeps: a table for each of the limits its workers have."""

    def __init__(self) -> None:
        self._tables: dict[tuple[float, ...], Turns] = {}

    def answer(self, seat: Seat, message: Message) -> bool:
        """Do what a worker asks; ``False`` when its message is about something else."""
        if "keys" not in message or seat.channel is None:
            return False
        turns = self._under(message["under"])
        keys = AttemptKeys(*map(bytes.fromhex, message["keys"]))
        if "take" in message:
            outlook = turns.take(keys, message["take"], holder=seat.number)
            value = [outlook.user, outlook.spread, outlook.address, outlook.turn]
            seat.channel.send({"answered": message["number"], "value": value})
        elif "refused" in message:
            turns.end_refused(keys)
        else:
            turns.end(keys, message["over"])
        return True

    def leave(self, seat: Seat) -> None:
        """Give back the turns of a worker that is gone."""
        for turns in self._tables.values():
            turns.leave(seat.number)

    def _under(self, under: list[float]) -> Turns:
        turns = self._tables.get(tuple(under))
        if turns is None:
            if len(self._tables) >= MAX_TABLES:
                self._tables.pop(next(iter(self._tables)))
            user, spread, address, window, spacing, lease = under
            limits = AttemptLimits(int(user), int(spread), int(address), window, spacing)
            turns = self._tables[tuple(under)] = Turns(limits, lease=lease)
        return turns
