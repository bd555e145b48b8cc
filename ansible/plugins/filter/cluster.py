"""Filters about a cluster: its nodes, an image in an archive, and how the agents fare."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

REACHED = "multinic-node"
"""The first word that a node says when it was reached."""
HASH = "controller-revision-hash"
"""The label by which a DaemonSet's pods and their revision belong together."""
STEPS = (
    "check the tools here",
    "ask the cluster for its nodes",
    "check the chart against the cluster",
    "reach every node by SSH",
    "build the image {image} with {builder}",
    "save it as {archive}",
    "compare its architecture with that of the nodes",
    "copy it to {count} nodes",
    "import it into containerd there",
    "pin it, and look for it by its name",
    "make the namespace {namespace}, and allow in it pods that change a node's network",
    "install the chart as {release}",
    "wait until every node has the new pod",
    "ask every node's health",
)


def qualified(name: str) -> str:
    """Return the full name by which containerd keeps an image: docker.io/library/multinic for multinic."""
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"


def cluster_nodes(text: str) -> list[dict[str, str]]:
    """Return name, address, architecture and state of the nodes in `kubectl get nodes -o json`."""
    found = []
    for item in json.loads(text)["items"]:
        addresses = {one["type"]: one["address"] for one in item["status"].get("addresses", ())}
        conditions = {one["type"]: one["status"] for one in item["status"].get("conditions", ())}
        name = item["metadata"]["name"]
        found.append(
            {
                "name": name,
                "address": addresses.get("InternalIP") or addresses.get("Hostname") or name,
                "architecture": item["status"]["nodeInfo"]["architecture"],
                "ready": conditions.get("Ready", "Unknown"),
            }
        )
    return found


def image_facts(path: str) -> dict[str, str]:
    """Return the names and the architecture of an image that was saved (docker's archive or OCI's).

    Raises ValueError if the file is neither.
    """
    try:
        with tarfile.open(path) as archive:
            return _docker(archive) if "manifest.json" in archive.getnames() else _oci(archive)
    except (tarfile.TarError, KeyError, ValueError, IndexError, OSError) as e:
        raise ValueError(f"{path} is no archive of an image: {e}; build it again") from None


