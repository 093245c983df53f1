"""Field names: every spelling of one is that name, and some are not an operator's to set."""

from __future__ import annotations

import re
from functools import lru_cache

_NOT_ALPHANUMERIC = re.compile(rb"[^a-z0-9]+")

# What the gateway says itself, and what HTTP gives a meaning that no claim may change.
_MANAGED = re.compile(
    rb"connection|keep-alive|proxy(-.*)?|te|trailer|transfer-encoding|upgrade|http2-settings"
    rb"|host|expect|via|date|age|authorization|www-authenticate|authentication-info"
    rb"|cookie|set-cookie2?|origin|referer|range|location|server|allow|vary|etag|expires|pragma"
    rb"|last-modified|cache-control|clear-site-data|strict-transport-security|alt-svc"
    rb"|(content|accept|access-control|sec|if|cf|cdn)-.*|accept"
    rb"|forwarded|x-forwarded(-.*)?|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip"
    rb"|x-original-.*|x-rewrite-url|x-envoy-.*|x-request-id|x-http-method(-override)?"
    rb"|x-method-override|x-accel-.*|x-sendfile"
    rb"|x-consumer-(id|username|custom-id|groups)|x-credential-identifier|x-anonymous-consumer"
    rb"|x-authenticated-(scope|userid|groups)"
)


@lru_cache(maxsize=4096)
def plain_name(name: bytes) -> bytes:
    """Return the one spelling that stands for all of a field name.

    Some servers read every character that is no letter or digit, and runs of them, as one dash.
    """
    return _NOT_ALPHANUMERIC.sub(b"-", name.lower()).strip(b"-")


def is_managed(name: str) -> bool:
    """Tell whether no setting may choose this field, because it means something already."""
    return _MANAGED.fullmatch(plain_name(name.encode())) is not None
