"""The arithmetic of the benchmarks; the runs themselves are `make bench`."""

from __future__ import annotations

import os
import sys

import pytest

from tests.benchmarks.comparison import (
    Measured,
    added_latency_ratio,
    cpu_ratio,
    throughput_ratio,
)
from tests.benchmarks.installing import MissingError, run
from tests.benchmarks.load import Load, LoadError, Sample, parse_paced, parse_wrk
from tests.benchmarks.machine import cpu_seconds, parse_memory, parse_stat, resident_bytes, tree
from tests.benchmarks.pacer import percentile, whole
from tests.benchmarks.page import cleaned
from tests.benchmarks.scenarios import Curve, curve_rows
from tests.benchmarks.site import filled
from tests.benchmarks.tables import comparison_table, table
from tests.benchmarks.targets import Bound, Goal, figures_of, targets_table

WRK = """Running 2s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.20ms    1.10ms  12.31ms   79.51%
    Req/Sec    20.10k     1.52k   22.05k    85.00%
  Latency Distribution
     50%    {p50}
     75%    3.80ms
     90%    4.10ms
     99%    {p99}
  40000 requests in 2.00s, 46.01MB read
{trouble}Requests/sec:  20000.00
Transfer/sec:     23.00MB
"""
CLEAN = WRK.format(p50="3.10ms", p99="9.87ms", trouble="")


def sample(cpu_us: float, per_second: float = 1000.0, p50: float = 100.0) -> Sample:
    """Return a sample of one second with these figures."""
    requests = round(per_second)
    return Sample(Load(requests, 1.0, p50, p50 * 2), cpu_us * requests / 1e6)


def measured(name: str, *samples: Sample) -> Measured:
    """Return a program whose loads all saw the same samples."""
    return Measured(name, name, "1.0.0", list(samples), list(samples), list(samples), 64 << 20)


@pytest.mark.parametrize(
    ("p50", "p99", "expected"),
    [
        pytest.param("3.10ms", "9.87ms", (3100.0, 9870.0), id="milliseconds"),
        pytest.param("73.00us", "250.00us", (73.0, 250.0), id="microseconds"),
        pytest.param("0.90s", "1.10m", (900_000.0, 66_000_000.0), id="seconds and minutes"),
    ],
)
def test_wrk_is_read(p50, p99, expected):
    """Requests, seconds and percentiles of wrk's text are read in whatever unit it chose."""
    load = parse_wrk(WRK.format(p50=p50, p99=p99, trouble=""))

    assert (load.requests, load.seconds, load.per_second) == (40_000, 2.0, 20_000.0)
    assert (load.p50, load.p99) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CLEAN.replace("Requests/sec", "  Non-2xx or 3xx responses: 7\nR"), id="401s"),
        pytest.param(
            CLEAN.replace(
                "Requests/sec", "  Socket errors: connect 0, read 9, write 0, timeout 0\nR"
            ),
            id="resets",
        ),
        pytest.param(CLEAN.replace("40000 requests", "0 requests"), id="nothing answered"),
        pytest.param("", id="no text"),
    ],
)
def test_a_load_that_failed_has_no_figures(text):
    """Refusals are cheap: a run with any of them measures nothing and is an error."""
    with pytest.raises(LoadError):
        parse_wrk(text)


def test_paced_is_read():
    """The pacer's JSON becomes a load."""
    text = '{"requests": 3000, "seconds": 1.5, "p50": 150.5, "p99": 900}'

    assert parse_paced(text) == Load(3000, 1.5, 150.5, 900)


def test_cpu_per_request():
    """CPU is told per request, in microseconds."""
    assert Sample(Load(40_000, 2.0, 1, 1), 1.9).cpu_us == pytest.approx(47.5)


def test_ratios_compare_neighbours():
    """A ratio is the median of the ratios turn by turn: a slow spell hits both and cancels out."""
    own = measured("bearergate", sample(50), sample(100), sample(48))
    nginx = measured("nginx", sample(20), sample(40), sample(16))

    assert cpu_ratio(own, nginx) == pytest.approx(2.5)
    assert throughput_ratio(own, nginx) == pytest.approx(1.0)


def test_more_cpu_turn_by_turn():
    """What more a request costs is the median of the turns' differences."""
    one = Curve("1", None, samples=[sample(50), sample(90), sample(50)])
    many = Curve("1,000", None, samples=[sample(53), sample(92), sample(70)])

    assert many.more_than(one) == pytest.approx(3.0)
    assert [["1", "50.0", "1.00", "1,000"], ["1,000", "70.0", "1.06", "1,000"]] == curve_rows(
        [one, many]
    )


