"""Where the lines of a test go."""

from __future__ import annotations

import io

from gateway import logs


class Streams:
    """Streams to configure logging with, and the lines written to them."""

    def __init__(self) -> None:
        self.events = io.StringIO()
        self.access = io.StringIO()

    def configure(self, level: str = "info", log_format: str = "json") -> None:
        """Configure logging to these streams."""
        logs.configure(level, log_format, self.events, self.access)

    def lines(self) -> list[str]:
        """Return the event lines written so far, and end the logging."""
        logs.close()
        return self.events.getvalue().splitlines()

    def access_lines(self) -> list[str]:
        """Return the access lines written so far, and end the logging."""
        logs.close()
        return self.access.getvalue().splitlines()