def _read(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    if member is None:
        raise KeyError(name)
    return json.load(member)


def _docker(archive: tarfile.TarFile) -> dict[str, str]:
    (image,) = _read(archive, "manifest.json")
    config = _read(archive, image["Config"])
    return _facts(image["RepoTags"] or (), config)


def _oci(archive: tarfile.TarFile) -> dict[str, str]:
    (image,) = _read(archive, "index.json")["manifests"]
    manifest = _read(archive, _blob(image["digest"]))
    config = _read(archive, _blob(manifest["config"]["digest"]))
    annotations = image.get("annotations", {})
    names = annotations.get("io.containerd.image.name") or annotations.get(
        "org.opencontainers.image.ref.name", ""
    )
    return _facts(names.split(), config)


def _facts(names: Iterable[str], config: Mapping[str, Any]) -> dict[str, str]:
    # docker leaves docker.io/library out; containerd puts it back when it imports.
    return {"names": " ".join(map(qualified, names)), "architecture": config["architecture"]}


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def steps(given: Mapping[str, Any]) -> list[str]:
    """Return what deploy.yml does, one line each."""
    return [f"{number:2}  {words.format_map(given)}" for number, words in enumerate(STEPS, 1)]


def foreign(nodes: Iterable[Mapping[str, str]], architecture: str) -> str:
    """Return the nodes that have another architecture than an image, as words; an empty text if none has."""
    return ", ".join(
        f"{one['name']} ({one['architecture']})" for one in nodes if one["architecture"] != architecture
    )


def unreached(hosts: Iterable[str], hostvars: Mapping[str, Any], what: str, word: str = "") -> str:
    """Return the hosts whose command, registered as `what`, went wrong; with what each said last.

    `word`: what they must have said.
    """
    lines = []
    for host in hosts:
        said = hostvars[host].get(what, {})
        output = f"{said.get('stdout', '')}".replace("\r", "")
        if said.get("unreachable") or said.get("rc", 1) or (word and word not in output):
            lines.append(f"{host}: {_last(said) or 'the connection was lost'}")
    return "; ".join(lines)


def _last(said: Mapping[str, Any]) -> str:
    """Return the last line of what a command, or the connection to a host, said."""
    for key in ("stderr", "stdout", "msg"):
        lines = [line.strip() for line in f"{said.get(key, '')}".splitlines()]
        lines = [line for line in lines if line and not line.startswith("Shared connection to ")]
        if lines:
            return lines[-1]
    return ""


def not_ready(text: str) -> str:
    """Return the pods that are not ready in `kubectl get pods -o json`, each with its node and why."""
    lines = [
        f"{pod['spec'].get('nodeName', 'no node')}: {pod['metadata']['name']}: {_why(pod)}"
        for pod in json.loads(text)["items"]
        if not _is_ready(pod)
    ]
    return "; ".join(lines) or "the cluster names no pod"


def _why(pod: Mapping[str, Any]) -> str:
    for one in pod["status"].get("containerStatuses", ()):
        waiting = one.get("state", {}).get("waiting")
        ended = one.get("lastState", {}).get("terminated") or one.get("state", {}).get("terminated")
        if ended and ended.get("message", "").strip():
            return str(ended["message"]).strip().splitlines()[-1]
        if waiting:
            return str(waiting.get("message") or waiting["reason"])
    for one in pod["status"].get("conditions", ()):
        if one["status"] != "True" and one.get("message"):
            return str(one["message"])
    return str(pod["status"].get("phase", "unknown")).lower()


def pods_on_nodes(text: str, only: Iterable[Mapping[str, str]] | None = None) -> list[dict[str, str]]:
    """Return the pods in `kubectl get pods -o json` that are on a node, or on one of some: name and node."""
    nodes = None if only is None else {one["node"] for one in only}
    found = [
        {"name": pod["metadata"]["name"], "node": pod["spec"]["nodeName"]}
        for pod in json.loads(text)["items"]
        if pod["spec"].get("nodeName") and (nodes is None or pod["spec"]["nodeName"] in nodes)
    ]
    return sorted(found, key=lambda one: one["node"])


def seen(text: str) -> bool:
    """Return whether the cluster has looked at the newest state of a DaemonSet."""
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return bool(found["status"].get("observedGeneration", 0) >= found["metadata"]["generation"])


def newest_revision(text: str) -> str:
    """Return the hash of the newest one in `kubectl get controllerrevisions -o json`."""
    newest = max(json.loads(text)["items"], key=lambda one: one["revision"])
    return str(newest["metadata"]["labels"][HASH])


def _is_of(pod: Mapping[str, Any], revision: str) -> bool:
    return bool(pod["metadata"].get("labels", {}).get(HASH) == revision)


def renewed(text: str, revision: str) -> list[dict[str, str]]:
    """Return the pods in `kubectl get pods -o json` that have the revision already: name and node."""
    items = json.loads(text)["items"]
    return pods_on_nodes(json.dumps({"items": [pod for pod in items if _is_of(pod, revision)]}))


def batches(text: str, revision: str, sizes: str) -> list[list[dict[str, str]]]:
    """Return the old pods in batches of these sizes, such as "1 10% 100%"; the last size is repeated.

    Raises ValueError for a size that is neither a number nor a share.
    """
    items = json.loads(text)["items"]
    left = pods_on_nodes(json.dumps({"items": [pod for pod in items if not _is_of(pod, revision)]}))
    counts = [_count(size, len(items)) for size in sizes.split()]
    found = []
    while left:
        count = counts.pop(0) if len(counts) > 1 else counts[0]
        found.append(left[:count])
        left = left[count:]
    return found


def _count(size: str, of: int) -> int:
    number = size.removesuffix("%")
    if not number.isdigit() or int(number) == 0:
        raise ValueError(f"BATCHES: {size!r} is neither a number such as 1 nor a share such as 10%")
    return max(1, of * int(number) // 100) if size.endswith("%") else int(number)


def behind(text: str, revision: str, batch: Iterable[Mapping[str, str]]) -> str:
    """Return the nodes of a batch that have no ready pod of a revision, with why; "" if all have one."""
    try:
        items = json.loads(text)["items"]
    except ValueError:
        return "the cluster does not answer"
    lines = []
    for node in (one["node"] for one in batch):
        pods = [pod for pod in items if pod["spec"].get("nodeName") == node and _is_of(pod, revision)]
        if not pods:
            lines.append(f"{node}: no new pod yet")
        elif not any(_is_ready(pod) for pod in pods):
            lines.append(f"{node}: {pods[0]['metadata']['name']}: {_why(pods[0])}")
    return "; ".join(lines)


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"


def health_table(asked: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each node: what `multinic health` said in its pod."""
    rows = [("node", "status", "interfaces", "failed", "database", "pod")]
    for one in asked:
        pod = one["item"]
        try:
            said = json.loads(one["stdout"])
            database = "reached" if said["database_connected"] else "not reached"
            cells = (said["status"], str(said["processed_vms"]), str(said["failed_configs"]), database)
        except (ValueError, KeyError):
            cells = ("no answer", "-", "-", "-")
        rows.append((pod["node"], *cells, pod["name"]))
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]  # noqa: B905 - Python 3.9
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()  # noqa: B905
        for row in rows
    ]


def unhealthy(asked: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the nodes that are not healthy."""
    found = []
    for one in asked:
        try:
            status = json.loads(one["stdout"])["status"]
        except (ValueError, KeyError):
            status = ""
        if status != "healthy":
            found.append(one["item"]["node"])
    return found


class FilterModule:
    """What Ansible takes from here."""

    def filters(self) -> dict[str, Any]:
        named = (qualified, cluster_nodes, image_facts, steps, foreign, unreached, not_ready, pods_on_nodes)
        more = (health_table, unhealthy, seen, newest_revision, renewed, batches, behind)
        return {function.__name__: function for function in (*named, *more)}
