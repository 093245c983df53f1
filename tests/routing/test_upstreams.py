"""Upstreams."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigurationError
from gateway.routing import Upstream, read_upstream

UPSTREAMS = {
    "http://httpbin": (Upstream("http", "httpbin", 80, b""), b"httpbin"),
    "http://httpbin:8080/": (Upstream("http", "httpbin", 8080, b""), b"httpbin:8080"),
    "https://api.example/v1/": (Upstream("https", "api.example", 443, b"/v1"), b"api.example"),
    "https://api.example:80": (Upstream("https", "api.example", 80, b""), b"api.example:80"),
    "http://[2001:db8::1]:81/a": (Upstream("http", "2001:db8::1", 81, b"/a"), b"[2001:db8::1]:81"),
    "http://unix:8080": (Upstream("http", "unix", 8080, b""), b"unix:8080"),
    "http://unix:/run/app.sock": (
        Upstream("http", "localhost", 80, b"", socket="/run/app.sock"),
        b"localhost",
    ),
    "http://unix:/run/app.sock:/v1/": (
        Upstream("http", "localhost", 80, b"/v1", socket="/run/app.sock"),
        b"localhost",
    ),
    "http://bücher.example": (
        Upstream("http", "xn--bcher-kva.example", 80, b""),
        b"xn--bcher-kva.example",
    ),
}


@pytest.mark.parametrize(("url", "upstream", "host"), [(k, *v) for k, v in UPSTREAMS.items()])
def test_upstream(url, upstream, host):
    """An upstream URL names scheme, host, port and path prefix, and with them the Host field."""
    assert (upstream, host) == (read_upstream(url), read_upstream(url).host_field)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "httpbin",
        "ftp://a",
        "http://",
        "http:///a",
        "http://a:b",
        "http://a:99999",
        "http://a/\u00e9",
        "http://a/ b",
        "http://u:p@a",
        "http://a/?x",
        "http://a/#x",
        "http://a/../b",
        "https://unix:/run/app.sock",
        "http://unix:/",
        "http://unix:/run/",
        "http://unix:/run/app.sock:",
        "http://unix:/run/app.sock:v1",
        "http://unix:/run/app.sock:/../a",
        "http://unix:/run/app.sock?x",
        "http://" + "\u00fc" * 64,
    ],
)
def test_no_upstream(url):
    """What is not the URL of an upstream is a configuration error."""
    with pytest.raises(ConfigurationError):
        read_upstream(url)
