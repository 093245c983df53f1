"""Authorization values that were read before: they lead to a key, and nothing more."""

from __future__ import annotations

import gc

from gateway.authentication.known_values import KnownValues

VALUE, KEY = b"Basic am9objpkb2U=", b"k" * 32


def test_kept_value():
    """A value that was kept leads to its key, another spelling of it does not."""
    known = KnownValues(100)
    known.keep(known.hash(VALUE), KEY)

    assert known.find(known.hash(VALUE)) == KEY
    assert known.find(known.hash(b"basic am9objpkb2U=")) is None


def test_discarded_value():
    """A value whose entry is gone is forgotten, and so is every value at once."""
    known = KnownValues(100)
    for value in (VALUE, b"Basic b3RoZXI6cGFpcg=="):
        known.keep(known.hash(value), KEY)

    known.discard(known.hash(VALUE))
    assert known.find(known.hash(VALUE)) is None
    known.clear()
    assert len(known) == 0


def test_bound():
    """However many values there are, a bounded number is kept."""
    known = KnownValues(max_values=3)
    for number in range(10):
        known.keep(known.hash(b"%d" % number), KEY)

    assert len(known) <= 3
    assert known.find(known.hash(b"9")) == KEY


def test_value_is_not_kept():
    """What is kept of a value is a hash of it under a key of its own in each process."""
    known, other = KnownValues(100), KnownValues(100)
    hashed = known.hash(VALUE)
    known.keep(hashed, KEY)

    assert hashed != other.hash(VALUE)
    assert VALUE not in str(gc.get_referents(*gc.get_referents(known))).encode()
