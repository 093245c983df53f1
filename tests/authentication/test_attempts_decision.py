from __future__ import annotations

import pytest

from gateway.authentication.attempts import (
    Allow,
    AttemptLimits,
    Counts,
    Refuse,
    Wait,
    decide,
    network_of,
    one_spelling,
)

LIMITS = AttemptLimits.of(5, 60.0, 1.0)
NOW = 1000.0


def spaced(count, latest=NOW - 10.0):
    """Return so many refusals, two seconds apart, the last one at ``latest``."""
    return tuple(latest - 2.0 * n for n in reversed(range(count)))


def test_limits():
    """The limits over addresses and over users follow from the one for both."""
    assert LIMITS == AttemptLimits(user=5, spread=15, address=100, window=60.0, spacing=1.0)


@pytest.mark.parametrize(
    ("counts", "decision"),
    [
        pytest.param(Counts(), Allow(), id="R2: nothing was refused"),
        pytest.param(Counts(user=spaced(4)), Allow(), id="R2: one below the bound"),
        pytest.param(Counts(user=spaced(5)), Refuse(42.0, "user"), id="R2: at the bound"),
        pytest.param(Counts(user=spaced(8)), Refuse(42.0, "user"), id="R2: the fifth latest"),
        pytest.param(
            Counts(user=spaced(5, NOW - 51.9)), Refuse(pytest.approx(0.1), "user"), id="R2: nearly"
        ),
        pytest.param(Counts(user=spaced(5, NOW - 52.0)), Allow(), id="R2: the oldest has passed"),
        pytest.param(Counts(spread=spaced(14)), Allow(), id="R3: one below the bound"),
        pytest.param(Counts(spread=spaced(15)), Refuse(22.0, "spread"), id="R3: from everywhere"),
        pytest.param(Counts(address=(NOW - 1,) * 99), Allow(), id="R4: one below the bound"),
        pytest.param(
            Counts(address=(NOW - 1,) * 100), Refuse(59.0, "address"), id="R4: over all users"
        ),
        pytest.param(
            Counts(user=spaced(5), spread=spaced(15), address=(NOW - 1,) * 100),
            Refuse(59.0, "address"),
            id="the longest of several",
        ),
        pytest.param(Counts(spread=(NOW - 0.25,)), Wait(0.75), id="R2: too close to the last"),
        pytest.param(Counts(spread=(NOW - 1.0,)), Allow(), id="R2: the spacing has passed"),
        pytest.param(
            Counts(user=spaced(5), spread=(NOW,)), Refuse(42.0, "user"), id="no wait before a no"
        ),
    ],
)
def test_decide(counts, decision):
    """A login goes, waits or is refused by what was refused within the window."""
    assert decide(counts, LIMITS, NOW) == decision


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("192.0.2.7", "192.0.2.7", id="IPv4"),
        pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4 as a dual-stack socket shows it"),
        pytest.param("2001:db8:1:2::1", "2001:db8:1:2::/64", id="IPv6"),
        pytest.param("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64", id="its last"),
        pytest.param("2001:db8:1:3::", "2001:db8:1:3::/64", id="the next network"),
        pytest.param("fe80::1%eth0", "fe80::/64", id="link-local with its zone"),
        pytest.param("unknown", "unknown", id="no address at all"),
    ],
)
def test_network_of(address, network):
    """R4: an IPv6 caller is counted by /64, an IPv4 caller by address."""
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        pytest.param("john", "john", id="as it is"),
        pytest.param("JoHn", "john", id="R2: case"),
        pytest.param(" john ", "john", id="R2: outer spaces"),
        pytest.param("john  doe", "john doe", id="R2: inner spaces"),
        pytest.param("\uff4aohn", "john", id="R2: full-width letter"),
        pytest.param("jo\u0308rg", "j\u00f6rg", id="R2: decomposed"),
        pytest.param("STRA\u00dfE", "strasse", id="R2: sharp s"),
        pytest.param("\ud800", "\ud800", id="a lone surrogate"),
        pytest.param("john2", "john2", id="another user"),
    ],
)
def test_one_spelling(spelling, name):
    """R2: writing a user's name in another way opens no new count."""
    assert one_spelling(spelling) == name
