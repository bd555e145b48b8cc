"""What the networkd backend finds in a file before networkd, which complains to nobody, gets to see it."""

from __future__ import annotations

import pytest

from multinic.backend.networkd import Networkd
from multinic.host.host import Host
from multinic.values.addresses import Mac
from multinic.values.plan import FileChange, Interface, State

PATH = "/etc/systemd/network/10-multinic1.network"
MAC = "fa:16:3e:00:00:01"


def refusal(text: str) -> str:
    interface = Interface(
        name="multinic1",
        mac=Mac(MAC),
        mac_text=MAC,
        port_id="port-1",
        row_id=1,
        state=State.CREATE,
        reason="new",
        message="",
        files=(FileChange(PATH, None, text, 0o644),),
    )
    staged = Networkd().stage(Host("/nonexistent"), [interface])
    return staged.refused.get(interface.key, "")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[Match]\nName=multinic1\n", id="by name"),
        pytest.param(
            f"# ours\n; too\n\n[Match]\nMACAddress = {MAC}\nType=ether\n[Link]\nName=multinic1\n", id="by MAC"
        ),
        pytest.param("[Link]\nName=multinic7\n[Match]\nName=multinic1", id="in any order"),
    ],
)
def test_a_file_that_chooses_its_link_is_fine(text: str) -> None:
    assert refusal(text) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "does not choose multinic1", id="empty"),
        pytest.param("[Link]\nName=multinic1\n", "does not choose multinic1", id="the name elsewhere"),
        pytest.param("[Match]\n#Name=multinic1\n", "does not choose multinic1", id="a comment"),
        pytest.param("[Match]\nName=*\n", "does not choose multinic1", id="every link"),
        pytest.param("[Match]\nName=multinic1 eth0\n", "does not choose multinic1", id="another link, too"),
        pytest.param("[Match]\nName=multinic1\nName=eth0\n", "does not choose multinic1", id="twice"),
        pytest.param("[Match]\nName=multinic1\nAddress\n", "line 3 is no section", id="no assignment"),
        pytest.param("[Match\nName=multinic1\n", "line 1 is no section", id="no section"),
    ],
)
def test_a_file_that_networkd_would_misunderstand_is_refused(text: str, words: str) -> None:
    assert refusal(text).startswith(f"{PATH}: ")
    assert words in refusal(text)
