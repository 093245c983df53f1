"""The process above the workers: it starts them, starts them again, and ends them together.

Rule: it has one thread and serves nobody, so that it can fork at any time; of what callers send
keyed pseudonyms reach it, and nothing else.
"""

from __future__ import annotations

import gc
import logging
import os
import selectors
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gateway.app.channel import Channel
from gateway.app.questions import Questions
from gateway.app.seats import Seat, describe_end
from gateway.app.serving import log_drain, log_start
from gateway.app.signals import SignalQueue
from gateway.app.turns import TurnTables
from gateway.app.watching import WATCH_INTERVAL, FileWatch
from gateway.settings import SettingsError
from gateway.tls import CertificateError

if TYPE_CHECKING:
    from gateway.app.channel import Message
    from gateway.app.footing import Footing
    from gateway.settings import Loaded

_log = logging.getLogger(__name__)

# How much longer than SHUTDOWN_GRACE a worker may take to end, in seconds: it ends the provider's
# sessions, and closes what it has open.
DRAIN_SLACK: Final = 8.0
MISCONFIGURED: Final = 2


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker is given: its number, from 1, of how many, what to serve, and its way here."""

    number: int
    workers: int
    channel: Channel
    footing: Footing
    loaded: Loaded


class Supervisor:
    """Keeps ``workers`` processes on the sockets of ``footing``."""

    def __init__(
        self, loaded: Loaded, footing: Footing, workers: int, *, watch: bool = False
    ) -> None:
        self._loaded = loaded
        self._settings = loaded.settings
        self._watched = FileWatch(loaded.loader) if watch else None
        self._footing = footing
        self._seats = [Seat(number) for number in range(1, workers + 1)]
        self._questions = Questions(self._seats)
        self._turns = TurnTables()
        self._selector = selectors.DefaultSelector()
        self._signals = SignalQueue()
        self._selector.register(self._signals, selectors.EVENT_READ)
        self._deadline: float | None = None  # of a drain
        self._announced = False
        self._status = 0

    def run(self) -> int | Post:
        """Return the exit status when everything has ended; in a worker, its post."""
        gc.collect()
        gc.freeze()  # what is there is shared by all processes as long as nobody touches it
        while self._deadline is None or any(seat.pid for seat in self._seats):
            for seat in self._vacant():
                post = self._fill(seat)
                if post is not None:
                    return post
            for key, _ in self._selector.select(self._patience()):
                if isinstance(key.data, Seat):
                    self._hear(key.data)
            for number in self._signals.take():
                self._handle(number)
            if self._watched is not None and self._watched.changed():
                self._reload()
            self._cut()
        _log.info("stopped")
        return self._status

    def _vacant(self) -> list[Seat]:
        if self._deadline is not None:
            return []
        now = time.monotonic()
        return [seat for seat in self._seats if not seat.pid and seat.due <= now]

    def _patience(self) -> float | None:
        """Return the seconds until something is due."""
        times = [seat.due for seat in self._seats if not seat.pid]
        if self._deadline is not None:
            times = [self._deadline]
        if self._watched is not None:
            times.append(time.monotonic() + WATCH_INTERVAL)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _fill(self, seat: Seat) -> Post | None:
        """Start a worker; return its post in the worker itself."""
        ours, theirs = Channel.pair()
        pid = self._signals.fork()
        if pid == 0:
            ours.close()
            self._leave()
            return Post(seat.number, len(self._seats), theirs, self._footing, self._loaded)
        theirs.close()
        seat.take(pid, ours, time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, seat)
        return None

    def _leave(self) -> None:
        """Let go of what is the supervisor's, or its end would go unnoticed by the others."""
        self._selector.close()
        for seat in self._seats:
            if seat.channel is not None:
                seat.channel.close()

    def _hear(self, seat: Seat) -> None:
        if seat.channel is None or seat.channel.closed:
            return
        for message in seat.channel.receive():
            if "serving" in message:
                self._welcome(seat)
            elif not self._turns.answer(seat, message):
                self._questions.relay(seat, message)
        if seat.channel.closed:
            self._selector.unregister(seat.channel)

    def _welcome(self, seat: Seat) -> None:
        """Note that a worker serves; its substitute is not needed any more."""
        seat.serving = seat.has_served = True
        if seat.substitute is not None:
            _tell(seat.substitute, {"release": seat.number})
            seat.substitute = None
        self._substitute()
        if not self._announced and all(each.serving for each in self._seats):
            self._announced = True
            log_start(self._settings, *self._footing.ports)

    def _handle(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGHUP:
            self._reload()
        elif self._deadline is None:
            self._drain()
        else:
            self._status = 1
            self._kill()

    def _reload(self) -> None:
        """Have every worker renew what can be; those started later get what is good now."""
        if self._footing.certificate is not None:
            with suppress(CertificateError):  # the workers say it
                self._footing.certificate.reload()
        with suppress(SettingsError):  # they say that as well
            loaded = self._loaded.loader.load()
            # What belongs to all processes, a random secret too, stays as it was.
            self._loaded = replace(loaded, settings=self._settings)
        self._tell_all({"reload": True})

    def _drain(self) -> None:
        log_drain(self._settings)
        self._stop()

    def _stop(self) -> None:
        """Have every worker finish what it has begun."""
        self._deadline = time.monotonic() + self._settings.shutdown_grace + DRAIN_SLACK
        self._tell_all({"drain": True})
        self._footing.close()

    def _cut(self) -> None:
        """Kill who has not ended in time."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            left = [seat.number for seat in self._seats if seat.pid]
            if left:
                _log.warning("workers %s do not end; they are killed", left)
            self._kill()
            self._deadline += DRAIN_SLACK

    def _kill(self) -> None:
        for seat in self._seats:
            if seat.pid:
                os.kill(seat.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Take leave of every process that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for seat in self._seats:
                if seat.pid == pid:
                    self._bury(seat, os.waitstatus_to_exitcode(status))

    def _bury(self, seat: Seat, status: int) -> None:
        """Note that a worker is gone, and have its place filled again."""
        pid = seat.pid
        self._hear(seat)  # what it said last
        if seat.channel is not None and not seat.channel.closed:
            self._selector.unregister(seat.channel)
        self._questions.forget(seat)
        self._turns.leave(seat)
        pause = seat.vacate(time.monotonic())
        if self._deadline is not None:
            return
        if status == MISCONFIGURED and not any(each.has_served for each in self._seats):
            self._status = MISCONFIGURED
            self._stop()
            return
        how = describe_end(status)
        if pause:
            _log.error(
                "worker %d (pid %d) %s, for the %d. time soon after its start; "
                "it is started again in %g seconds",
                seat.number, pid, how, seat.brake.falls, pause,
            )  # fmt: skip
        else:
            _log.error("worker %d (pid %d) %s; it is started again", seat.number, pid, how)
        self._substitute()

    def _substitute(self) -> None:
        """Have the connections of every place where nobody serves taken by somebody who does."""
        serving = [seat for seat in self._seats if seat.serving]
        for seat in self._seats:
            if seat.serving or not seat.has_served or not serving:
                continue
            if seat.substitute is None or not seat.substitute.serving:
                seat.substitute = serving[seat.number % len(serving)]
                _tell(seat.substitute, {"adopt": seat.number})

    def _tell_all(self, message: Message) -> None:
        for seat in self._seats:
            _tell(seat, message)


def _tell(seat: Seat, message: Message) -> None:
    if seat.channel is not None and not seat.channel.send(message):
        _log.warning("worker %d does not take messages", seat.number)
