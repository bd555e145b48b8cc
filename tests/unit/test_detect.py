"""Which backend `auto` takes, on hosts as distributions set them up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from multinic.backend.choice import NAMES, choose, leftovers, named, with_files
from multinic.backend.detect import NETPLAN_SOURCES, detect, netplan_renderer
from multinic.host.host import Host
from multinic.values.errors import ConfigError

CLOUD_INIT = "network:\n  version: 2\n  ethernets:\n    ens3:\n      dhcp4: true\n"
DESKTOP = "# Let NetworkManager manage all\nnetwork:\n  version: 2\n  renderer: NetworkManager\n"
GENERATE = {"usr/libexec/netplan/generate": ""}
OLD_GENERATE = {"usr/lib/netplan/generate": ""}
UNIT = "run/systemd/units/invocation:{}.service"
NETWORKD, MANAGER, WICKED = (
    {UNIT.format(name): ""} for name in ("systemd-networkd", "NetworkManager", "wickedd")
)
OLD_WICKED = {"sys/fs/cgroup/systemd/system.slice/wickedd.service/tasks": ""}  # systemd 234
KEYFILE = {"etc/NetworkManager/system-connections/cloud-init-ens3.nmconnection": "[connection]\n"}
NETWORK = {"etc/systemd/network/10-ens3.network": "[Match]\nName=ens3\n"}
LINK_OF_NETWORKD = {"run/systemd/netif/links/2": "ADMIN_STATE=configured\nOPER_STATE=routable\n"}
LINK_OF_MANAGER = {"run/NetworkManager/devices/2": "[device]\nmanaged=true\nconnection-uuid=6f\n"}
UNMANAGED = {"run/systemd/netif/links/2": "ADMIN_STATE=unmanaged\n"}

Make = Callable[..., Host]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(*parts: Mapping[str, str]) -> Host:
        for name, text in {name: text for part in parts for name, text in part.items()}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Host(str(tmp_path))

    return make


def release(text: str) -> dict[str, str]:
    return {"etc/os-release": text}


def yaml(text: str, path: str = "etc/netplan/50-cloud-init.yaml") -> dict[str, str]:
    return {path: text}


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        pytest.param(
            [{"lib/netplan/generate": ""}, NETWORKD, yaml(CLOUD_INIT)], "netplan", id="Ubuntu 18.04 server"
        ),
        pytest.param([OLD_GENERATE, NETWORKD, yaml(CLOUD_INIT)], "netplan", id="Ubuntu 20.04 server"),
        pytest.param([GENERATE, NETWORKD, yaml(CLOUD_INIT)], "netplan", id="Ubuntu 22.04 and 24.04 server"),
        pytest.param(
            [OLD_GENERATE, MANAGER, yaml(DESKTOP, "etc/netplan/01-network-manager-all.yaml")],
            "networkmanager",
            id="Ubuntu 22.04 desktop",
        ),
        pytest.param(
            [GENERATE, MANAGER, yaml(DESKTOP, "usr/lib/netplan/00-network-manager-all.yaml")],
            "networkmanager",
            id="Ubuntu 24.04 desktop",
        ),
        pytest.param(
            [GENERATE, MANAGER, NETWORKD, yaml(DESKTOP)], "networkmanager", id="desktop with networkd"
        ),
        pytest.param(
            [GENERATE, MANAGER, NETWORKD, yaml(CLOUD_INIT)], "netplan", id="server with NetworkManager beside"
        ),
        pytest.param([GENERATE, NETWORKD, yaml(CLOUD_INIT)], "netplan", id="Debian cloud image with netplan"),
        pytest.param([GENERATE, NETWORKD], "netplan", id="netplan, nothing configured yet"),
        pytest.param([GENERATE, NETWORKD, NETWORK], "networkd", id="netplan installed and not used"),
        pytest.param([GENERATE, NETWORKD, yaml(DESKTOP)], "networkd", id="netplan for another service"),
        pytest.param([NETWORKD, NETWORK], "networkd", id="Debian with networkd alone"),
        pytest.param([NETWORKD], "networkd", id="networkd, nothing configured yet"),
        pytest.param(
            [WICKED, {"etc/sysconfig/network/ifcfg-eth0": ""}, release('ID="sles"\n')], "wicked", id="SLES 15"
        ),
        pytest.param([OLD_WICKED], "wicked", id="SLES 15 SP1"),
        pytest.param([NETWORKD, NETWORK, OLD_WICKED], "networkd", id="a cgroup of a neighbour"),
        pytest.param([WICKED, {"etc/sysconfig/network/ifcfg-eth0": ""}], "wicked", id="Leap 15"),
        pytest.param(
            [WICKED, MANAGER, {"etc/sysconfig/network/ifcfg-lo": ""}], "networkmanager", id="SLES 15 with NM"
        ),
        pytest.param([MANAGER, KEYFILE, release('ID="sles"\n')], "networkmanager", id="SLES 16"),
        pytest.param(
            [MANAGER, {"etc/sysconfig/network-scripts/ifcfg-eth0": ""}, release('ID="rhel"\n')],
            "networkmanager",
            id="RHEL 8",
        ),
        pytest.param([MANAGER, KEYFILE, release('ID="rhel"\n')], "networkmanager", id="RHEL 9"),
        pytest.param([MANAGER, release('ID="rhel"\n')], "networkmanager", id="RHEL 10"),
        pytest.param([release("ID=alpine\n")], "netlink", id="Alpine"),
        pytest.param([GENERATE, yaml(CLOUD_INIT)], "netlink", id="nothing running"),
        pytest.param([{"run/systemd/netif/state": ""}], "netlink", id="networkd was stopped"),
        pytest.param([MANAGER, NETWORKD, KEYFILE], "networkmanager", id="both, files of NM"),
        pytest.param([MANAGER, NETWORKD, NETWORK], "networkd", id="both, files of networkd"),
        pytest.param(
            [MANAGER, NETWORKD, LINK_OF_MANAGER, UNMANAGED], "networkmanager", id="both, links of NM"
        ),
        pytest.param(
            [MANAGER, NETWORKD, NETWORK, KEYFILE, LINK_OF_NETWORKD], "networkd", id="both, links of networkd"
        ),
        pytest.param(
            [MANAGER, NETWORKD, release('ID_LIKE="rhel"\n')], "networkmanager", id="both, a tie: RHEL"
        ),
        pytest.param([MANAGER, NETWORKD, release("ID=debian\n")], "networkd", id="both run, a tie: Debian"),
    ],
)
def test_auto_finds_what_manages_the_host(make: Make, parts: list[Mapping[str, str]], name: str) -> None:
    assert detect(make(*parts)).name == name


@pytest.mark.parametrize(
    ("texts", "renderer"),
    [
        pytest.param([], "networkd", id="default"),
        pytest.param([DESKTOP], "NetworkManager", id="desktop"),
        pytest.param([DESKTOP, CLOUD_INIT], "NetworkManager", id="a later file is silent"),
        pytest.param(
            [DESKTOP, "network:\n    renderer: 'networkd'\n"],
            "networkd",
            id="a later file decides",
        ),
        pytest.param(
            ["network:\n  ethernets:\n    a:\n      renderer: NetworkManager\n"],
            "networkd",
            id="one link's own",
        ),
        pytest.param(["network: {version: 2, renderer: NetworkManager}\n"], "NetworkManager", id="in braces"),
        pytest.param(
            ["network:\n\n  # renderer: networkd\n  version: 2\n\n  renderer: NetworkManager # all\n"],
            "NetworkManager",
            id="comments",
        ),
        pytest.param(["#network:\n#  renderer: NetworkManager\n"], "networkd", id="commented out"),
    ],
)
def test_the_renderer_of_netplan_is_the_one_of_the_whole_host(texts: list[str], renderer: str) -> None:
    assert netplan_renderer(texts) == renderer


def test_whatever_the_choice_came_from_is_named_so_that_a_change_is_noticed(make: Make) -> None:
    found = detect(make(GENERATE, NETWORKD, yaml(CLOUD_INIT)))
    assert "/run/systemd/units/invocation:systemd-networkd.service" in found.presence
    assert "/usr/libexec/netplan/generate" in found.presence
    assert {*NETPLAN_SOURCES, "/etc/netplan/50-cloud-init.yaml"} <= set(found.contents)


def test_a_file_that_cannot_be_read_as_text_decides_nothing(make: Make, tmp_path: Path) -> None:
    host = make(GENERATE, NETWORKD, yaml(CLOUD_INIT))
    (tmp_path / "etc/netplan/99-x.yaml").write_bytes(b"\xff\xfenetwork:\n  renderer: \x00")
    (tmp_path / "etc/netplan/98-x.yaml").mkdir()
    assert detect(host).name == "netplan"


def test_the_choice_is_explained(make: Make) -> None:
    chosen, why = choose("auto", make(GENERATE, NETWORKD, yaml(CLOUD_INIT)))
    assert (chosen.name, why) == (
        "netplan",
        "netplan has configuration here, and systemd-networkd is running",
    )


def test_every_backend_is_had_by_its_name() -> None:
    assert [named(name).name for name in NAMES] == list(NAMES)


def test_a_backend_that_cannot_be_used_is_refused_by_name(make: Make) -> None:
    with pytest.raises(
        ConfigError, match="backend netplan cannot be used here: systemd-networkd is not running"
    ):
        choose("netplan", make(GENERATE))


def test_netplan_is_refused_where_networkmanager_reads_its_files(make: Make) -> None:
    """What the renderer of single links is does not matter: ours is that of the host."""
    choose("netplan", make(GENERATE, NETWORKD, yaml(CLOUD_INIT + "      renderer: NetworkManager\n")))
    with pytest.raises(ConfigError, match=r"renderer is NetworkManager .* set backend to networkmanager"):
        choose("netplan", make(GENERATE, NETWORKD, MANAGER, yaml(DESKTOP)))


@pytest.mark.parametrize(
    ("library", "lacking"),
    [
        pytest.param("usr/lib/systemd/libsystemd-shared-237.so", {"accept_ra", "dhcp6"}, id="Ubuntu 18.04"),
        pytest.param("usr/lib/systemd/libsystemd-shared-247.so", {"accept_ra"}, id="Debian 11"),
        pytest.param("usr/lib64/systemd/libsystemd-shared-252-46.el9.so", set(), id="RHEL 9"),
        pytest.param("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so", set(), id="Debian 12"),
        pytest.param(
            "usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-249.so", {"accept_ra"}, id="Debian on ARM"
        ),
    ],
)
@pytest.mark.parametrize("backend", ["netplan", "networkd"])
def test_options_that_networkd_has_learnt_later_are_refused_before(
    make: Make, backend: str, library: str, lacking: set[str]
) -> None:
    assert set(named(backend).lacks(make({library: ""}))) == lacking


NAME_FILE = {"etc/systemd/network/70-multinic0.link": ""}  # of wicked and of NetworkManager


def owners(host: Host) -> dict[str, list[str]]:
    return {one.name: [path.rpartition("/")[2] for path in paths] for one, paths in with_files(host)}


def test_a_file_that_two_backends_know_counts_for_the_one_that_has_more_of_them(make: Make) -> None:
    keyfile = {"etc/NetworkManager/system-connections/multinic0.nmconnection": ""}
    host = make(NAME_FILE, keyfile)
    assert owners(host) == {"networkmanager": ["multinic0.nmconnection", "70-multinic0.link"]}
    assert set(leftovers(host, named("netplan"))) == {"networkmanager"}
    assert leftovers(host, named("networkmanager")) == {}


def test_a_backend_that_can_be_used_comes_before_one_that_has_more_files(make: Make) -> None:
    ifcfg = {f"etc/sysconfig/network/{part}-multinic0": "" for part in ("ifcfg", "ifroute", "ifrule")}
    host = make(NAME_FILE, ifcfg, GENERATE, NETWORKD, yaml("network: {}", "etc/netplan/91-multinic1.yaml"))
    assert list(owners(host)) == ["netplan", "wicked"]
    assert set(leftovers(host, named("netplan"))) == {"wicked"}
