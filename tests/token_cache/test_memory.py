from __future__ import annotations

import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.token_cache.memory import MemoryCache

NOW = 1000.0
LATER = NOW + 60


@pytest.fixture
def cache() -> MemoryCache[str]:
    """Return a cache of three entries and a hundred bytes."""
    return MemoryCache(max_entries=3, max_bytes=100)


def kept(cache: MemoryCache[str]) -> list[str | None]:
    """Return what is found under a, b, c and d."""
    return [cache.find(key, NOW) for key in (b"a", b"b", b"c", b"d")]


def fill(cache: MemoryCache[str], *names: str, size: int = 10) -> None:
    """Store each name under itself."""
    for name in names:
        cache.store(name.encode(), name, LATER, size)


def test_found(cache: MemoryCache[str]) -> None:
    """What was stored is found under its key and under no other."""
    fill(cache, "a")
    assert kept(cache) == ["a", None, None, None]


@pytest.mark.parametrize(
    ("now", "found"),
    [
        pytest.param(LATER - 1, "a", id="before"),
        pytest.param(LATER, None, id="at-expiry"),
        pytest.param(LATER + 1, None, id="after"),
    ],
)
def test_expiry(cache: MemoryCache[str], now: float, found: str | None) -> None:
    """A5: A14: an entry is found until it expires."""
    fill(cache, "a")
    assert cache.find(b"a", now) == found
    assert len(cache) == (found is not None)


def test_entry_over_the_bound(cache: MemoryCache[str]) -> None:
    """A14: R8: one entry more than the bound forgets the oldest one."""
    fill(cache, "a", "b", "c", "d")
    assert kept(cache) == [None, "b", "c", "d"]


def test_least_recently_used(cache: MemoryCache[str]) -> None:
    """A14: a look-up counts as use."""
    fill(cache, "a", "b", "c")
    cache.find(b"a", NOW)
    fill(cache, "d")
    assert kept(cache) == ["a", None, "c", "d"]


def test_byte_over_the_bound(cache: MemoryCache[str]) -> None:
    """A14: R8: one byte more than the bound forgets as many of the oldest as it takes."""
    fill(cache, "a", "b", size=30)
    fill(cache, "c", size=71)
    assert kept(cache) == [None, None, "c", None]
    fill(cache, "a", size=29)
    assert kept(cache) == ["a", None, "c", None]


def test_larger_than_the_cache(cache: MemoryCache[str]) -> None:
    """A14: an entry that alone is over the bound is not kept and costs no other its place."""
    fill(cache, "a", "b")
    fill(cache, "b", size=101)
    assert kept(cache) == ["a", None, None, None]


def test_replaced(cache: MemoryCache[str]) -> None:
    """A second store under a key replaces the value, its expiry and its weight."""
    fill(cache, "a", size=90)
    cache.store(b"a", "again", LATER, 10)
    fill(cache, "b", size=90)
    assert kept(cache) == ["again", "b", None, None]


def test_discarded_and_cleared(cache: MemoryCache[str]) -> None:
    """What was discarded is gone, discarding it again is nothing, and clearing takes the rest."""
    fill(cache, "a", "b", size=50)
    cache.discard(b"a")
    cache.discard(b"a")
    assert kept(cache) == [None, "b", None, None]
    cache.clear()
    fill(cache, "c", size=100)
    assert kept(cache) == [None, None, "c", None]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 120), st.booleans()), max_size=60))
def test_bounds_hold(steps: list[tuple[int, int, bool]]) -> None:
    """A14: whatever is stored and discarded, the weight is that of the entries and in bounds."""
    cache: MemoryCache[str] = MemoryCache(max_entries=3, max_bytes=100)
    for number, size, stores in steps:
        if stores:
            cache.store(bytes([number]), "value", LATER, size)
        else:
            cache.discard(bytes([number]))
    assert cache._bytes == sum(entry[2] for entry in cache._entries.values())
    assert cache._bytes <= 100
    assert len(cache) <= 3


@pytest.mark.parametrize(("entries", "size"), [(0, 1), (1, 0)])
def test_cache_of_nothing(entries: int, size: int) -> None:
    """A cache that could hold nothing is refused."""
    with pytest.raises(ValueError, match="at least"):
        MemoryCache(entries, size)


def test_pickled(cache: MemoryCache[str]) -> None:
    """A14: A15: a cache is not pickled."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(cache)


def test_repr(cache: MemoryCache[str]) -> None:
    """L2: the repr tells how much is kept and not what."""
    fill(cache, "a")
    assert repr(cache) == "<MemoryCache entries=1 bytes=10>"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked(cache: MemoryCache[str]) -> None:
    """A14: a forked child starts without the entries, and the parent keeps its own."""
    fill(cache, "a")
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        os._exit(len(cache))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(cache) == 1


def test_discarded_by_owner() -> None:
    """A purge of a user takes the entries of any of the user's pseudonyms, and returns them."""
    cache: MemoryCache[str] = MemoryCache(10, 1000)
    for key, owners in ((b"1", (b"j", b"old j")), (b"2", (b"old j",)), (b"3", (b"m",)), (b"4", ())):
        cache.store(key, key.decode(), 60, 10, owners)
    assert cache.discard_owners((b"old j", b"x")) == [(b"1", "1"), (b"2", "2")]
    assert [cache.find(key, 0) for key in (b"1", b"2", b"3", b"4")] == [None, None, "3", "4"]
    assert cache.discard_owners(()) == []
    assert cache.clear() == [(b"3", "3"), (b"4", "4")]
    assert cache._bytes == 0
