"""What the image holds, and what it says of itself."""

from __future__ import annotations

import json

from multinic import __version__
from tests.k8s.cluster import VERSIONS, Cluster
from tests.k8s.containers import BASED_ON
from tests.k8s.images import BASE

LISTING = """\
import pathlib, sys
sys.path.insert(0, "/usr/local/lib/multinic")
import multinic
assert multinic.__file__ == "/usr/local/lib/multinic/multinic/__init__.py"
found = [path for path in pathlib.Path("/usr/local/lib/multinic").rglob("*") if path.is_file()]
assert not [path for path in found if path.stat().st_mode & 0o022]
elves = [path for path in found if path.read_bytes()[:4] == b"\\x7fELF"]
assert not elves, "it serves one kind of machine only"
print(*sorted(path.name for path in pathlib.Path("/usr/local/lib/multinic").glob("*.dist-info")))
"""


def test_the_image_has_the_program_its_libraries_and_nothing_else(bare: Cluster) -> None:
    builder, name = bare.builder, f"localhost/multinic:{VERSIONS[0]}"
    config = builder.inspect(name)["OCIv1"]
    assert config["config"]["Entrypoint"] == ["multinic"]
    assert config["config"]["Cmd"] == ["agent"]
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert {"title", "description", "licenses", "revision"} <= {label.rpartition(".")[2] for label in labels}

    def run(*command: str) -> str:
        return builder.within(name, *command)

    assert run("multinic", "--version") == f"multinic {__version__}"
    listed = {entry.split("-")[0] for entry in run("python3", "-Ic", LISTING).split()}
    bill = json.loads(run("cat", "/usr/share/doc/multinic/sbom.cdx.json"))
    assert listed - {"multinic"} == {part["name"].replace("-", "_") for part in bill["components"]}

    before, after = (builder.size(image) for image in (BASED_ON, name))
    print(f"{name}: {after / 1e6:.0f} MB, of which the base {BASE.suite} has {before / 1e6:.0f} MB")
    assert after - before < 30e6
