"""The table of settings for people, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from gateway.settings.model import Settings
from gateway.settings.model.provider import Registration
from gateway.settings.model.routes import ProviderSettings, RoutePlace, RouteSettings
from gateway.settings.sources import SECRETS

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_REQUIRED: Final = {"issuer", "upstream_url", "name"}
_COMPUTED: Final = {
    "cache_secret": "random",
    "log_format": "see right",
    "client_auth": "see right",
    "client_alg": "see right",
}


def settings_table() -> str:
    """Return setting, default and meaning of each setting."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{name.upper()}` | {_default(name, field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def key_tables() -> dict[str, str]:
    """Return the tables of the file's keys: of the gateway, of a provider and of a route."""
    place = RoutePlace.model_fields.keys() - Settings.model_fields.keys()
    return {
        "gateway": _keys(Settings, Settings.model_fields),
        "provider": _keys(ProviderSettings, Registration.model_fields),
        "route": _keys(RouteSettings, place),
    }


def _keys(model: type[BaseModel], own: Collection[str]) -> str:
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    for name, field in model.model_fields.items():
        default = _default(name, field) if name in own else "as for the gateway"
        rows.append(f"| `{name}` | {default} | {field.description} |")
        if name in SECRETS:
            rows.append(f"| `{name}_file` | empty | Path of a file that holds `{name}`. |")
    return "\n".join(rows) + "\n"


def _default(name: str, field: FieldInfo) -> str:
    if name in _REQUIRED:
        return "required"
    if name in _COMPUTED:
        return _COMPUTED[name]
    text = _text(field.default)
    return f"`{text}`" if text else "empty"


def _text(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple():
            return ",".join(map(_text, value))
        case None | SecretStr():
            return ""
        case _:
            return str(value)
