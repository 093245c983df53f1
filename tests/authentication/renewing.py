"""Replicas that renew, and what they have renewed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from gateway.authentication.renewal import DUE
from gateway.metrics import RENEWALS

USERS = {"john": "doe"} | {f"user{n}": "p" for n in range(40)}


@asynccontextmanager
async def running(*replicas):
    """Have these replicas renew what is due."""
    tasks = [asyncio.create_task(each.renewer.run()) for each in replicas]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def used(one, name="john"):
    """Log in and use the entry, as every request does; return it."""
    entry, _ = await one.obtain(user=name, password=USERS[name])
    entry.used = True
    return entry


def pass_time(*replicas, part=DUE[1]):
    """Let so much of an entry's life of 290 seconds go by."""
    for one in replicas:
        one.clock.ahead += 290 * part + 1


def renewals(provider):
    """Return the users whose tokens were renewed, in order."""
    return [call.form["refresh_token"] for call in provider.token_calls
            if call.grant_type == "refresh_token"]  # fmt: skip


def counted(outcome):
    """Return how many renewals have ended this way."""
    return RENEWALS.labels(outcome)._value.get()
