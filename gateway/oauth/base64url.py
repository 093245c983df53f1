"""Base64url without padding, one spelling per value (RFC 7515 §2, RFC 4648 §5, §3.5).

Rule: what decodes here encodes back to the same characters, so a value has one spelling only.
"""

from __future__ import annotations

import base64


def encode(data: bytes) -> str:
    """Write ``data`` without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Read the canonical spelling; padding, other alphabets and stray bits raise ``ValueError``."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data
