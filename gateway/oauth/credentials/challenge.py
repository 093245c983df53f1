"""Challenges: how a 401 says which credentials would do (RFC 9110 §11.6.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import ConfigurationError

_QUOTABLE = re.compile(r"[\t\x20-\x7e]*")  # RFC 9110 §5.6.4, without obs-text
_SPECIAL = re.compile(r'["\\]')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a ``WWW-Authenticate`` field; Basic asks for UTF-8 (RFC 7617 §2.1)."""

    scheme: str
    realm: str
    error: str | None = None
    scope: str | None = None

    def __post_init__(self) -> None:
        if not all(_QUOTABLE.fullmatch(value) for _, value in self._parameters()):
            raise ConfigurationError("a challenge may hold printable ASCII only")

    def write(self) -> str:
        """Write the field value (RFC 7617 §2, RFC 6750 §3)."""
        parameters = ", ".join(f"{name}={_quote(value)}" for name, value in self._parameters())
        return f"{self.scheme} {parameters}"

    def _parameters(self) -> list[tuple[str, str]]:
        charset = "UTF-8" if self.scheme.lower() == "basic" else None
        named = (
            ("realm", self.realm),
            ("charset", charset),
            ("error", self.error),
            ("scope", self.scope),
        )
        return [(name, value) for name, value in named if value is not None]


def _quote(value: str) -> str:
    r"""Write a quoted-string; ``"`` and ``\`` are escaped (RFC 9110 §5.6.4)."""
    return '"' + _SPECIAL.sub(r"\\\g<0>", value) + '"'
