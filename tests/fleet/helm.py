"""helm for the tests: both versions that are in use, and the chart of this checkout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from tests.fleet.ansible import ENVIRONMENT
from tests.hosts import CHECKOUT, run

THERE = CHECKOUT / "build/helm"
CHART = CHECKOUT / "deployments/helm/multinic"
VERSIONS = ("v3", "v4")
OLDEST, NEWEST = "1.20", "1.37"
"""The Kubernetes that the chart is for."""
RELEASE = "multinic-agent"


def missing() -> str | None:
    """Say why no chart can be rendered here."""
    return None if (THERE / "complete").exists() else "no helm in build/helm (scripts/helm.sh)"


def helm(version: str, *arguments: str | Path, kubeconfig: Path | None = None) -> CompletedProcess[str]:
    """Run helm 3 or 4 without a cluster, or with that of a kubeconfig."""
    # The program keeps nothing at home.
    home = {
        name: str(THERE / "home")
        for name in ("HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
    }
    environment = {"PATH": os.environ["PATH"], **home, "KUBECONFIG": str(kubeconfig or "/nonexistent")}
    return run(THERE / version / "helm", *arguments, check=False, env=environment)


def template(version: str, *options: str | Path, kubernetes: str = NEWEST) -> CompletedProcess[str]:
    """Render the chart for a version of Kubernetes."""
    place = ("--namespace", "network", "--kube-version", f"{kubernetes}.0")
    return helm(version, "template", RELEASE, CHART, *place, *options)


def objects(text: str) -> dict[str, Any]:
    """Return what was rendered by kind and name, such as `DaemonSet/multinic-agent`."""
    found = [document for document in yaml.safe_load_all(text) if document]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


def validate(file: Path, kubernetes: str) -> CompletedProcess[str]:
    """Hold what was rendered against the schemas of a version of Kubernetes; an unknown field is a fault."""
    more: Mapping[str, str] = {"PYTHONPATH": str(THERE / "oldest")} if kubernetes == OLDEST else {}
    program = (ENVIRONMENT / "bin/python", "-m", "kubernetes_validate", "--strict", "-k", kubernetes)
    return run(*program, file, check=False, env={"PATH": os.environ["PATH"], **more})
