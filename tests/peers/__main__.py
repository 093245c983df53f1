"""Run one counterpart by hand: ``python -m tests.peers nanoidp``; end it with Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from . import counterparts


def main() -> None:
    """Start the counterpart that the command line names and wait."""
    starters = {
        "httpbin": counterparts.httpbin,
        "nanoidp": counterparts.nanoidp,
        "oidc-provider": counterparts.oidc_provider,
        "redis": counterparts.redis,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counterpart", choices=sorted(starters))
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory() as folder,
        starters[asked.counterpart](Path(folder)) as running,
        contextlib.suppress(KeyboardInterrupt),
    ):
        sys.stdout.write(f"{running}\n")
        sys.stdout.flush()
        signal.pause()


main()
