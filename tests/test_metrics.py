"""The numbers of several processes on one page."""

from __future__ import annotations

import pytest

from gateway.metrics import REGISTRY, merge_pages, write_metrics


def page(*lines):
    """Write a page of metrics."""
    return "".join(line + "\n" for line in lines)


COUNTER = ("# HELP a_total A.", "# TYPE a_total counter")
CREATED = ("# HELP a_created A.", "# TYPE a_created gauge")
GAUGE = ("# HELP g G.", "# TYPE g gauge")
STATE = ("# HELP bearergate_breaker_state S.", "# TYPE bearergate_breaker_state gauge")
HISTOGRAM = ("# HELP h H.", "# TYPE h histogram")


@pytest.mark.parametrize(
    ("pages", "merged"),
    [
        pytest.param([page(*COUNTER, "a_total 2.0")] * 2, [*COUNTER, "a_total 4.0"], id="counter"),
        pytest.param(
            [page(*COUNTER, 'a_total{x="1"} 2.0'), page(*COUNTER, 'a_total{x="2"} 1.0')],
            [*COUNTER, 'a_total{x="1"} 2.0', 'a_total{x="2"} 1.0'],
            id="labels of one",
        ),
        pytest.param(
            [page(*CREATED, "a_created 2.0"), page(*CREATED, "a_created 1.0")],
            [*CREATED, "a_created 1.0"],
            id="created",
        ),
        pytest.param(
            [page(*GAUGE, "g 0.0"), page(*GAUGE, "g 2.0"), page(*GAUGE, "g 1.0")],
            [*GAUGE, "g 3.0"],
            id="gauge",
        ),
        pytest.param(
            [page(*STATE, f"bearergate_breaker_state {state}.0") for state in (0, 2, 1)],
            [*STATE, "bearergate_breaker_state 2.0"],
            id="state",
        ),
        pytest.param(
            [page(*GAUGE, "g NaN"), page(*GAUGE, "g 2.0"), page(*GAUGE, "g NaN")],
            [*GAUGE, "g 2.0"],
            id="not a number",
        ),
        pytest.param([page(*GAUGE, "g NaN")], [*GAUGE, "g NaN"], id="no number at all"),
        pytest.param(
            [page(*HISTOGRAM, 'h_bucket{le="+Inf"} 1.0', "h_count 1.0", "h_sum 0.5")] * 3,
            [*HISTOGRAM, 'h_bucket{le="+Inf"} 3.0', "h_count 3.0", "h_sum 1.5"],
            id="histogram",
        ),
        pytest.param(["", page(*COUNTER, "a_total 2.0")], [*COUNTER, "a_total 2.0"], id="empty"),
    ],
)
def test_merged(pages, merged):
    """Numbers are added up, of a state the largest is kept."""
    assert page(*merged) == merge_pages(pages).decode()


def test_without_gauges():
    """What is kept of a process that is gone is what it counted."""
    told = page(*COUNTER, "a_total 2.0", *CREATED, "a_created 1.0", *GAUGE, "g 2.0")

    kept = page(*COUNTER, "a_total 2.0", *CREATED, "a_created 1.0")
    assert kept == merge_pages([told], gauges=False).decode()


def test_own_page():
    """The gateway's own page, merged with nothing, has the same series."""
    own = write_metrics().decode()

    merged = merge_pages([own, ""]).decode()

    assert {line.rpartition(" ")[0] for line in own.splitlines()} == {
        line.rpartition(" ")[0] for line in merged.splitlines()
    }
    assert len(list(REGISTRY.collect())) > 0
