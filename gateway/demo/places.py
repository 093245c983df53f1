"""Which loopback ports the demo's four listeners take."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.demo.children import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST: Final = "127.0.0.1"
DEFAULTS: Final = {"gateway": 8000, "admin": 8001, "provider": 9001, "upstream": 9002}


@dataclass(frozen=True, slots=True)
class Places:
    """The ports of the demo."""

    gateway: int
    admin: int
    provider: int
    upstream: int

    def url(self, name: str) -> str:
        """Return the URL of one of the four, without a final slash."""
        return f"http://{HOST}:{getattr(self, name)}"


def choose_places(
    defaults: Mapping[str, int] = DEFAULTS, **wanted: int | None
) -> tuple[Places, tuple[str, ...]]:
    """Choose free ports and say which defaults were taken; one that was asked for must be free."""
    with contextlib.ExitStack() as held:
        chosen: dict[str, int] = {}
        notices: list[str] = []
        for name, default in defaults.items():
            asked = wanted.get(name)
            try:
                chosen[name] = _hold(held, default if asked is None else asked)
            except (OSError, OverflowError) as exc:
                if asked is not None:
                    raise DemoError(f"{name}: port {asked} cannot be used: {exc}") from exc
                chosen[name] = _hold(held, 0)
                notices.append(f"Port {default} is taken; the {name} uses {chosen[name]} instead.")
    return Places(**chosen), tuple(notices)


def _hold(held: contextlib.ExitStack, port: int) -> int:
    """Bind the port until all are chosen, so that no two get the same; return its number."""
    holder = held.enter_context(socket.socket())
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers themselves do
    holder.bind((HOST, port))
    number: int = holder.getsockname()[1]
    return number
