"""A TLS end before a server that has none, and a wire that can be cut: PostgreSQL's protocol seen from between."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
Cut = Callable[[bytes], str]
"""Looks at what the client sends: "" to pass it on, "before" to lose it, "after" to lose the answer."""


@dataclass(frozen=True)
class Certificates:
    """Files of a certificate authority, and of a server at 127.0.0.1 that it vouches for."""

    authority: Path
    server: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make a new authority and a server's certificate, good for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = dt.datetime.now(dt.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("authority", "server")}
    names = {name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {folder.name}")]) for name in keys}
    files = Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    for name, path in (("authority", files.authority), ("server", files.server)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["authority"])
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
        )
        path.write_bytes(builder.sign(keys["authority"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        keys["server"].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


@contextlib.contextmanager
def proxy(host: str, port: int, *, certificates: Certificates | None = None, cut: Cut | None = None) -> Iterator[int]:
    """Stand between clients and a server; yields the port.

    Args:
        host: Of the server.
        port: Of the server.
        certificates: Speak TLS, and with nobody who does not; without, leave it to the server.
        cut: Decides for each piece that a client sends whether the connection breaks.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, (host, port), certificates, cut), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _accept(
    listener: socket.socket, server: tuple[str, int], certificates: Certificates | None, cut: Cut | None
) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, server, certificates, cut), daemon=True).start()


def _serve(client: socket.socket, server: tuple[str, int], certificates: Certificates | None, cut: Cut | None) -> None:
    with contextlib.suppress(OSError), socket.create_connection(server) as upstream:
        first = client.recv(8, socket.MSG_PEEK)
        if certificates is not None:
            if first != _SSL_REQUEST:
                client.close()
                return
            client.recv(8)
            client.sendall(b"S")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.server, certificates.key)
            client = context.wrap_socket(client, server_side=True)
        with client:
            deaf = threading.Event()
            answering = threading.Thread(target=_answer, args=(upstream, client, deaf), daemon=True)
            answering.start()
            while piece := client.recv(65_536):
                verdict = cut(piece) if cut is not None else ""
                if verdict == "after":
                    # the server does its work, and nobody hears of it
                    deaf.set()
                    upstream.sendall(piece)
                    # the other thread takes the answer: two that wait for it would leave one waiting for ever
                    answering.join()
                if verdict:
                    return
                upstream.sendall(piece)


def _answer(upstream: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while piece := upstream.recv(65_536):
            if deaf.is_set():
                return
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
