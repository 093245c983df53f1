"""The credentials of a caller's request, wherever it carries them.

Header field: RFC 7617.
Query and body parameters: RFC 6749 §2.3.1 and §4.3.2.
Rule: what two readers could read differently is refused, never guessed.
"""

from gateway.oauth.credentials.basic import read_authorization
from gateway.oauth.credentials.bearer import read_basic_token, read_bearer, read_token_field
from gateway.oauth.credentials.carrier import body_carrier
from gateway.oauth.credentials.challenge import Challenge
from gateway.oauth.credentials.json_body import read_json, read_token_json
from gateway.oauth.credentials.pair import (
    MAX_BODY_BYTES,
    Credentials,
    Extraction,
    Kind,
    Place,
    TokenExtraction,
    names_of,
    require_token,
)
from gateway.oauth.credentials.parameters import (
    MAX_FIELDS,
    read_form,
    read_parameters,
    read_query,
    read_token_form,
    read_token_query,
    remove_parameters,
)

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_FIELDS",
    "Challenge",
    "Credentials",
    "Extraction",
    "Kind",
    "Place",
    "TokenExtraction",
    "body_carrier",
    "names_of",
    "read_authorization",
    "read_basic_token",
    "read_bearer",
    "read_form",
    "read_json",
    "read_parameters",
    "read_query",
    "read_token_field",
    "read_token_form",
    "read_token_json",
    "read_token_query",
    "remove_parameters",
    "require_token",
]
