"""Signals of the supervisor, as numbers that can be waited for beside everything else."""

from __future__ import annotations

import os
import signal
import socket
from typing import Final

TOLD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class SignalQueue:
    """Signals that have arrived and were not looked at yet."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        for end in (self._reading, self._writing):
            end.setblocking(False)
        for number in TOLD:
            signal.signal(number, _note)
        signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return what to wait on."""
        return self._reading.fileno()

    def take(self) -> bytes:
        """Return the numbers of the signals that have arrived."""
        try:
            return self._reading.recv(4096)
        except BlockingIOError:
            return b""

    def fork(self) -> int:
        """Fork; in the child the signals told to a whole group are ignored from the start."""
        signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for number in TOLD:
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._reading.close()
            self._writing.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
        return pid


def _note(*_: object) -> None:
    """Do nothing: the number is in the queue already."""
