"""Keys fetched as an application would: etsi-qkd-014-client, unmodified, over mutual TLS."""

from __future__ import annotations

import base64
import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from etsi_qkd_014_client import QKD014Client

from labctl.errors import RequestError
from labctl.keys.manager import KeyManager
from labctl.keys.server import KeyServer, tls_context
from labctl.keys.store import KeyStore

A = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
B = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"


class Authority:
    """Signs throw-away certificates; `certificate(name)` gives the paths of one and its key."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.pem = folder / f"{name}.pem"
        self.pem.write_bytes(self._sign(self.name, self.key, True).public_bytes(PEM))

    def certificate(self, name: str) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
        signed = self._sign(x509.Name(subject), key, False)
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        paths[0].write_bytes(signed.public_bytes(PEM))
        paths[1].write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return str(paths[0]), str(paths[1])

    def _sign(self, subject: x509.Name, key: Any, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip


PEM = serialization.Encoding.PEM


@dataclass
class Place:
    """A server of two nodes, and what clients need."""

    store: KeyStore
    authority: Authority
    port: int
    secret: bytes

    def client(self, name: str, authority: Authority | None = None) -> QKD014Client:
        certificate = (authority or self.authority).certificate(name)
        return QKD014Client(f"localhost:{self.port}", *certificate, str(self.authority.pem))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    bits = np.random.default_rng(1).integers(0, 2, 8 * 2000).astype(np.uint8)
    store = KeyStore(tmp_path / "store")
    store.deliver(A, "alice-bob", bits)
    store.deliver(B, "alice-carol", bits[::-1])
    authority = Authority(tmp_path)
    context = tls_context(*map(Path, authority.certificate("kme")), authority.pem)
    manager = KeyManager(KeyStore(store.folder), {"saeA": "alice", "saeB": "bob", "saeC": "carol"})
    server = KeyServer(manager, context)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield Place(store, authority, server.listens_on[1], np.packbits(bits).tobytes())
    server.close()
    thread.join(10)
    assert not thread.is_alive()


def keys(answer: tuple[int, Any]) -> dict[str, bytes]:
    code, document = answer
    assert code == 200, document
    return {key.key_id: base64.b64decode(key.key) for key in document.keys}


def test_master_and_slave_get_the_same_keys_once(place: Place) -> None:
    master, slave = place.client("saeA"), place.client("saeB")
    code, status = master.get_status("saeB")
    assert code == 200
    assert (status.source_kme_id, status.target_kme_id) == ("alice", "bob")
    assert (status.master_sae_id, status.slave_sae_id) == ("saeA", "saeB")
    assert (status.key_size, status.min_key_size, status.max_key_size) == (256, 64, 8192)
    assert (status.stored_key_count, status.max_key_per_request) == (62, 128)
    assert status.max_sae_id_count == 0
    default = keys(master.get_key("saeB"))
    assert [len(key) for key in default.values()] == [32]
    asked = keys(master.get_key("saeB", number=3, size=128))
    assert [len(key) for key in asked.values()] == [16] * 3
    given = default | asked
    assert b"".join(given.values()) == place.secret[:80]
    assert master.get_status("saeB")[1].stored_key_count == (2000 - 80) // 32
    fetched = keys(slave.get_key_with_key_IDs("saeA", list(given)))
    assert fetched == given
    code, error = slave.get_key_with_key_IDs("saeA", [next(iter(given))])
    assert code == 400
    assert error.message == "one or more keys specified are not found on KME"


def test_what_a_request_may_not_ask_for(place: Place) -> None:
    master, slave, other = (place.client(name) for name in ("saeA", "saeB", "saeC"))
    for options, said in [
        ({"size": 57}, "size must be from 64"), ({"size": 8200}, "size must be from 64"),
        ({"size": 100}, "size shall be a multiple of 8"), ({"number": 129}, "number must be from 1"),
        ({"additional_slave_sae_ids": ["saeC"]}, "max_SAE_ID_count is 0"),
        ({"extension_mandatory": [{"route": "short"}]}, "extension_mandatory"),
    ]:  # fmt: skip
        code, error = master.get_key("saeB", **options)
        assert (code, said in error.message) == (400, True), (options, error.message)
    code, error = master.get_key("saeB", number=128, size=8192)
    assert code == 503
    assert error.message.startswith("insufficient keys")
    assert keys(master.get_key("saeB", extension_optional=[{"route": "short"}]))
    code, error = master.get_status("nobody")
    assert (code, error.message) == (400, "no key is shared between SAE 'saeA' and SAE 'nobody'")
    assert slave.get_status("saeC")[0] == 400  # bob and carol have no link
    (name,) = keys(master.get_key("saeB"))
    for client, of in ((other, "saeA"), (master, "saeB")):
        assert client.get_key_with_key_IDs(of, [name])[0] == 400  # not theirs
    assert slave.get_key_with_key_IDs("saeA", [name, "no such"])[0] == 400
    assert keys(slave.get_key_with_key_IDs("saeA", [name]))


def test_applications_are_known_by_their_certificate_alone(place: Place, tmp_path: Path) -> None:
    assert place.client("mallory").get_status("saeB")[0] == 400
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    stranger = place.client("saeA", Authority(foreign, "another authority"))
    with pytest.raises(requests.exceptions.ConnectionError):
        stranger.get_status("saeB")
    url = f"https://localhost:{place.port}/api/v1/keys/saeB/status"
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, verify=str(place.authority.pem), timeout=10)  # no certificate
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url.replace("https", "http"), timeout=10)
    assert place.client("saeA").get_status("saeB")[0] == 200  # the server is still there


def test_tls_from_1_2_on(place: Place) -> None:
    certificate = place.authority.certificate("saeA")
    server = tls_context(*map(Path, certificate), place.authority.pem)
    assert server.minimum_version == ssl.TLSVersion.TLSv1_2
    assert server.verify_mode == ssl.CERT_REQUIRED
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = ssl.create_default_context(cafile=str(place.authority.pem))
        client.load_cert_chain(*certificate)
        client.minimum_version = client.maximum_version = version
        with (
            socket.create_connection(("localhost", place.port), 10) as plain,
            client.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(b"GET /api/v1/keys/saeB/status HTTP/1.1\r\nHost: kme\r\n\r\n")
            assert secure.recv(100).startswith(b"HTTP/1.1 200")
            assert secure.version() == version.name.replace("_", ".")


def test_files_that_are_no_certificates(place: Place, tmp_path: Path) -> None:
    certificate, key = map(Path, place.authority.certificate("kme"))
    nothing, text = tmp_path / "nothing.pem", tmp_path / "text.pem"
    text.write_text("no certificate")
    for files, said in [
        ((nothing, key, place.authority.pem), "nothing.pem: there is no such file"),
        ((text, key, place.authority.pem), "are no certificate and its key in PEM form"),
        ((certificate, key, text), "text.pem: is no certificate in PEM form"),
    ]:
        with pytest.raises(RequestError, match=said):
            tls_context(*files)


def test_odd_requests_get_an_answer_and_the_connection_goes_on(place: Place) -> None:
    session = requests.Session()
    session.trust_env = False
    session.verify, session.cert = str(place.authority.pem), place.authority.certificate("saeA")
    base = f"https://localhost:{place.port}/api/v1/keys"
    for method, path, body, code in [
        ("GET", "/saeB/status", None, 200), ("POST", "/saeB/status", b"{}", 405),
        ("GET", "/saeB/keys", None, 404), ("GET", "/../../etc/passwd", None, 404),
        ("GET", "/saeB/enc_keys?number=2&size=64", None, 200),
        ("GET", "/saeB/enc_keys?number=two", None, 400), ("GET", "/saeB/enc_keys?&&", None, 400),
        ("POST", "/saeB/enc_keys", b"", 200), ("POST", "/saeB/enc_keys", b"[1]", 400),
        ("POST", "/saeB/enc_keys", b"{", 400), ("POST", "/saeB/enc_keys", b"[" * 60000, 400),
        ("POST", "/saeB/enc_keys", b'{"number": true}', 400),
        ("POST", "/saeB/enc_keys", b'{"number": 1e999}', 400),
        ("POST", "/saeB/dec_keys", b"{}", 400), ("POST", "/saeB/dec_keys", b'{"key_IDs": []}', 400),
        ("POST", "/saeB/dec_keys", b'{"key_IDs": [5]}', 400),
        ("GET", "/saeB/dec_keys?key_ID=" + "x" * 70, None, 400),
        ("POST", "/saeB/enc_keys", b"x" * 70000, 413),
        ("GET", "/%73aeB/status", None, 200), ("GET", "/saeB/status?#", None, 200),
    ]:  # fmt: skip
        answer = session.request(method, base + path, data=body, timeout=10)
        assert answer.status_code == code, (method, path, answer.text)
        assert answer.headers["Cache-Control"] == "no-store"
        document = answer.json()
        assert code == 200 or isinstance(document["message"], str)


def test_what_is_no_path_is_answered_as_well(place: Place) -> None:
    client = ssl.create_default_context(cafile=str(place.authority.pem))
    client.load_cert_chain(*place.authority.certificate("saeA"))
    with (
        socket.create_connection(("localhost", place.port), 10) as plain,
        client.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        for target in (b"//[", b"*", b"http://[/api/v1/keys/saeB/status", b"/%ff%00"):
            secure.sendall(b"GET %s HTTP/1.1\r\nHost: kme\r\n\r\n" % target)
            assert secure.recv(1000).startswith(b"HTTP/1.1 404")


def test_a_name_that_would_forge_a_line_of_the_log_is_none(place: Place, caplog) -> None:
    with caplog.at_level(logging.INFO):
        client = place.client("saeA\nSAE saeB")
        assert client.get_status("saeB")[0] == 401
    assert "SAE saeB" not in caplog.text


def test_no_key_is_ever_logged(place: Place, caplog) -> None:
    with caplog.at_level(logging.DEBUG):
        given = keys(place.client("saeA").get_key("saeB", number=3))
        keys(place.client("saeB").get_key_with_key_IDs("saeA", list(given)))
    assert "SAE saeA: POST /api/v1/keys/saeB/enc_keys: 200" in caplog.text
    for secret in given.values():
        assert base64.b64encode(secret).decode() not in caplog.text
        assert secret.hex() not in caplog.text


def test_two_managers_share_one_store(place: Place, tmp_path: Path) -> None:
    """Each node has its own key manager, as on two sites; one of them is the command."""
    words = ["keys", "serve", "--json", "--port", "0", "--node", "bob", "--sae", "saeB=bob",
             "--sae", "saeA=alice", "--store", str(place.store.folder)]  # fmt: skip
    certificate, key = place.authority.certificate("kme2")
    files = ["--certificate", certificate, "--key", key, "--ca", str(place.authority.pem)]
    with subprocess.Popen(
        [sys.executable, "-c", "from labctl.cli import script; script()", *words, *files],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        assert command.stdout is not None
        assert command.stderr is not None
        try:
            ready = json.loads(command.stdout.readline())
            assert ready["ready"]
            given = keys(place.client("saeA").get_key("saeB", number=2))
            slave, stranger = place.client("saeB"), place.client("saeA")
            for client in (slave, stranger):
                client.kme_hostname = (
                    ready["address"].split("/")[2].replace("127.0.0.1", "localhost")
                )
            assert keys(slave.get_key_with_key_IDs("saeA", list(given))) == given
            assert stranger.get_status("saeB")[0] == 401  # alice's application belongs elsewhere
        finally:
            command.terminate()
        assert command.wait(20) == 0
        said = command.stderr.read()
    assert "SAE saeB: POST /api/v1/keys/saeA/dec_keys: 200" in said
    assert all(base64.b64encode(secret).decode() not in said for secret in given.values())
