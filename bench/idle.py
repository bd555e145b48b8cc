"""What an idle pass costs: `multinic reconcile` on a converged host with ten links, beside its imports.

    python bench/idle.py [RUNS] [PODS] [ROUTES]

In a network namespace of its own, with a private MariaDB inside it: ten links are configured, then
the same pass is run again and again, in turn with `python -I -c "import click, pymysql"`. With PODS and
ROUTES the namespace has as many links of others and routes, and a row uses policy routing. The
figures are the CPU time (user and system) of the process and all its children. They vary from
machine to machine; the ratio should not. A full pass looks at everything although nothing has
changed, as one does every five minutes.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import note  # noqa: E402
from tests.mariadb import PrivateMariaDB  # noqa: E402
from tests.namespaces import Namespace  # noqa: E402
from tests.schemas import CONTROLLER  # noqa: E402

MAC = "fa:16:3e:00:00:{:02x}"
TRUSTED = "run/multinic/converged"  # without it a pass looks at everything, as it does every five minutes

# What pip writes for a console script. -I: nothing of the caller's environment or directory is imported.
SCRIPT = """\
#!{python} -I
import sys
sys.path.insert(0, {site!r})
from multinic.cli.start import main
sys.exit(main())
"""


def main() -> None:
    """Prepare a host, then measure inside its namespace."""
    if sys.argv[1:2] == ["--inside"]:
        inside(json.loads(sys.argv[2]))
        return
    runs, pods, routes = (int(word) for word in [*sys.argv[1:], *["40", "0", "0"][len(sys.argv) - 1 :]])
    with Namespace() as namespace, PrivateMariaDB() as server, tempfile.TemporaryDirectory() as directory:
        server.start(namespace.prefix, port=3306)
        program, how = installed(Path(directory))
        fill(server)
        for number in range(10):
            namespace.plug(f"eth{number}", MAC.format(number))
        root = configured(Path(directory) / "host")
        if pods or routes:
            crowd(namespace, server, pods, routes)
        settings = str(root / "etc/multinic/multinic.toml")
        command = [*program, "reconcile"]
        os.environ.update(MULTINIC_CONFIG=settings, MULTINIC_ROOT=str(root))
        for _ in range(3):  # the first configures the links, the next finds that all is well
            namespace.run(*command)
        with server.statements("node") as statements:
            namespace.run(*command)
        print(f"multinic is {how}; {pods} links of pods, {routes} routes")
        print(f"statements that the server receives in an idle pass: {len(statements)}")
        job = {"command": command, "trusted": str(root / TRUSTED), "runs": runs, "crowd": [pods, routes]}
        measured = namespace.run(sys.executable, __file__, "--inside", json.dumps(job), timeout=3600)
        print(measured.stdout, end="")


def installed(directory: Path) -> tuple[list[str], str]:
    """Return how to start multinic as a timer would: from a directory of its own, compiled to bytecode."""
    site, script = directory / "site", directory / "multinic"
    shutil.copytree(ROOT / "multinic", site / "multinic", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "templates", site / "multinic" / "templates")
    compileall.compile_dir(site, quiet=1)
    script.write_text(SCRIPT.format(python=sys.executable, site=str(site)))
    script.chmod(0o755)
    python = f"Python {sys.version.split()[0]}"
    return [str(script)], f"this work tree, laid out as in its wheel, started by a console script of {python}"


def fill(server: PrivateMariaDB) -> None:
    """Make the controller's tables with ten rows of this node and a hundred of others, and a user."""
    server.execute("CREATE DATABASE multinic")
    with server.connect(database="multinic") as connection:
        CONTROLLER.create(connection)
        for number in range(110):
            node = "node1" if number < 10 else f"node{number}"
            address = f"10.0.0.{number + 10}"
            CONTROLLER.attach(connection, MAC.format(number), node=node, address=address, mtu=1450)
    flags = "UPDATE (netplan_success, modified_at) ON multinic.multi_interface"
    server.create_user("node", "secret", ["SELECT ON multinic.*", flags])


def crowd(namespace: Namespace, server: PrivateMariaDB, pods: int, routes: int) -> None:
    """Make links and routes of others, and let a row use policy routing."""
    lines = [f"link add pod{n} type veth peer name far{n}" for n in range(pods)]
    lines += [f"link set pod{n} up" for n in range(pods)]
    lines += ["link add host0 type veth peer name host1", "link set host0 up", "link set host1 up"]
    lines += [
        f"route add 10.{64 + n // 65536}.{n // 256 % 256}.{n % 256}/32 dev host0" for n in range(routes)
    ]
    namespace.run("ip", "-batch", "-", input="".join(f"{line}\n" for line in lines), timeout=600)
    options = '{"gateway": "10.0.0.1", "policy_routing": "auto"}'
    server.execute("UPDATE multi_interface SET options = %s WHERE id = 1", options, database="multinic")


def configured(root: Path) -> Path:
    """Make a host's root with the configuration that an operator would write."""
    etc = root / "etc/multinic"
    etc.mkdir(parents=True)
    (etc / "password").write_text("secret\n")
    (etc / "multinic.toml").write_text(
        'node = "node1"\nbackend = "netlink"\n'
        f'[database]\nurl = "mysql://node@127.0.0.1/multinic"\npassword_file = "{etc}/password"\n'
    )
    return root


def inside(job: dict[str, Any]) -> None:
    """Measure; this process is in the namespace, so that entering it costs the figures nothing."""
    baseline = [sys.executable, "-I", "-c", "import click, pymysql"]
    figures: dict[str, list[float]] = {"import click, pymysql": [], "idle pass": [], "full pass": []}
    for _ in range(job["runs"]):
        figures["import click, pymysql"].append(cost(baseline))
        figures["idle pass"].append(cost(job["command"]))
        Path(job["trusted"]).unlink()
        figures["full pass"].append(cost(job["command"]))
    base = statistics.median(figures["import click, pymysql"])
    print(f"CPU of the process and its children, {job['runs']} runs each, in turn, in ms")
    print(f"{'':24}{'median':>8}{'least':>8}{'most':>8}{'ratio':>8}")
    for name, values in figures.items():
        median = statistics.median(values)
        print(f"{name:24}{median:8.1f}{min(values):8.1f}{max(values):8.1f}{median / base:8.2f}")
    mixed = (9 * statistics.median(figures["idle pass"]) + statistics.median(figures["full pass"])) / 10
    print(f"{'every 30 s, so 9 : 1':24}{mixed:8.1f}{'':16}{mixed / base:8.2f}")
    pods, routes = job["crowd"]
    where = f"{pods} links of pods, {routes:,} routes, policy routing" if pods or routes else "10 NICs"
    least = {name: min(values) for name, values in figures.items()}
    ratio = least["idle pass"] / least["import click, pymysql"]
    note(f"idle pass of the timer ÷ its imports, {where}", ratio, to_reach=1.5 if pods else 1.0)
    note(f"idle pass of the timer, {where}", least["idle pass"], "ms CPU")
    note(f"full pass of the timer, {where}", least["full pass"], "ms CPU")


def cost(command: list[str]) -> float:
    """Run a command that must end well and return its CPU time in milliseconds."""
    return measured(command)[0]


def environment() -> dict[str, str]:
    """Return what a unit has, and where the host is."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("MULTINIC_")}
    return {"PATH": os.defpath, **ours}


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command that must end well; return its CPU time in milliseconds and its memory in MiB.

    Both with its children; the memory is that of the largest of them, and at most.
    """
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return 1000 * (used.ru_utime + used.ru_stime), used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
