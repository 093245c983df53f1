"""One of several workers: the gateway, on its own socket of the shared port, under a supervisor.

Rule: a worker that has lost its supervisor ends.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.admin import Answers
from gateway.app import Gateway
from gateway.app.serving import calm_collector
from gateway.app.turns import CrewTurns

if TYPE_CHECKING:
    from gateway.app.channel import Channel, Message
    from gateway.app.supervisor import Post

_log = logging.getLogger(__name__)

REQUEST_WITHIN = 1.0  # seconds the supervisor has to answer


async def serve(post: Post) -> None:
    """Serve until the supervisor says so, or is gone."""
    worker = Worker(post)
    loop = asyncio.get_running_loop()
    loop.add_reader(post.channel.fileno(), worker.hear)
    try:
        async with worker.gateway:
            calm_collector()
            post.channel.send({"serving": True})
            await worker.stop.wait()
            worker.leave_others()
    finally:
        loop.remove_reader(post.channel.fileno())


@dataclass(slots=True)
class _Question:
    """What was asked, and what has been answered; ``count`` is known when it was passed on."""

    count: int | None = None
    retired: str = ""
    values: list[Any] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self) -> None:
        if self.count is not None and len(self.values) >= self.count:
            self.answered.set()


class Crew:
    """The other workers, asked through the supervisor."""

    def __init__(self, channel: Channel, size: int) -> None:
        self.size = size
        self._channel = channel
        # No number comes twice, so that an answer to a predecessor's question is nobody's.
        self._numbers = itertools.count(os.getpid() << 32)
        self._open: dict[int, _Question] = {}

    async def ask(self, question: str, argument: str | None, within: float) -> Answers:
        """Return what the others answer within so many seconds."""
        number = next(self._numbers)
        message = {"ask": number, "question": question, "argument": argument}
        asked = await self._await(number, _Question(), message, within)
        missing = self.size if asked.count is None else asked.count - len(asked.values)
        values = [value for value in asked.values if value is not None]
        return Answers(values, missing, asked.retired)

    async def request(self, message: Message) -> Any:
        """Return what the supervisor itself answers; ``None`` when it does not, in time."""
        number = next(self._numbers)
        asked = _Question(count=1)
        await self._await(number, asked, {**message, "number": number}, REQUEST_WITHIN)
        return asked.values[0] if asked.values else None

    def tell(self, message: Message) -> None:
        """Tell the supervisor something that needs no answer."""
        self._channel.send(message)

    async def _await(
        self, number: int, asked: _Question, message: Message, within: float
    ) -> _Question:
        self._open[number] = asked
        try:
            if self._channel.send(message):
                async with asyncio.timeout(within):
                    await asked.answered.wait()
        except TimeoutError:
            pass
        finally:
            del self._open[number]
        return asked

    def hear(self, message: Message) -> None:
        """Take what the supervisor says about a question; one that was given up is left out."""
        asked = self._open.get(message.get("asked") or message.get("answered") or 0)
        if asked is None:
            return
        if "asked" in message:
            asked.count, asked.retired = message["count"], message["retired"]
        else:
            asked.values.append(message["value"])
        asked.settle()


class Worker:
    """The gateway of one worker, and what the supervisor may tell it."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._crew = Crew(post.channel, post.workers)
        self._tasks: set[asyncio.Task[None]] = set()
        self.stop = asyncio.Event()
        self.gateway = Gateway(
            post.loaded.settings,
            post.loaded.routes,
            post.footing,
            loader=post.loaded.loader,
            seat=post.number - 1,
            crew=self._crew,
            turns=partial(CrewTurns, self._crew),
        )

    def hear(self) -> None:
        """Do what the supervisor says; its end is the end."""
        for message in self._post.channel.receive():
            self._obey(message)
        if self._post.channel.closed and not self.stop.is_set():
            _log.error("the supervisor is gone: draining")
            asyncio.get_running_loop().remove_reader(self._post.channel.fileno())
            self.stop.set()

    def leave_others(self) -> None:
        """Close the sockets of the other workers: who still needs them has them."""
        for seat, sockets in enumerate(self._post.footing.proxy, 1):
            if seat != self._post.number:
                for each in sockets:
                    each.close()

    def _obey(self, message: Message) -> None:
        match message:
            case {"drain": True}:
                self.stop.set()
            case {"reload": True}:
                self.gateway.reloads.start()
            case {"adopt": int(number)}:
                self._begin(self.gateway.adopt(number - 1))
            case {"release": int(number)}:
                self._begin(self.gateway.release(number - 1))
            case {"question": str(question), "argument": argument, "of": of}:
                self._begin(self._answer(question, argument, of))
            case _:
                self._crew.hear(message)

    async def _answer(self, question: str, argument: str | None, of: list[int]) -> None:
        value = await self.gateway.answer(question, argument)
        self._post.channel.send({"answer": of, "question": question, "value": value})

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
