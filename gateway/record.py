"""Records made for each request: frozen for whoever reads and type-checks the code, cheap to make.

A frozen dataclass sets each field through ``object.__setattr__`` and takes several times as long to
make; that was an eighth of a cached request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make ``cls`` a slotted dataclass whose fields the type checker lets nobody assign."""
    return dataclass(slots=True)(cls)
