"""``bearergate demo``: the gateway between a real provider and an echoing upstream, on loopback."""

from __future__ import annotations

from gateway.demo.demonstration import DemoOptions, run

__all__ = ["DemoOptions", "run"]
