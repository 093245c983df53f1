"""Basic in, Bearer out: a gateway that turns credentials into OpenID Connect tokens.

The journey of a request (the type after each arrow is what the stage returns)::

    bytes        -> RequestHead    request     refuse what can be read two ways
    RequestHead  -> Route          routing     which upstream, which authenticators, which policy
    RequestHead  -> Credentials    oauth       RFC 7617; query and body parameters
    Credentials  -> TokenSet       exchange    token cache, else the provider's token endpoint
    TokenSet     -> Claims         oauth       RFC 7519, keys from the provider's JWK Set
    Claims       -> Permit         authorization
    RequestHead  -> upstream       forwarding  ``Authorization: Bearer`` set, credential gone
"""

__version__ = "0.1.0"
