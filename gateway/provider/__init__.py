"""The OpenID Provider over HTTP: its metadata, its keys, its token endpoint."""
