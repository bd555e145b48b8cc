"""Serve the dashboard until a signal ends it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from multinic.dashboard.options import Options
from multinic.host import notify, serve
from multinic.host.log import Log
from multinic.values.errors import ConfigError

CONNECTIONS_MAX = 512
"""Connections at once; who comes then gets 503."""
HEAD_MAX = 16384
"""Bytes of a request before its body."""


def run(options: Options, log: Log, ready: Callable[[], object] = lambda: None) -> None:
    """Answer until SIGTERM or SIGINT. Raises ConfigError if the extra is missing or the port is taken.

    `ready` is called when requests are taken.
    """
    try:
        import uvicorn

        from multinic.dashboard.patience import Patience
        from multinic.dashboard.web import Dashboard
    except ImportError as e:
        if e.name is None or e.name.partition(".")[0] == "multinic":
            raise
        raise ConfigError(
            f"this multinic has no dashboard: the library {e.name} is missing",
            "pip install 'multinic[dashboard]'",
        ) from None
    dashboard = Dashboard(options, log)
    listening = serve.listen(options.listen, "dashboard.listen")
    config = uvicorn.Config(
        dashboard.gate,
        http=Patience,
        access_log=False,
        log_config=None,
        lifespan="off",
        proxy_headers=False,  # ours looks at the one header, and from named proxies alone
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEAD_MAX,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=5,
    )
    where = f"http://{options.listen}{options.prefix}/"
    log.info(f"the dashboard answers at {where}")
    if not options.token and not options.user_header and not _is_loopback(options.listen):
        log.warning(
            f"everybody who reaches {options.listen} may read the fleet",
            hint="set dashboard.token_file, or put a proxy that asks who it is in front of it",
        )
    notify.Supervisor(os.environ).ready(f"answers at {where}")
    ready()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        dashboard.close()
        listening.close()


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0]
    return host == "localhost" or host.startswith("127.") or host == "[::1]"
