"""The certificates of a cluster: one authority, and what it signs."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.hosts import run

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")


class Authority:
    """An authority in a directory: `ca.crt` and `ca.key`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "ca.crt"
        self.key = directory / "ca.key"
        made = ("-subj", "/CN=tests", "-days", "2", "-keyout", self.key, "-out", self.certificate)
        run("openssl", "req", "-x509", *_KEY, *made)

    def issue(self, name: str, subject: str, *alternatives: str) -> tuple[Path, Path]:
        """Return certificate and key of a subject; a server's has other names, such as IP:127.0.0.1."""
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        use = "serverAuth" if alternatives else "clientAuth"
        extensions = ["-addext", f"extendedKeyUsage={use}"]
        if alternatives:
            extensions += ["-addext", f"subjectAltName={','.join(alternatives)}"]
        signed = ("-CA", self.certificate, "-CAkey", self.key, "-days", "2")
        made = ("-subj", subject, "-keyout", key, "-out", certificate)
        run("openssl", "req", "-x509", *_KEY, *signed, *extensions, *made)
        return certificate, key

    def kubeconfig(self, server: str, name: str, subject: str) -> str:
        """Return what a client needs to reach an API server as this subject."""
        certificate, key = self.issue(name, subject)
        user = {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}
        cluster = {"server": server, "certificate-authority-data": _encoded(self.certificate)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }
        return json.dumps(document)


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