def test_added_latency():
    """What a proxy adds is its latency less that of the direct call of the same turn."""
    own = measured("bearergate", sample(1, p50=260), sample(1, p50=270))
    nginx = measured("nginx", sample(1, p50=120), sample(1, p50=130))
    direct = measured("direct", sample(1, p50=20), sample(1, p50=30))

    assert added_latency_ratio(own, nginx, direct) == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("share", "expected"),
    [pytest.param(0.5, 50, id="p50"), pytest.param(0.99, 99, id="p99"), pytest.param(1, 100)],
)
def test_percentile(share, expected):
    """A percentile is the value that so many of the samples do not exceed."""
    assert percentile([float(n) for n in range(100, 0, -1)], share) == expected


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True, id="whole"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", False, id="body to come"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", False, id="head to come"),
    ],
)
def test_an_answer_is_whole(received, expected):
    """The pacer takes an answer for whole when the bytes its length names are there."""
    assert whole(received) is expected


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", id="refused"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="no length"),
    ],
)
def test_a_wrong_answer_ends_the_pacer(received):
    """Anything but a 200 of known length ends the run."""
    with pytest.raises(ConnectionError):
        whole(received)


def test_stat_is_read():
    """CPU is user + system time, whatever a command calls itself."""
    ticks = os.sysconf("SC_CLK_TCK")
    text = f"42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 {3 * ticks} {2 * ticks} 9 9 20 0 1 0\n"

    assert parse_stat(text) == (42, 7, 5.0)


def test_tree():
    """The tree of a process is what it started and what those started."""
    assert tree(10, {1: 0, 10: 1, 11: 10, 12: 11, 20: 1}) == {10, 11, 12}


def test_this_process_is_read():
    """A live process has used CPU and holds memory; one that ended holds none."""
    assert cpu_seconds(os.getpid()) > 0
    assert resident_bytes(os.getpid()) > 1 << 20
    assert parse_memory("Name:\tz\nState:\tZ (zombie)\n", "VmRSS") == 0


def test_a_template_is_filled():
    """Every place of a name is filled; what merely looks like one stays."""
    assert filled("a @port@, @port@, @other@", {"port": "1"}) == "a 1, 1, @other@"


def test_a_failed_install_is_told():
    """An install that fails says which command, and its last line."""
    with pytest.raises(MissingError, match=r"failed: .*no-such-module"):
        run([sys.executable, "-m", "no-such-module"])


def test_table():
    """A table has a head, a rule and rows."""
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_comparison_table():
    """The direct call has no CPU of a proxy, and every proxy its ratio to nginx."""
    rows = comparison_table(
        [
            measured("direct", sample(9)),
            measured("bearergate", sample(50)),
            measured("nginx", sample(20)),
        ]
    ).splitlines()[2:]

    assert rows[0].startswith("| direct |  |  | 1,000 |")
    assert rows[1].startswith("| bearergate | 50.0 | 2.50 | 1,000 | 100 | 200 | 100 | 64 |")


@pytest.mark.parametrize(
    ("bound", "figure", "kept"),
    [
        pytest.param(Bound("≤", 2.7), 2.7, True, id="at most, met"),
        pytest.param(Bound("≤", 2.7), 2.71, False, id="at most, missed"),
        pytest.param(Bound("<", 1), 0.99, True, id="less, met"),
        pytest.param(Bound("<", 1), 1.0, False, id="less, missed"),
        pytest.param(Bound("≥", 0.5), 0.5, True, id="at least, met"),
        pytest.param(Bound("≥", 0.5), 0.49, False, id="at least, missed"),
    ],
)
def test_bounds(bound, figure, kept):
    """A target is kept or not, exactly at its bound too."""
    assert bound.holds(figure) is kept


def test_targets_table():
    """A figure stands beside its target, with its unit; one that nobody took is missing."""
    goals = [Goal("idle", "memory", Bound("≤", 80, " MiB")), Goal("x", "other", Bound("<", 1))]

    rows = targets_table({"idle": 75.2}, goals).splitlines()[2:]

    assert ["| memory | ≤ 80 MiB | 75.20 MiB | yes |", "| other | < 1 | not measured |  |"] == rows


def test_figures_of_the_comparison():
    """The ratios of the targets come from the comparison; a program that was missing has none."""
    programs = [
        measured("direct", sample(9, p50=20)),
        measured("bearergate", sample(50, per_second=900, p50=220)),
        measured("nginx", sample(20, p50=120)),
        measured("lua", sample(25, per_second=1500)),
    ]

    figures = figures_of(programs)

    assert figures["cpu nginx"] == pytest.approx(2.5)
    assert figures["rate lua"] == pytest.approx(0.6)
    assert figures["latency"] == pytest.approx(2.0)
    assert "cpu caddy" not in figures
    assert figures_of(programs[2:]) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "`/opt/go/bin/go install a.example/b/c@latest` failed",
            "`go install a.example/b/c@latest` failed",
            id="folder of a program",
        ),
        pytest.param(
            "reading https://registry.example/x: 403", "reading its registry 403", id="address"
        ),
        pytest.param("first\nlast line\n", "last line", id="the last line counts"),
        pytest.param("", "no message", id="nothing said"),
    ],
)
def test_a_reason_names_no_place(text, expected):
    """Why something was left out is told without folders of the machine and without addresses."""
    assert cleaned(text) == expected
