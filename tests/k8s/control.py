"""A control plane of real programs: etcd, API server, controller manager, scheduler."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.hosts import CommandFailed, eventually, run
from tests.k8s.pki import Authority

SERVICES = "10.96.0.0/16"
SERVICE = "10.96.0.1"
"""Where pods find the API server: the service `kubernetes`, which Kubernetes makes itself."""
PORT = 443
"""That of the service, so that what leads to its address leads to the API server, without a kube-proxy."""
READY_TIMEOUT = 180  # seconds; 15 on an idle machine


class ControlPlane:
    """A control plane behind `prefix`, a command that enters its network, at one address there."""

    def __init__(self, directory: Path, programs: Path, prefix: Sequence[str], address: str) -> None:
        self.directory, self.programs, self.prefix = directory, programs, prefix
        self.server = f"https://{address}:{PORT}"
        self.authority = Authority(directory)
        self._address = address
        self._processes = ExitStack()
        self.admin = directory / "admin.conf"
        self.admin.write_text(self.authority.kubeconfig(self.server, "admin", "/O=system:masters/CN=admin"))

    def start(self) -> None:
        """Start everything, and wait until pods can be made."""
        etcd = "http://127.0.0.1:2379"
        peer = "http://127.0.0.1:2380"
        self._spawn("etcd", data_dir=self.directory / "etcd", unsafe_no_fsync=True, log_level="warn",
            listen_client_urls=etcd, advertise_client_urls=etcd, listen_peer_urls=peer,
            initial_advertise_peer_urls=peer, initial_cluster=f"default={peer}")  # fmt: skip
        self._spawn("kube-apiserver", etcd_servers=etcd, **self._of_api_server())
        # The others end if it is not healthy within ten seconds.
        eventually(self._is_ready, timeout=READY_TIMEOUT, pause=0.3, what="an API server")
        common = {"kubeconfig": self.admin, "leader_elect": False, "bind_address": "127.0.0.1"}
        self._spawn("kube-controller-manager", **common, use_service_account_credentials=True,
            service_account_private_key_file=self.directory / "accounts.key",
            root_ca_file=self.authority.certificate)  # fmt: skip
        self._spawn("kube-scheduler", **common)
        self.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=120s", timeout=130)

    def _of_api_server(self) -> dict[str, Any]:
        names = [f"IP:{address}" for address in ("127.0.0.1", self._address, SERVICE)]
        names.append("DNS:kubernetes.default.svc")
        certificate, key = self.authority.issue("server", "/CN=kube-apiserver", *names)
        admin = self.directory / "admin.crt", self.directory / "admin.key"
        accounts = self.directory / "accounts.key"
        run("openssl", "genrsa", "-out", accounts, "2048")
        run("openssl", "rsa", "-in", accounts, "-pubout", "-out", self.directory / "accounts.pub")
        return {
            "advertise_address": self._address,
            "secure_port": PORT,
            "service_cluster_ip_range": SERVICES,
            "client_ca_file": self.authority.certificate,
            "tls_cert_file": certificate,
            "tls_private_key_file": key,
            "service_account_issuer": "https://kubernetes.default.svc",
            "service_account_key_file": self.directory / "accounts.pub",
            "service_account_signing_key_file": accounts,
            "kubelet_client_certificate": admin[0],
            "kubelet_client_key": admin[1],
            "kubelet_preferred_address_types": "InternalIP",
            "authorization_mode": "Node,RBAC",
            "enable_admission_plugins": "NodeRestriction",
            "allow_privileged": True,
            "endpoint_reconciler_type": "none",
        }

    def close(self) -> None:
        """End everything."""
        self._processes.close()

    def kubeconfig_of(self, node: str) -> str:
        """Return what the kubelet of a node needs."""
        return self.authority.kubeconfig(self.server, node, f"/O=system:nodes/CN=system:node:{node}")

    def kubectl(self, *arguments: str, timeout: float = 60, **options: Any) -> str:
        """Run kubectl as an administrator and return what it printed."""
        command = [*self.prefix, self.programs / "kube", "kubectl", f"--kubeconfig={self.admin}"]
        return run(*command, *arguments, timeout=timeout, **options).stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make these objects, or change them."""
        self.kubectl(
            "apply", "--filename=-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def get(self, *arguments: str) -> Any:
        """Return objects as the API server has them."""
        return json.loads(self.kubectl("get", "--output=json", *arguments))

    def helm(self, *arguments: str, timeout: float = 120) -> str:
        """Run helm as an administrator and return what it printed."""
        command = [*self.prefix, self.programs / "helm", f"--kubeconfig={self.admin}"]
        return run(*command, *arguments, timeout=timeout).stdout

    def _is_ready(self) -> bool:
        with suppress(CommandFailed):
            return self.kubectl("get", "--raw=/readyz") == "ok"
        return False

    def _spawn(self, program: str, **options: Any) -> None:
        words = [f"--{name.replace('_', '-')}={_text(value)}" for name, value in options.items()]
        with (self.directory / f"{program}.log").open("wb") as log:
            process = subprocess.Popen(
                [*self.prefix, self.programs / "kube", program, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.callback(process.wait)
        # Asked to end, the API server waits a minute for its clients.
        self._processes.callback(process.kill)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
