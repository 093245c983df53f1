"""How rules about any claim are written: in one line of the environment, or as a mapping.

Rule: what cannot be read is refused, so that no rule is left out unseen.
"""

from __future__ import annotations

from typing import Any

from gateway.settings.values import split_list


def read_claim_rules(value: Any) -> Any:
    """Return the claims and their values: ``name=value|value,name=~pattern,name``, or a mapping.

    Every entry is a rule of its own; in a mapping a value may hold commas and bars.
    """
    if isinstance(value, dict):
        return tuple((_claim(name), _alternatives(said)) for name, said in value.items())
    entries = split_list(value)
    if not isinstance(entries, tuple) or not all(isinstance(entry, str) for entry in entries):
        return entries
    if not entries and value:
        raise ValueError("write at least one claim, or leave the setting out")
    rules = (entry.partition("=") for entry in entries)
    return tuple(
        (_claim(name), _alternatives(said.split("|") if equals else None))
        for name, equals, said in rules
    )


def _claim(name: Any) -> str:
    claim = str(name).strip()
    if not claim or not claim.isprintable() or " " in claim:
        raise ValueError("write it as claim=value, with the name or dotted path of a claim")
    return claim


def _alternatives(said: Any) -> tuple[str, ...]:
    """Return the values of a rule, none for one that asks for nothing but the claim."""
    if said in (None, ""):
        return ()
    values = [said] if isinstance(said, str) else said
    if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
        raise ValueError("write the values of a claim as text")
    stripped = tuple(one.strip() for one in values)
    if not all(stripped) or "~" in stripped:
        raise ValueError("a value of a claim is empty; leave out the = if any value will do")
    return stripped
