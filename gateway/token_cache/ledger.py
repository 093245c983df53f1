"""What was purged lately, so that a login begun before a purge leaves nothing behind after it.

Rule: whoever begins a login takes a ticket first, and keeps what comes of it only where the ticket
still stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MAX_NOTES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """When a login began and for whom; ``mark`` is what Redis had been purged of by then."""

    owners: tuple[bytes, ...] = field(repr=False)
    moment: int
    mark: bytes | None = field(default=None, repr=False)  # None: Redis was not asked, or failed


NOBODY: Final = Ticket((), 0)  # of what belongs to no user


class PurgeLedger:
    """The purges this process has made or heard of."""

    def __init__(self) -> None:
        self._moment = 0
        self._all_at = 0
        self._owner_at: dict[bytes, int] = {}

    def ticket(self, owners: tuple[bytes, ...]) -> Ticket:
        """Return the ticket of a login that begins now."""
        return Ticket(owners, self._moment)

    def stands(self, ticket: Ticket) -> bool:
        """Tell whether nothing of this user was purged since the ticket was taken."""
        since = ticket.moment
        return since >= self._all_at and all(
            since >= self._owner_at.get(owner, 0) for owner in ticket.owners
        )

    def stood(self, ticket: Ticket, owners: tuple[bytes, ...]) -> bool:
        """Tell the same for a login of which it turned out later whose it is."""
        return self.stands(Ticket(owners, ticket.moment))

    def note_all(self) -> None:
        """Note that everything is purged."""
        self._moment += 1
        self._all_at = self._moment
        self._owner_at.clear()

    def note(self, owners: tuple[bytes, ...]) -> None:
        """Note that a user's entries are purged; too many notes become one about everybody."""
        if len(self._owner_at) >= MAX_NOTES:
            self.note_all()
            return
        self._moment += 1
        self._owner_at.update(dict.fromkeys(owners, self._moment))
