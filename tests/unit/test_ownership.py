"""Whatever lies at our paths, nothing of anybody else's is changed, and no path of ours keeps us waiting."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multinic.host.host import Host
from multinic.host.lock import only_one
from multinic.values.errors import HostError
from multinic.values.paths import CHECKPOINT, CONVERGED, LAST_CHECKPOINT, LOCK, OUR_DIRECTORIES, RECORD, STATE

OURS = [LOCK, STATE, CONVERGED, RECORD, CHECKPOINT, LAST_CHECKPOINT]
NETPLAN = "/etc/netplan/90-multinic0.yaml"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "root").mkdir()
    (tmp_path / "root").chmod(0o755)
    return Host(str(tmp_path / "root"))


@pytest.fixture(params=[0o022, 0o077, 0o000], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.usefixtures("umask")
def test_directories_that_are_made_have_their_modes_whatever_the_umask(host: Host) -> None:
    for path in (*OURS[1:], NETPLAN, "/run/udev/rules.d/99-netplan-multinic0.rules"):
        host.write(path, "", 0o600)
    with only_one(host):
        assert mode(host.path(LOCK)) == 0o600
    found = {
        str(path.relative_to(host.root)): mode(path) for path in Path(host.root).rglob("*") if path.is_dir()
    }
    own = {path.strip("/"): bits for path, bits in OUR_DIRECTORIES.items()}
    assert {path: found[path] for path in own} == own == {"run/multinic": 0o755, "var/lib/multinic": 0o700}
    assert {found[path] for path in found.keys() - own.keys()} == {0o755}


def test_another_root_is_made_where_it_is_missing(tmp_path: Path) -> None:
    Host(str(tmp_path / "a/b")).write(STATE, "x", 0o644)
    assert [mode(tmp_path / path) for path in ("a", "a/b", "a/b/run")] == [0o755] * 3


def changes(host: Host, path: str) -> dict[str, Callable[[], object]]:
    """Everything that may be done to a path of ours."""
    return {
        "write": lambda: host.write(path, "ours", 0o600),
        "remove": lambda: host.remove(path),
        "rename away": lambda: host.rename(path, f"{path}.new"),
        "rename over": lambda: (host.write(f"{path}.new", "ours", 0o600), host.rename(f"{path}.new", path)),
        "restore": lambda: host.restore(path, None),
        "read": lambda: host.read(path),
    }


def error_of(change: Callable[[], object]) -> str:
    """Return what a change that cannot be made says; "" for one that was made."""
    try:
        change()
    except HostError as e:
        return f"{e}: {e.hint}"
    return ""


class Precious:
    """A file and a directory of somebody else's, which no change of ours may reach."""

    def __init__(self, directory: Path) -> None:
        self.file, self.directory, self.gap = (directory / name for name in ("file", "directory", "gap"))
        self.directory.mkdir(parents=True)
        for path in (self.file, self.directory / "inner"):
            path.write_text("precious")
            path.chmod(0o640)
        self.before = self.now()

    def now(self) -> object:
        paths = sorted(self.file.parent.rglob("*"))
        return [
            (path, status.st_mode, status.st_uid, status.st_mtime_ns, path.is_file() and path.read_bytes())
            for path in paths
            for status in [path.lstat()]
        ]


PLANTED: dict[str, Callable[[Path, Precious], object]] = {
    "symlink to a file": lambda path, precious: path.symlink_to(precious.file),
    "dangling symlink": lambda path, precious: path.symlink_to(precious.gap),
    "symlink to a directory": lambda path, precious: path.symlink_to(precious.directory),
    "chain of symlinks": lambda path, precious: (
        path.with_name("link").symlink_to(precious.file),
        path.symlink_to("link"),
    ),
    "symlink to itself": lambda path, precious: path.symlink_to(path.name),
    "hard link": lambda path, precious: path.hardlink_to(precious.file),
    "pipe": lambda path, precious: os.mkfifo(path),
    "empty directory": lambda path, precious: path.mkdir(),
    "full directory": lambda path, precious: (path / "x").mkdir(parents=True),
}


@pytest.fixture
def precious(tmp_path: Path) -> Precious:
    return Precious(tmp_path / "elsewhere")


@pytest.mark.parametrize("path", [RECORD, STATE, NETPLAN])
@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("change", changes(Host(), ""))
def test_what_is_planted_at_a_path_of_ours_leads_nowhere(
    host: Host, precious: Precious, path: str, planted: str, change: str
) -> None:
    where = Path(host.directory(os.path.dirname(path))) / os.path.basename(path)
    PLANTED[planted](where, precious)
    error = error_of(changes(host, path)[change])
    assert not error or (path in error and "directory" in planted)
    assert precious.now() == precious.before
    if change == "write" and "directory" not in planted.replace("symlink to a directory", ""):
        assert (stat.S_ISREG(where.lstat().st_mode), where.read_text()) == (True, "ours")
        assert where.lstat().st_nlink == 1
    scraps = [found for found in where.parent.iterdir() if found.name.endswith("multinic-tmp")]
    assert scraps == []


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_at_the_lock_leads_nowhere_and_holds_nobody(
    host: Host, precious: Precious, planted: str
) -> None:
    where = Path(host.directory("/run/multinic")) / "lock"
    PLANTED[planted](where, precious)

    def hold() -> None:
        with only_one(host):
            pass

    error = error_of(hold)
    assert error == "" if planted == "hard link" else LOCK in error
    assert precious.now() == precious.before


