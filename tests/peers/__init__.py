"""Counterparts no one here wrote, and the gateway run as a process against them."""
