"""The table of settings for people, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from gateway.settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

_REQUIRED: Final = {"issuer", "upstream_url"}
_COMPUTED: Final = {
    "cache_secret": "random",
    "log_format": "see right",
    "client_auth": "see right",
    "client_alg": "see right",
}


def settings_table(unsupported: Iterable[str]) -> str:
    """Return setting, default and meaning of each setting, those of a later version last."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{name.upper()}` | {_default(name, field)} | {field.description} |")
    rows += [
        f"| `{name.upper()}` | | Not supported by this version; refused when set. |"
        for name in unsupported
    ]
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
