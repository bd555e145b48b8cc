"""How the fake wicked reads its files, as wicked 0.6.80 does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import fake_wicked_files
from tests.fake_wicked_files import FLAGS

GOLDEN = Path(__file__).parents[1] / "golden/wicked"
NO = "DHCLIENT_SET_HOSTNAME='no'\nDHCLIENT_SET_DEFAULT_ROUTE='no'\n"


def read(directory: Path, text: str) -> tuple[fake_wicked_files.Config, list[str], str]:
    """Return what an ifcfg file says, what wicked says of it, and what it shows."""
    (directory / "ifcfg-multinic0").write_text(text)
    said: list[str] = []
    found = fake_wicked_files.read("multinic0", directory, said)
    assert found is not None
    return found, said, fake_wicked_files.shown("multinic0", found)


@pytest.mark.parametrize(
    ("text", "source", "element", "taken"),
    [
        (f"BOOTPROTO='dhcp4'\n{NO}DHCLIENT_UPDATE='none'\n", "ipv4:dhcp", "", FLAGS),
        (f"BOOTPROTO='dhcp4'\n{NO}DHCLIENT_UPDATE='log'\n", "ipv4:dhcp", "log", ["log"]),
        (
            "BOOTPROTO='dhcp4'\nDHCLIENT_UPDATE='none'\nDHCLIENT_SET_DEFAULT_ROUTE='yes'\n",
            "ipv4:dhcp",
            "default-route",
            ["default-route"],
        ),
        ("BOOTPROTO='dhcp4'\n", "ipv4:dhcp", "default-route,dns,ntp,mtu,tz,boot", None),
        # The mask of DHCPv6 has no log, and that of advertisements nothing but dns.
        ("BOOTPROTO='dhcp6'\nDHCLIENT6_UPDATE='log'\n", "ipv6:dhcp", "", None),
        ("BOOTPROTO='dhcp6'\nDHCLIENT6_UPDATE='sip'\n", "ipv6:dhcp", "sip", ["sip"]),
        ("BOOTPROTO='auto6'\nAUTO6_UPDATE='none'\n", "ipv6:auto", "", ["dns"]),
    ],
)
def test_without_a_flag_there_is_no_element_and_the_client_takes_everything(
    text: str, source: str, element: str, taken: list[str] | None, tmp_path: Path
):
    config, said, shown = read(tmp_path, text)
    assert said == []
    assert f"  <{source}>\n    <enabled>true</enabled>\n" in shown
    assert (f"<update>{element}</update>" in shown) if element else ("<update>" not in shown)
    if taken is not None:
        assert fake_wicked_files.taken(config, source) == list(taken)


def test_much_of_what_is_wrong_it_takes_without_a_word(tmp_path: Path):
    config, said, _ = read(
        tmp_path,
        "MTU='many'\nIPADDR_0='10.0.0.11/33'\nIPADDR_1='10.0.0.12'\nIPADDR_2='10.0.0.13/24\nNONSENSE='1'\n",
    )
    assert (config["mtu"], config["addresses"], said) == ("", ["10.0.0.11/32", "10.0.0.12/32"], [])
    for text in (
        "IPADDR_0='ten'\n",
        "BOOTPROTO='nonsense'\n",
        "BOOTPROTO='dhcp4'\nDHCLIENT_UPDATE='nonsense'\n",
    ):
        assert read(tmp_path, text)[1]


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_from_what_we_write_it_takes_nothing_of_a_server_but_what_the_row_asks_for(case: str):
    (path,) = (GOLDEN / case).glob("etc/sysconfig/network/ifcfg-*")
    said: list[str] = []
    config = fake_wicked_files.read(path.name.removeprefix("ifcfg-"), path.parent, said)
    assert config is not None
    assert said == []
    for source in {"ipv4:dhcp", "ipv6:dhcp"} & config["sources"].keys():
        wanted = {"default-route"} if "default-route" in case else set()
        assert set(fake_wicked_files.taken(config, source)) - {"log", "sip"} == wanted
