"""The request sent on to the upstream, and its response streamed back (RFC 9110 §7.6)."""
