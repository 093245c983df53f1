from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from gateway import logs
from tests.logs.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def streams() -> Iterator[Streams]:
    """Return streams; logging is as before afterwards."""
    root, gateway = logging.getLogger(), logging.getLogger("gateway")
    levels = root.level, gateway.level
    yield Streams()
    logs.close()
    root.setLevel(levels[0])
    gateway.setLevel(levels[1])
