"""Counterparts on loopback: real sockets, real keys, and misbehaviour on request."""
