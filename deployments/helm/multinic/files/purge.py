"""What helm runs when a release with purgeOnUninstall is deleted.

purge.py node                 on every node: wait until its agent has ended, then take everything off the node
purge.py wait NAME SECONDS    once: wait until the DaemonSet NAME has done so everywhere, or name those left
"""

import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request

DONE = "/tmp/done"  # the readiness probe looks for it
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
BUSY = 75  # multinic's exit status while another run holds the lock
# helm has forgotten the release by then, whatever happens here.
NEXT = (
    "Correct that. Then install the release again with the same values and uninstall it once more,",
    "or run multinic purge on these nodes.",
)


def node() -> None:
    """Purge this node; then stay, ready, until helm removes this pod. Ends with an error if it fails."""
    while agent := _agent():
        print(f"waiting for the agent to end: {agent}", flush=True)
        time.sleep(2)
    while (status := subprocess.run(["multinic", "purge", "--yes"], check=False).returncode) == BUSY:
        time.sleep(2)
    if status:
        sys.exit(status)
    pathlib.Path(DONE).touch()
    while True:
        signal.pause()


def _agent() -> str:
    """Return the agent that runs on this node; an empty text if there is none."""
    done = subprocess.run(["multinic", "--output", "json", "status"], check=True, stdout=subprocess.PIPE)
    agent = json.loads(done.stdout)["agent"]
    return agent["process"] if agent else ""


def wait(name: str, seconds: float) -> None:
    """Wait until every node is purged. Ends with an error that names those that are not."""
    end = time.monotonic() + seconds
    left = ["the cluster has not looked at the DaemonSet yet"]
    while left and time.monotonic() < end:
        time.sleep(2)
        try:
            left = _left(name)
        except (OSError, ValueError) as e:
            left = [f"the API server does not answer: {e}"]
    if left:
        sys.exit("\n".join(["not taken off these nodes:", *left, *NEXT]))
    print("taken off all nodes")


def _left(name: str) -> list[str]:
    """Return a line for each node that is not purged yet."""
    daemonset = _ask(f"/apis/apps/v1/namespaces/{_namespace()}/daemonsets/{name}")
    status = daemonset["status"]
    if status.get("observedGeneration", 0) < daemonset["metadata"]["generation"]:
        return ["the cluster has not looked at the DaemonSet yet"]
    if status["numberReady"] >= status["desiredNumberScheduled"]:
        return []
    labels = ",".join(f"{key}={value}" for key, value in daemonset["spec"]["selector"]["matchLabels"].items())
    query = urllib.parse.urlencode({"labelSelector": labels})
    pods = _ask(f"/api/v1/namespaces/{_namespace()}/pods?{query}")["items"]
    left = [f"  {_node_of(pod)}: {_why(pod)}" for pod in sorted(pods, key=_node_of) if not _is_ready(pod)]
    return left or ["  pods have not been made for all nodes yet"]


def _node_of(pod: dict) -> str:
    """Return the node that a pod is for, also before it is there."""
    if found := pod["spec"].get("nodeName"):
        return found
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]


def _is_ready(pod: dict) -> bool:
    conditions = pod["status"].get("conditions", [])
    return {one["type"]: one["status"] for one in conditions}.get("Ready") == "True"


def _why(pod: dict) -> str:
    """Return why a node is not purged yet: what the purge said last, or what the cluster says of the pod."""
    for one in pod["status"].get("containerStatuses", []):
        for state in (one.get("state", {}), one.get("lastState", {})):
            if said := state.get("terminated", {}).get("message", "").strip():
                return said.splitlines()[-1]
        if waiting := one.get("state", {}).get("waiting"):
            return waiting.get("message") or waiting["reason"]
    for one in pod["status"].get("conditions", []):
        if one["type"] == "PodScheduled" and one["status"] != "True":
            return one.get("message") or one.get("reason", "not scheduled")
    return {"Pending": "the node has not started the pod"}.get(pod["status"].get("phase", ""), "not done yet")


def _namespace() -> str:
    return pathlib.Path(ACCOUNT, "namespace").read_text().strip()


def _ask(path: str) -> dict:
    """Return a document of the API server."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"[{host}]" if ":" in host else host
    token = pathlib.Path(ACCOUNT, "token").read_text().strip()
    request = urllib.request.Request(
        f"https://{address}:{port}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    # Python 3.13 refuses the authorities of many clusters for extensions that they lack; nobody else does.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)


if __name__ == "__main__":
    if sys.argv[1] == "node":
        node()
    else:
        wait(sys.argv[2], float(sys.argv[3]))