@pytest.mark.parametrize("path", [*OURS, NETPLAN])
def test_a_symlink_in_the_place_of_a_directory_is_refused(host: Host, precious: Precious, path: str) -> None:
    """Below another root, and of our own directories everywhere."""
    directory = Path(host.path(os.path.dirname(path)))
    directory.parent.mkdir(parents=True)
    directory.symlink_to(precious.directory)
    for name, change in changes(host, path).items():
        if name == "read" and path == NETPLAN:
            continue  # it changes nothing, and only finds nothing
        with pytest.raises(HostError, match="is a symlink") as error:
            change()
        assert error.value.hint
    with pytest.raises(HostError, match="is a symlink"):
        host.directory(os.path.dirname(path))
    if path == LOCK:
        with pytest.raises(HostError, match="is a symlink"), only_one(host):
            pass
    assert precious.now() == precious.before


@pytest.mark.parametrize("above", ["etc", "etc/netplan", "var", "var/lib", "run"])
def test_below_another_root_no_symlink_leads_out(host: Host, precious: Precious, above: str) -> None:
    link = Path(host.root, above)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(precious.directory)
    refused = 0
    for path in (NETPLAN, RECORD, STATE):
        if path.startswith(f"/{above}/"):
            refused += 1
            with pytest.raises(HostError, match=f"/{above} is a symlink"):
                host.write(path, "ours", 0o600)
    assert refused
    assert precious.now() == precious.before


@as_root
@pytest.mark.parametrize("path", OURS)
def test_a_directory_of_another_user_is_refused(host: Host, path: str) -> None:
    os.chown(host.directory(os.path.dirname(path)), 12345, 12345)
    for change in changes(host, path).values():
        with pytest.raises(HostError, match=r"belongs to another user \(uid 12345\)"):
            change()


@as_root
@pytest.mark.parametrize(
    ("bits", "group", "fine"),
    [
        (0o777, 0, False),
        (0o1777, 0, False),
        (0o757, 0, False),
        (0o775, 12345, False),
        (0o775, 0, True),  # as with a umask of 002
        (0o755, 12345, True),
        (0o700, 0, True),
    ],
)
@pytest.mark.parametrize("path", [RECORD, STATE])
def test_a_directory_that_others_may_write_is_refused(
    host: Host, path: str, bits: int, group: int, fine: bool
) -> None:
    directory = host.directory(os.path.dirname(path))
    os.chown(directory, 0, group)
    os.chmod(directory, bits)
    if fine:
        host.write(path, "ours", 0o600)
        assert host.read(path) == "ours"
        return
    for change in (lambda: host.write(path, "ours", 0o600), lambda: host.read(path)):
        with pytest.raises(HostError, match="can be written by other users"):
            change()
    assert os.listdir(directory) == []


@as_root
def test_another_root_that_somebody_else_made_is_refused(tmp_path: Path, precious: Precious) -> None:
    """As in a directory like /tmp, where anybody can be there first."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    link = tmp_path / "link"
    link.symlink_to(precious.directory)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o1777)
    for root in (theirs, link, open_to_all):
        with pytest.raises(HostError, match=f"{root} "):
            Host(str(root)).write(STATE, "ours", 0o644)
    assert precious.now() == precious.before
    assert list(open_to_all.iterdir()) == []


def test_another_root_may_be_a_symlink_of_ours(host: Host, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(host.root)
    Host(str(tmp_path / "link")).write(STATE, "ours", 0o644)
    assert host.read(STATE) == "ours"


def test_configuration_of_others_is_read_through_symlinks_below_the_root(host: Host, tmp_path: Path) -> None:
    """netplan reads them too: a link that is configured there is in use."""
    host.write("/etc/cloud/net.yaml", "network: {}", 0o600)
    netplan = Path(host.directory("/etc/netplan"))
    (tmp_path / "outside").write_text("outside")
    targets = {
        "absolute": ("/etc/cloud/net.yaml", "network: {}"),
        "relative": ("../cloud/net.yaml", "network: {}"),
        "chain": ("absolute", "network: {}"),
        "out": ("../../../outside", None),  # / is where the root is, however many steps up
        "dangling": ("nowhere", None),
        "loop": ("loop", None),
        "device": ("/dev/zero", None),
    }
    for name, (target, _) in targets.items():
        (netplan / name).symlink_to(target)
    for name, (_, text) in targets.items():
        assert host.read(f"/etc/netplan/{name}", follow=True) == text
        assert host.read(f"/etc/netplan/{name}") is None


def test_a_device_is_never_opened(host: Host) -> None:
    """To open some already does something: a watchdog begins to count."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a device")
    where = host.path("/etc/netplan/90-multinic0.yaml")
    host.directory("/etc/netplan")
    try:
        os.mknod(where, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero: endless, where it is read
    except PermissionError:
        pytest.skip("no devices can be made here")
    assert host.file(NETPLAN) is None
    host.write(NETPLAN, "ours", 0o600)
    assert host.read(NETPLAN) == "ours"
