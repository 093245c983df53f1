"""Redis as everything here reaches it: bounded calls that fail quietly.

Rule: Redis is never the reason a request fails. Each call ends within its timeout, a failure is
``None``, and after one a server is left alone for a while and then asked once; one that said
nothing is asked in the background, so that no request waits for it twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
)

from gateway.metrics import REDIS_FAILURES
from gateway.token_cache.address import read_redis_url
from gateway.token_cache.cluster import Cluster
from gateway.token_cache.nodes import MAX_CONNECTIONS, Node, ask, direct, through_sentinel
from gateway.token_cache.outage import PAUSE
from gateway.token_cache.single import Single

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from redis.asyncio import Redis

TIMEOUT: Final = 0.25
READING: Final = "reading"
WRITING: Final = "writing"
LOCKING: Final = "locking"
PUBLISHING: Final = "publishing"
SCANNING: Final = "scanning"

# Errors that are about one key or one script, not about what is asked for in general.
_OF_ONE_KEY: Final = ("WRONGTYPE", "TRYAGAIN")
_SCAN_COUNT: Final = 500


class Command(NamedTuple):
    """One command, and the key that decides which node of a cluster it is for."""

    key: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A script Redis runs as one step, and what it is for."""

    text: str
    purpose: str
    digest: str

    @classmethod
    def of(cls, text: str, purpose: str) -> Script:
        """Return the script with its digest, by which Redis remembers it."""
        return cls(text, purpose, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class _Refused(Exception):  # noqa: N818 - not an error of ours: carries the answer
    """The server answers and does not do what was asked."""

    def __init__(self, answer: ResponseError) -> None:
        super().__init__()
        self.answer = answer


class Link:
    """The way to Redis, wherever it is; may be used by many at once."""

    def __init__(self, servers: Single | Cluster, timeout: float) -> None:
        self._servers = servers
        self._timeout = timeout
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        self._probes: set[asyncio.Task[list[Any] | None]] = set()
        self.failures = 0  # calls that failed or were refused

    @classmethod
    def connect(cls, url: str, *, timeout: float = TIMEOUT, pause: float = PAUSE) -> Link:
        """Return the link to this URL; the first connection is made when it is first used."""
        address = read_redis_url(url)
        if address.kind == "cluster":
            return cls(Cluster(address, timeout, pause), timeout)
        if address.kind == "sentinel":
            client = through_sentinel(address, timeout)
        else:
            client = direct(address.options, timeout, *address.nodes)
        return cls(Single(Node(client, "Redis", timeout, pause)), timeout)

    async def find(self, names: Sequence[str]) -> list[bytes | None] | None:
        """Return the value of each name; what is not a string counts as nothing there."""
        if not names:
            return []
        if isinstance(self._servers, Single):
            answers = await self.send([Command(names[0], ("MGET", *names))], READING)
            found = answers[0] if answers else None
            if not isinstance(found, list) or len(found) != len(names):
                return None
        else:
            found = await self.send([Command(name, ("GET", name)) for name in names], READING)
            if found is None:
                return None
        return [value if isinstance(value, bytes) else None for value in found]

    async def send(self, commands: Sequence[Command], purpose: str) -> list[Any] | None:
        """Return the answer to each command; an error that concerns one key alone is its answer.

        Commands for one node travel together and in this order; ``None`` is a failure of any.
        """
        placed = await self._place([command.key for command in commands])
        if placed is None:
            return None
        answers: list[Any] = [None] * len(commands)
        parts = [
            self._exchange(node, [(index, commands[index]) for index in indices], purpose, answers)
            for node, indices in placed.items()
        ]
        done = [await parts[0]] if len(parts) == 1 else await asyncio.gather(*parts)
        return answers if all(done) else None

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Return what a script returns, whose keys have one slot; None when it did not run."""
        asked = (len(keys), *keys, *arguments)
        answer: Any = None
        for start in (("EVALSHA", script.digest), ("EVAL", script.text)):
            answers = await self.send([Command(keys[0], (*start, *asked))], script.purpose)
            answer = answers and answers[0]
            if not isinstance(answer, NoScriptError):
                break
        return None if isinstance(answer, ResponseError) else answer

    async def _place(self, keys: Sequence[str]) -> dict[Node, list[int]] | None:
        try:
            async with asyncio.timeout(self._timeout):
                placed = await self._servers.place(keys)
        except TimeoutError:
            placed = None
        if placed is None:
            self._count()
        return placed

    async def _exchange(
        self, node: Node, numbered: list[tuple[int, Command]], purpose: str, answers: list[Any]
    ) -> bool:
        """Put a node's answers where they belong; tell whether all of them are answers."""
        commands = [command for _, command in numbered]
        received = await self.call(node, lambda client: _send(client, commands), purpose)
        if received is None:
            return False
        good = True
        for (index, command), answer in zip(numbered, received, strict=True):
            answers[index] = answer
            if isinstance(answer, MovedError):
                answers[index] = await self._follow(answer, command, purpose)
                good = good and answers[index] is not None
        return good

    async def _follow(self, moved: MovedError, command: Command, purpose: str) -> Any:
        """Send a command once more, to the node that has its slot now."""
        node = self._servers.moved(moved)
        if node is None:
            return None
        received = await self.call(node, lambda client: _send(client, [command]), purpose)
        again = received and received[0]
        return None if isinstance(again, MovedError) else again

    async def call(
        self, node: Node, call: Callable[[Redis], Awaitable[list[Any]]], purpose: str
    ) -> list[Any] | None:
        """Make one bounded call; None stands for every failure.

        A cancelled or timed-out call closes its connection (redis-py does it in
        ``read_response``), so no later call can be handed this one's answer (CVE-2023-28858).
        """
        now = asyncio.get_running_loop().time()
        if node.refusal(purpose).rests(now) or node.outage.rests(now):
            return None
        if node.outage.silent:  # nobody waits again to learn that it still is
            self._probe(node)
            return None
        return await self._call(node, call, purpose)

    def _probe(self, node: Node) -> None:
        probe = asyncio.create_task(self._call(node, _asking(("PING",)), READING))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)

    async def _call(
        self, node: Node, call: Callable[[Redis], Awaitable[list[Any]]], purpose: str
    ) -> list[Any] | None:
        now = asyncio.get_running_loop().time
        refusal = node.refusal(purpose)
        try:
            async with asyncio.timeout(self._timeout), self._turns:
                answers = await call(node.client)
            _raise_first(answers)
        except _Refused as exc:
            self._count()
            node.outage.ended()
            refusal.failed(now(), exc.answer)
            if isinstance(exc.answer, ReadOnlyError):
                await node.drop_idle()  # after a failover the name leads elsewhere
            return None
        except Exception as exc:  # noqa: BLE001 - whatever it is, and whatever answers, it is a miss
            self._count()
            node.outage.failed(now(), exc)
            self._servers.doubt()
            await node.drop_idle()  # what hangs once hangs on each of them
            return None
        node.outage.ended()
        refusal.ended()
        return answers

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """Yield the names that match, in batches, of every primary; ends early on a failure."""
        for node in await self._servers.primaries():
            cursor: Any = 0
            while True:
                asked = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT)
                answers = await self.call(node, _asking(asked), SCANNING)
                if answers is None or not isinstance(answers[0], (tuple, list)):
                    break
                cursor, names = answers[0]
                yield [n.decode("ascii", "replace") for n in names if isinstance(n, bytes)]
                if not int(cursor):
                    break

    async def publish(self, channel: str, message: bytes) -> bool:
        """Publish to every listener there is, on whichever node; tell whether Redis took it."""
        for node in await self._servers.primaries():
            asked = ("PUBLISH", channel, message)
            if await self.call(node, _asking(asked), PUBLISHING) is not None:
                return True
        return False

    async def listening_node(self) -> Node | None:
        """Return a node to listen at: another one each time, where there are several."""
        return await self._servers.next_node()

    async def ping(self) -> bool:
        """Tell whether Redis answers; False at once while it is left alone."""
        for node in await self._servers.primaries():
            if await self.call(node, _asking(("PING",)), READING) is not None:
                return True
        return False

    async def drop_idle(self) -> None:
        """Close the connections nobody uses."""
        for node in await self._servers.primaries():
            await node.drop_idle()

    async def aclose(self) -> None:
        """Close every connection; afterwards nothing may be asked."""
        await asyncio.gather(*self._probes)  # each ends within its timeout
        await self._servers.aclose()

    def _count(self) -> None:
        self.failures += 1
        REDIS_FAILURES.inc()


def _asking(arguments: tuple[Any, ...]) -> Callable[[Redis], Awaitable[list[Any]]]:
    async def call(client: Redis) -> list[Any]:
        return [await ask(client, *arguments)]

    return call


async def _send(client: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send the commands in one go; an error is an answer, a broken connection raises."""
    if len(commands) == 1:
        try:
            return [await ask(client, *commands[0].arguments)]
        except ResponseError as exc:
            return [exc]
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command.arguments)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers


def _raise_first(answers: Sequence[Any]) -> None:
    """Raise for the first error that is about the server, and not about one key alone."""
    for answer in answers:
        if isinstance(answer, ClusterDownError):
            raise answer
        if isinstance(answer, ResponseError) and not (
            isinstance(answer, (AskError, NoScriptError)) or str(answer).startswith(_OF_ONE_KEY)
        ):
            raise _Refused(answer)
