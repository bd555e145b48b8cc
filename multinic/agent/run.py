"""The agent from its start to its end."""

from __future__ import annotations

import importlib
import os
import pkgutil
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NoReturn

from multinic.agent import counted, memory
from multinic.agent.alone import only_agent
from multinic.agent.health import Metrics, health, only_metrics
from multinic.agent.loop import Configure, Loop
from multinic.host import ending, serve
from multinic.host.log import Log
from multinic.host.notify import Supervisor
from multinic.host.serve import Answer
from multinic.kernel.pyroute import iproute
from multinic.values.errors import Exit
from multinic.values.settings import Settings

_ROOMS = ("database", "kernel", "state", "backend", "change", "report", "flow", "decide", "values")
_FOR_PEOPLE = "multinic.report.show"  # tables on a terminal: 5 MB that no pass needs
_GOOD_BYE = 2.0  # seconds that the thread of HTTP has to end


def run(configure: Configure) -> NoReturn:
    """Run passes and answer HTTP until SIGTERM or SIGINT; then end with 0, with no change half done.

    Raises ConfigError for settings that cannot be used, a port that is taken, and a timer that runs the
    passes already; Locked if another agent runs.
    """
    configured = configure()
    supervisor = Supervisor(os.environ)
    try:
        with ExitStack() as stack:
            stack.enter_context(only_agent(configured.host, configured.settings.listen))
            listening = stack.enter_context(_listening(configured.settings))
            _settle_in()
            metered = counted.Counted(configured.host) if counted.available() else None
            loop = Loop(configure, configured, supervisor, metered.after_pass if metered else None)
            metrics = partial(_metrics, metered, loop) if metered else None
            stack.callback(loop.close)
            stack.enter_context(_answering(_answers(listening, loop, metrics), configured.log))
            stack.callback(supervisor.stopping)
            ending.in_order(loop.reload_soon)
            loop.run()
    except (SystemExit, KeyboardInterrupt):  # only a signal raises one
        configured.log.info("the agent ends")
    sys.exit(Exit.OK)


@contextmanager
def _listening(settings: Settings) -> Iterator[dict[str, socket.socket]]:
    """Open the listeners, by the last word of their setting. Raises ConfigError."""
    wanted = {"listen": settings.listen, "metrics_listen": settings.metrics_listen}
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(serve.listen(address, f"agent.{name}"))
            for name, address in wanted.items()
            if address
        }


def _metrics(metered: counted.Counted, loop: Loop) -> bytes:
    return metered.exposition(loop.seen.state)


def _answers(
    listening: Mapping[str, socket.socket], loop: Loop, metrics: Metrics | None
) -> dict[socket.socket, Answer]:
    answers = {
        "listen": health(lambda: loop.seen, loop.heart, metrics),
        "metrics_listen": only_metrics(metrics),
    }
    return {listener: answers[name] for name, listener in listening.items()}


@contextmanager
def _answering(answers: Mapping[socket.socket, Answer], log: Log) -> Iterator[None]:
    """Answer HTTP in a thread during the block."""
    stopped, stop = socket.socketpair()
    thread = threading.Thread(target=_answer, args=(answers, stopped, log), daemon=True, name="http")
    if answers:
        thread.start()
    try:
        yield
    finally:
        stop.close()  # `stopped` can be read now
        if answers:
            thread.join(_GOOD_BYE)


def _answer(answers: Mapping[socket.socket, Answer], stopped: socket.socket, log: Log) -> None:
    while True:
        try:
            return serve.serve(answers, idle=None, stop=stopped)
        except Exception as e:  # noqa: BLE001, PERF203 - a bug there must not make a good host look dead
            log.error(f"HTTP: unexpected error: {type(e).__name__}: {e}", reason="unexpected-error")
            time.sleep(1)


def _settle_in() -> None:
    """Get ready for a long life: import what a pass may need, and keep the memory small.

    What is imported now fits together; files that an update replaces later do not.
    """
    for room in _ROOMS:
        package = importlib.import_module(f"multinic.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"multinic.{room}."):
            if module.name != _FOR_PEOPLE:
                importlib.import_module(module.name)
    importlib.import_module("jinja2")
    iproute()
    memory.bound()
