"""A MAC address is one value however it is written, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.values.addresses import Mac


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("fa:16:3e:00:00:0a", id="as the controller writes it"),
        pytest.param("FA:16:3E:00:00:0A", id="upper case"),
        pytest.param("fa-16-3e-00-00-0a", id="dashes"),
        pytest.param("Fa-16:3e-00:00-0A", id="all mixed"),
    ],
)
def test_a_mac_is_the_same_however_it_is_written(text: str) -> None:
    assert Mac(text) == Mac("fa:16:3e:00:00:0a")
    assert str(Mac(text)) == "fa:16:3e:00:00:0a"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("zz:", id="not hex"),
        pytest.param("fa16.3e00.000a", id="dots"),
        pytest.param("fa:16:3e:00:00", id="five bytes"),
        pytest.param("fa:16:3e:00:00:0a:0b", id="seven bytes"),
        pytest.param("fa:16:3e:00:00:0a\n", id="a line end"),
        pytest.param(" fa:16:3e:00:00:0a", id="a space"),
        pytest.param("fa:16:3e:00:00:0a$(reboot)", id="more behind it"),
        pytest.param("f٣:16:3e:00:00:0a", id="a digit of another script"),
        pytest.param("00:00:00:00:00:00", id="zero"),
        pytest.param("ff:ff:ff:ff:ff:ff", id="broadcast"),
        pytest.param("01:00:5e:00:00:01", id="IPv4 multicast"),
        pytest.param("33:33:00:00:00:01", id="IPv6 multicast"),
    ],
)
def test_what_no_network_card_can_have_is_no_mac(text: str) -> None:
    with pytest.raises(ValueError, match="MAC address"):
        Mac(text)


@given(st.binary(min_size=6, max_size=6))
def test_every_unicast_address_is_a_mac(raw: bytes) -> None:
    unicast = bytes([raw[0] & 0xFE]) + raw[1:-1] + b"\1"
    assert Mac(unicast.hex("-").upper()).text == unicast.hex(":")


def test_macs_have_an_order() -> None:
    assert min([Mac("fa:16:3e:00:00:02"), Mac("FA-16-3E-00-00-01")]) == Mac("fa:16:3e:00:00:01")
