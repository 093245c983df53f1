"""OAuth 2.0, OpenID Connect, JOSE and HTTP-auth syntax: wire to value, value to wire.

Rule: nothing here does I/O or awaits; time is a ``now`` argument.
"""
