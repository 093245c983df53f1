from __future__ import annotations

import pytest

from gateway.token_cache.ledger import MAX_NOTES, NOBODY, PurgeLedger

JOHN, MARY = (b"j", b"old j"), (b"m",)


@pytest.mark.parametrize(
    ("purged", "stands"),
    [
        pytest.param([], True, id="nothing"),
        pytest.param([MARY], True, id="somebody else"),
        pytest.param([JOHN], False, id="the user"),
        pytest.param([(b"old j",)], False, id="the user by an older pseudonym"),
        pytest.param([None], False, id="everybody"),
        pytest.param([MARY, None, MARY], False, id="everybody in between"),
    ],
)
def test_ticket(purged, stands):
    """A7: a ticket stands until its user is purged; one taken afterwards stands again."""
    ledger = PurgeLedger()
    ledger.note(JOHN)
    ticket = ledger.ticket(JOHN)
    for owners in purged:
        ledger.note_all() if owners is None else ledger.note(owners)
    assert ledger.stands(ticket) is stands
    assert ledger.stands(ledger.ticket(JOHN))


def test_bounded():
    """So many purges of users that they are not worth telling apart are one of everybody."""
    ledger = PurgeLedger()
    ticket = ledger.ticket(JOHN)
    for number in range(MAX_NOTES):
        ledger.note((b"%d" % number,))
    assert ledger.stands(ticket)
    ledger.note(MARY)
    assert not ledger.stands(ticket)
    assert len(ledger._owner_at) <= MAX_NOTES


def test_nobody():
    """What belongs to no user stands until everything is purged."""
    ledger = PurgeLedger()
    ledger.note(JOHN)
    assert ledger.stands(NOBODY)
    ledger.note_all()
    assert not ledger.stands(NOBODY)


def test_repr():
    """L1: neither pseudonyms nor marks are shown."""
    assert "old j" not in repr(PurgeLedger().ticket(JOHN))
