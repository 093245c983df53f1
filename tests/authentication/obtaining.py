"""Exchanges under way on replicas, and what comes of them."""

from __future__ import annotations

import asyncio

from gateway.errors import (
    InvalidCredentialsError,
    ProviderError,
    TooManyAttemptsError,
)
from tests.fakes.waiting import until


async def outcome_of(task):
    """Return where an entry came from, or the error there was instead."""
    try:
        return (await task)[1]
    except (InvalidCredentialsError, ProviderError, TooManyAttemptsError) as error:
        return type(error)


async def lease_of(replica, **told):
    """Take the lease of an exchange as a leader elsewhere does."""
    ticket = (await replica.look(**told))[1]
    return await replica.flights.lead(replica.exchange(**told).key, ticket)


async def waiting_for(replica, **told):
    """Begin an exchange that another replica leads; return it when it waits."""
    task = asyncio.create_task(replica.obtain(**told))
    await asyncio.sleep(0)
    await until(lambda: replica.flights._waiting)
    return task
