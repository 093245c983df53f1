"""One Redis server, or one primary behind Sentinel, in the shape of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.exceptions import MovedError

    from gateway.token_cache.nodes import Node


class Single:
    """Everything is on the one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def place(self, keys: Sequence[str]) -> dict[Node, list[int]] | None:
        """Return which node has which of the keys."""
        return {self._node: list(range(len(keys)))}

    def moved(self, moved: MovedError) -> Node | None:  # noqa: ARG002 - the cluster's shape
        """Return nothing: a server that is not asked as a cluster has nowhere to send anyone."""
        return None

    def doubt(self) -> None:
        """Do nothing: there is no layout that could be out of date."""

    async def primaries(self) -> list[Node]:
        """Return the node."""
        return [self._node]

    async def next_node(self) -> Node | None:
        """Return the node."""
        return self._node

    async def aclose(self) -> None:
        """Close its connections."""
        await self._node.aclose()
