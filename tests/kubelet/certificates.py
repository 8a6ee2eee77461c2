# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one test, and a server certificate of it for 127.0.0.1."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority, the server's certificate and its key."""

    ca: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def issue(folder: Path, *, name: str = "", also: Sequence[str] = (), age: float = 0) -> Certificates:
    """Make a new authority and a certificate for localhost and 127.0.0.1, or for `name` alone, in `folder`.

    `also` are more addresses. A certificate is good for a day; this one was made `age` days ago.
    """
    now = dt.datetime.now(dt.UTC) - dt.timedelta(days=age)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"test authority {folder.name}")])
    subject_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name or "localhost")])
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", *also)]
    everywhere = [x509.DNSName("localhost"), *addresses]
    alternatives = [x509.DNSName(name)] if name else everywhere

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, *, is_ca: bool) -> bytes:
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=is_ca,
            crl_sign=is_ca,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    made = Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    made.ca.write_bytes(signed(ca_name, ca_key.public_key(), is_ca=True))
    made.certificate.write_bytes(signed(subject_name, key.public_key(), is_ca=False))
    private = serialization.PrivateFormat.PKCS8
    made.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return made
