"""The proxies the gateway is measured beside; to add one, describe it here and in configs/."""

from __future__ import annotations

from tests.benchmarks.programs import Peer
from tests.benchmarks.site import NGINX

NGINX_COMMAND = ("@program@", "-p", "@folder@", "-e", "@folder@/nginx.log", "-c", "@config@")

PEERS = (
    Peer(
        "nginx",
        "nginx `proxy_pass`",
        NGINX,
        files=("nginx.conf",),
        command=NGINX_COMMAND,
    ),
)
