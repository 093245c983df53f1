"""Questions of one worker to the others, passed on by the supervisor: it alone knows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.metrics import merge_pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.app.channel import Message
    from gateway.app.seats import Seat

METRICS = "metrics"  # the question the supervisor listens to: its answers outlive the workers


class Questions:
    """The questions that are open; whoever was asked and is gone has nothing to say."""

    def __init__(self, seats: Sequence[Seat]) -> None:
        self._seats = seats
        self._open: dict[tuple[int, int], set[int]] = {}  # by asker and number: who has to answer
        self._retired = ""  # the numbers of workers that are gone, added up

    def relay(self, seat: Seat, message: Message) -> None:
        """Pass on a question to everybody else who serves, or an answer to who asked."""
        if "ask" in message:
            self._ask(seat, message)
        elif "answer" in message:
            asker, number = message["answer"]
            if seat.number in self._open.get((asker, number), ()):
                self._seen(seat, message["question"], message["value"])
                self._answer(asker, number, seat.number, message["value"])

    def forget(self, seat: Seat) -> None:
        """Note that a worker is gone: its questions, those it has not answered, what it counted.

        Of that, what somebody has been shown is kept, so that no sum ever falls.
        """
        if seat.page:
            self._retired = merge_pages([self._retired, seat.page], gauges=False).decode()
        for asker, number in [key for key in self._open if key[0] == seat.number]:
            del self._open[asker, number]
        for (asker, number), asked in list(self._open.items()):
            if seat.number in asked:
                self._answer(asker, number, seat.number, None)

    def _ask(self, seat: Seat, message: Message) -> None:
        question, argument = message["question"], message.get("argument")
        self._seen(seat, question, argument)
        key = (seat.number, message["ask"])
        asked = {
            each.number
            for each in self._seats
            if each.serving
            and each is not seat
            and each.channel is not None
            and each.channel.send({"question": question, "argument": argument, "of": key})
        }
        if asked:
            self._open[key] = asked
        serving = sum(each.serving for each in self._seats if each is not seat)
        self._send(
            seat.number,
            {"asked": message["ask"], "count": serving, "retired": self._retired},
        )

    def _seen(self, seat: Seat, question: str, value: Any) -> None:
        if question == METRICS and isinstance(value, str):
            seat.page = value

    def _answer(self, asker: int, number: int, answering: int, value: Any) -> None:
        asked = self._open[asker, number]
        asked.discard(answering)
        if not asked:
            del self._open[asker, number]
        self._send(asker, {"answered": number, "value": value})

    def _send(self, number: int, message: Message) -> None:
        channel = self._seats[number - 1].channel
        if channel is not None:
            channel.send(message)
