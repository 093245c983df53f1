"""The JSON Schema of the configuration file, for editors that complete it.

Rule: what the file may hold is said by the models alone; this only says it in another language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.settings.document import PROVIDERS, ROUTES
from gateway.settings.model import Settings
from gateway.settings.model.routes import ProviderSettings, RouteSettings
from gateway.settings.nodes import LISTINGS, MAPPINGS
from gateway.settings.sources import SECRETS

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXTS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}  # read as text, like all values
_KEPT: Final = frozenset(
    {"type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)


def file_schema() -> Schema:
    """Return the JSON Schema of the configuration file."""
    schema = _object(Settings)
    provider, route = _object(ProviderSettings), _object(RouteSettings)
    schema["properties"] |= {
        PROVIDERS: {
            "type": "object",
            "additionalProperties": provider,
            "description": "Providers beside that of `issuer`, each under a name for `provider`.",
        },
        ROUTES: {
            "type": "array",
            "items": {**route, "required": ["name"]},
            "description": "Routes; the first one that takes a request has it.",
        },
    }
    return {"$schema": _DIALECT, "title": "bearergate configuration", **schema}


def _object(model: type[BaseModel]) -> Schema:
    written = model.model_json_schema()
    properties = {}
    for name, field in model.model_fields.items():
        value = _value(name, written["properties"][name], written.get("$defs", {}))
        properties[name] = {**value, "description": field.description or ""}
        if name in SECRETS:
            properties[f"{name}_file"] = {
                "type": "string",
                "description": f"Path of a file that holds `{name}`.",
            }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value(name: str, said: Schema, known: Schema) -> Schema:
    """Return what a value looks like in the file, where lists may be one text with commas."""
    if "anyOf" in said:  # to leave it out is none
        ways = [each for each in said["anyOf"] if each.get("type") != "null"]
        if len(ways) > 1:
            return {"anyOf": [_TEXTS, {"type": "string"}]}
        said = ways[0]
    said = _resolved(said, known)
    if said.get("type") != "array":
        return {key: value for key, value in said.items() if key in _KEPT}
    if name in SECRETS:
        return {"type": "string"}
    items = _resolved(said.get("items", {}), known)
    if name in LISTINGS:
        members = {key: {"anyOf": [{"type": "string"}, _TEXTS]} for key in items["properties"]}
        one = {"type": "object", "properties": members, "additionalProperties": False}
        return {"type": "array", "items": one}
    texts = {"type": "array", "items": {"enum": items["enum"]}} if "enum" in items else _TEXTS
    ways = [texts, {"type": "string"}]
    if name in MAPPINGS:
        member = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}
        ways.append({"type": "object", "additionalProperties": member})
    return {"anyOf": ways}


def _resolved(said: Schema, known: Schema) -> Schema:
    if "$ref" not in said:
        return said
    found: Schema = known[said["$ref"].rpartition("/")[2]]
    return found
