"""MySQL's own ways to log in: whoever answers, no listener and no false server is told the password."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pymysql
import pytest

from multinic.database import rsa, source
from multinic.database.url import parse_url
from multinic.values.errors import ConfigError, Exit, SourceError, SourceRejected
from tests.db.conftest import settings
from tests.mariadb import PrivateMariaDB
from tests.mysql_player import CHALLENGE, OK, greeting, playing, switch

PASSWORD = "s3cret-pässword"
SHA2 = ["caching_sha2_password", "sha256_password"]


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """Have PyMySQL believe that it can encrypt, as it can where Python has `cryptography`: and hear of it."""
    used = []

    def encrypt(password, salt, key):
        used.append(key)
        return b"encrypted:" + password

    monkeypatch.setattr(pymysql._auth, "sha2_rsa_encrypt", encrypt)
    yield
    assert used == [], "the library encrypted the password with a key that it had fetched"


@pytest.fixture
def key(tmp_path):
    """A server's pair of keys: the private one's path, and the public one in PEM format and its path."""
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    generate = [
        "openssl",
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
        private,
    ]
    subprocess.run(generate, check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return SimpleNamespace(private=private, public=public, pem=public.read_bytes())


def decrypted(key, packet):
    """Return what a server with this key reads out of a packet."""
    command = ["openssl", "pkeyutl", "-decrypt", "-inkey", key.private, "-pkeyopt", "rsa_padding_mode:oaep"]
    done = subprocess.run(command, input=packet, check=True, capture_output=True)
    return bytes(byte ^ CHALLENGE[at % 20] for at, byte in enumerate(done.stdout))


def server(plugin, pem=b"", *, first="mysql_native_password"):
    """A server that asks for the password in full, whatever the client has sent."""

    def play(player):
        player.say(greeting(first))
        player.hear()
        player.say(switch(plugin))
        if plugin.startswith("caching"):
            player.hear()
            player.say(b"\x01\x04")
        answer = player.hear()
        if answer in (b"\x01", b"\x02"):
            player.say(b"\x01" + pem)
            player.hear()
        player.say(OK)

    return play


def connect(port, query="", **changes):
    return source.connect(settings(f"mysql://node@127.0.0.1:{port}/x{query}", PASSWORD, **changes))


def tells(heard):
    """Whether any packet has the password in it, or asks for a key to encrypt it with."""
    return any(PASSWORD.encode() in packet or packet in (b"\x01", b"\x02") for packet in heard)


@pytest.mark.parametrize("plugin", SHA2)
@pytest.mark.parametrize("first", ["mysql_native_password", *SHA2])
def test_without_tls_and_without_a_key_the_password_is_not_sent_and_no_key_fetched(plugin, first, key):
    play = server(plugin, key.pem, first=first)
    with playing(play) as (port, heard), pytest.raises(SourceRejected) as caught:
        connect(port)
    assert not tells(heard)
    assert "could be read on the way" in str(caught.value)
    assert ("ssl_ca=" in caught.value.hint, "server_public_key=" in caught.value.hint) == (True, True)
    assert caught.value.exit is Exit.USAGE


@pytest.mark.parametrize("first", SHA2)
def test_a_server_that_takes_its_own_way_without_asking_for_it_gets_nothing(first, key):
    """It answers the first packet at once as if the client had begun to log in by SHA-2."""

    def play(player):
        player.say(greeting(first))
        player.hear()
        player.say(b"\x01" + (b"\x04" if first.startswith("caching") else key.pem))
        player.hear()
        player.say(b"\x01" + key.pem)
        player.hear()

    with playing(play) as (port, heard), pytest.raises(SourceError):
        connect(port)
    assert not tells(heard)


def test_a_server_that_asks_again_after_it_said_yes_gets_nothing(key):
    def play(player):
        player.say(greeting("mysql_native_password"))
        player.hear()
        player.say(switch("caching_sha2_password"))
        player.hear()
        player.say(b"\x01\x03")
        player.say(b"\x01\x04")
        player.hear()
        player.say(b"\x01" + key.pem)
        player.hear()

    with playing(play) as (port, heard), pytest.raises(SourceError):
        connect(port)
    assert not tells(heard)


@pytest.mark.parametrize("plugin", SHA2)
def test_under_the_servers_key_from_a_file_only_the_server_can_read_the_password(plugin, key):
    with playing(server(plugin, b"another")) as (port, heard):
        connect(port, f"?server_public_key={key.public}").close()
    assert not tells(heard)
    assert decrypted(key, heard[-1]) == PASSWORD.encode() + b"\0"


@pytest.mark.parametrize("plugin", SHA2)
def test_a_key_is_fetched_only_where_that_is_asked_for_by_name(plugin, key):
    with playing(server(plugin, key.pem)) as (port, heard):
        connect(port, "?get_server_public_key=1").close()
    assert decrypted(key, heard[-1]) == PASSWORD.encode() + b"\0"
    with playing(server(plugin, key.pem)) as (port, heard), pytest.raises(SourceRejected):
        connect(port, "?get_server_public_key=0")
    assert not tells(heard)


@pytest.mark.parametrize(
    "pem", [b"", b"nonsense", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_a_key_that_is_none_is_an_error_to_try_again(pem):
    with playing(server("caching_sha2_password", pem)) as (port, _), pytest.raises(SourceError):
        connect(port, "?get_server_public_key=1")


@pytest.mark.parametrize(("text", "words"), [(None, "No such file"), ("nonsense", "no public key in PEM")])
def test_a_file_that_has_no_key_is_a_configuration_error(tmp_path, text, words):
    if text:
        (tmp_path / "key.pem").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        connect(1, f"?server_public_key={tmp_path / 'key.pem'}")
    assert "key.pem" in str(caught.value)


def test_what_is_encrypted_is_different_each_time_and_never_too_long(key):
    parsed = rsa.parse(key.pem)
    assert len({rsa.encrypted(b"x", parsed) for _ in range(5)}) == 5
    longest = b"x" * (parsed.size - 42)
    assert len(rsa.encrypted(longest, parsed)) == 256
    with pytest.raises(ValueError, match="too long"):
        rsa.encrypted(longest + b"x", parsed)


def test_a_key_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "ec.pem"
    make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    made = subprocess.run(make, check=True, capture_output=True).stdout
    pem = subprocess.run(["openssl", "pkey", "-pubout"], input=made, check=True, capture_output=True).stdout
    path.write_bytes(pem)
    with pytest.raises(ConfigError, match="none of RSA"):
        connect(1, f"?server_public_key={path}")


# TLS


@pytest.mark.parametrize("query", ["ssl_cert=/a", "ssl_key=/a", "ssl_cert=/a&ssl_key=/b", "ssl_verify=ca"])
def test_a_certificate_without_an_authority_is_refused_and_not_sent_in_clear(query):
    play = server("mysql_clear_password")
    with playing(play) as (port, heard), pytest.raises(ConfigError, match="without ssl_ca"):
        connect(port, f"?{query}")
    assert heard == []


@pytest.mark.parametrize(
    "query", ["ssl_verify=no&ssl_ca=/a", "get_server_public_key=yes", "ssl_ca=/a&ssl_key=/b"]
)
def test_a_parameter_that_cannot_be_meant_is_refused(query):
    with pytest.raises(ConfigError):
        parse_url(f"mysql://node@db/x?{query}")


def test_a_certificate_without_the_hosts_name_is_enough_where_that_is_asked_for(tmp_path):
    with PrivateMariaDB() as own:
        own.start(tls=True, address="0.0.0.0")
        own.execute("CREATE DATABASE x")
        own.create_user("node", PASSWORD, ["SELECT ON x.*"], tls=True)

        def url(query):
            return own.url(user="node", database="x", host="127.0.0.2", query=f"ssl_ca={own.ca}{query}")

        with pytest.raises(SourceRejected, match=r"(?i)certificate") as caught:
            source.connect(settings(url(""), PASSWORD))
        assert "ssl_verify=ca" in caught.value.hint
        with source.connect(settings(url("&ssl_verify=ca"), PASSWORD)) as database:
            _, found, _ = database.execute("SHOW STATUS LIKE 'Ssl_cipher'", ())
            assert next(iter(found))[1]
        other = tmp_path / "other.pem"
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        made += ["-keyout", tmp_path / "key.pem", "-out", other, "-subj", "/CN=other", "-days", "1"]
        subprocess.run(made, check=True, capture_output=True)
        wrong = url("&ssl_verify=ca").replace(str(own.ca), str(other))
        with pytest.raises(SourceRejected, match=r"(?i)certificate verify failed"):
            source.connect(settings(wrong, PASSWORD))
