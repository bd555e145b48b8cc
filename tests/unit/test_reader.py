"""What the kernel's answer to a dump may end with."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from multinic.kernel.reader import Reader
from multinic.values.errors import HostError

DONE = 3  # NLMSG_DONE


def ending(code: int) -> Reader:
    """Return a reader whose next dump has no entries and ends with this errno, 0 for none."""
    reader = Reader()
    reader._socket.close()
    reader._socket, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader._socket.settimeout(5)
    kernel.send(struct.pack("=IHHIIi", 20, DONE, 2, 1, 0, -code))
    kernel.shutdown(socket.SHUT_WR)
    reader._kernel = kernel  # type: ignore[attr-defined] # kept open
    return reader


def test_a_dump_that_breaks_off_is_no_empty_table() -> None:
    """The kernel says so in the message that ends the dump."""
    with ending(errno.ENOMEM) as reader, pytest.raises(HostError, match="refused a netlink dump: ENOMEM"):
        reader.links()


def test_a_table_that_does_not_exist_is_empty() -> None:
    with ending(errno.ENOENT) as reader:
        assert reader.rules() == []


def test_a_dump_without_entries_is_an_empty_table() -> None:
    with ending(0) as reader:
        assert reader.rules() == []
