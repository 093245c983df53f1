"""Consumers: whom the operator knows by name, and which of them a caller is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.errors import AuthorizationError
from gateway.identity.values import scalar_text
from gateway.oauth.claims import find_claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Consumer:
    """Somebody the operator has listed; what is empty is not told."""

    username: str = ""
    custom_id: str = ""
    id: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Matching:
    """Finds the consumer of a caller: the first of ``claims`` that equals a field of ``by``."""

    claims: tuple[str, ...]
    by: tuple[str, ...]
    optional: bool
    known: Mapping[tuple[str, str], Consumer] = field(repr=False)

    @classmethod
    def of(
        cls,
        consumers: Iterable[Consumer],
        claims: Iterable[str],
        by: Iterable[str],
        *,
        optional: bool,
    ) -> Matching:
        """Return what matches these consumers."""
        fields = tuple(by)
        known = {
            (name, getattr(each, name)): each
            for each in consumers
            for name in fields
            if getattr(each, name)
        }
        return cls(tuple(claims), fields, optional, known)

    def find(self, claims: Mapping[str, Any]) -> Consumer | None:
        """Return the consumer, or ``None`` where that is optional; else raise an error."""
        for path in self.claims:
            text = scalar_text(find_claim(claims, path))
            for name in self.by if text else ():
                found = self.known.get((name, text or ""))
                if found is not None:
                    return found
        if self.optional:
            return None
        raise AuthorizationError("the caller may not do this", cause="no consumer matches")
