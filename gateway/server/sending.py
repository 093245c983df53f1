"""The head of what is sent to the upstream, for a request that may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.authentication.preflight import WITHHELD
from gateway.forwarding.headers import NOTHING, write_request_head

if TYPE_CHECKING:
    from gateway.forwarding.headers import Forwarded
    from gateway.pipeline import Admission
    from gateway.request import RequestHead


def write_admitted_head(
    head: RequestHead, admission: Admission, forwarded: Forwarded, length: int | None
) -> bytes:
    """Return the head of the upstream request; a body of length ``None`` is chunked."""
    authentication = admission.authentication
    target = admission.preflight or (authentication.target if authentication else head.target)
    return write_request_head(
        head,
        admission.route.upstream,
        forwarded,
        target=target,
        access_token=admission.access_token,
        body_length=length,
        drop_referer=target is not head.target,
        withheld=WITHHELD if admission.preflight else NOTHING,
        reserved=admission.route.reserved,
        told=admission.told.upstream if admission.told else b"",
    )
