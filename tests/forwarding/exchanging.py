"""One request and its response, on a connection of a pool."""

from __future__ import annotations

HEAD = b"GET / HTTP/1.1\r\nHost: upstream.test\r\n\r\n"


async def exchange(pool):
    """Send one request and read its response, then give the connection back."""
    connection = pool.find() or await pool.connect()
    connection.start("GET", HEAD, more=False)
    await connection.read_head()
    while await connection.read_body():
        pass
    pool.release(connection)
    return connection
