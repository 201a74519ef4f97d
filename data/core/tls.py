"""A certificate authority of one's own and the web's certificate, so that phones on the same network can use HTTPS.

The authority's key stays in secret/ca.key and signs nothing but this web; phones trust tls/ca.crt
after comparing its fingerprint.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import ipaddress
import os
import socket
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import qrcode
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from data.core.embedded import prepare
from data.core.osuser import product_account
from data.core.secret import write_secret
from data.core.settings import Settings

AUTHORITY_DAYS, SERVER_DAYS = 3650, 397  # browsers refuse a server certificate that lasts longer than 398 days
RENEW_DAYS = 30
_SIOCGIFADDR = 0x8915


class NoCertificate(RuntimeError):
    """The certificate cannot be made or read; the message says what to do."""


def own_addresses() -> list[str]:
    """IPv4 addresses of this machine, loopback last."""
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an IPv4 address
            found.append(socket.inet_ntoa(answer[20:24]))
    return sorted(set(found) | {"127.0.0.1"}, key=lambda address: (address.startswith("127."), address))


def _alternatives(settings: Settings, more: list[str]) -> list[x509.GeneralName]:
    names = ["localhost", socket.gethostname(), *own_addresses(), "::1", *more]
    if settings.host not in ("0.0.0.0", "::"):
        names.append(settings.host)
    made: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            made.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            made.append(x509.DNSName(name))
    return made


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(settings: Settings) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, file = settings.secret_dir / "ca.key", settings.tls_dir / "ca.crt"
    if key_file.exists() and file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise NoCertificate(f"{key_file} is not a key made by `app.py tls`: move {settings.tls_dir} away and run it again.")
        return key, x509.load_pem_x509_certificate(file.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Campus Safety Map {socket.gethostname()}")
    made = (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_secret(key_file, _pem(key))
    if os.getuid() == 0:
        os.chown(key_file, 0, 0)  # the web never needs it
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return key, made


def _is_good(settings: Settings, wanted: list[x509.GeneralName], authority: x509.Certificate) -> bool:
    file = settings.tls_dir / "server.crt"
    if not file.exists() or not (settings.tls_dir / "server.key").exists():
        return False
    made = x509.load_pem_x509_certificate(file.read_bytes())
    covered = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    lasts = made.not_valid_after_utc - datetime.now(UTC) > timedelta(days=RENEW_DAYS)
    return lasts and made.issuer == authority.subject and all(name in list(covered) for name in wanted)


def ensure(settings: Settings, *, more: list[str] | None = None, say: Callable[[str], None] = lambda text: None) -> bool:
    """Make what is missing, expires within 30 days or does not name an address of this machine. Returns whether it was made.

    Raises:
        NoCertificate: a key of somebody else lies there.
    """
    folder = settings.tls_dir
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    key, authority = _authority(settings)
    wanted = _alternatives(settings, more or [])
    if _is_good(settings, wanted, authority):
        return False
    say("making the certificate")
    server = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(_name("Campus Safety Map"), authority.subject, server.public_key(), SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_secret(folder / "server.key", _pem(server))
    part = folder / "server.crt.part"
    part.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    if os.getuid() == 0:
        os.chown(part, product_account().uid, product_account().gid)
    part.replace(folder / "server.crt")
    return True


def fingerprint(file: Path) -> str:
    """SHA-256 of a certificate as phones show it: pairs of hex digits with colons."""
    return x509.load_pem_x509_certificate(file.read_bytes()).fingerprint(hashes.SHA256()).hex(":").upper()


def phone_url(settings: Settings) -> str:
    """The address a phone on the same network opens."""
    host = settings.host if settings.host not in ("0.0.0.0", "::") and not settings.is_loopback else own_addresses()[0]
    return f"https://{host}:{settings.port}/"


def describe(settings: Settings) -> str:
    """Address, fingerprint and a QR code for a terminal."""
    code = qrcode.QRCode(border=2)
    code.add_data(phone_url(settings))
    drawn = io.StringIO()
    code.print_ascii(out=drawn, invert=True)
    return (
        f"address for phones:      {phone_url(settings)}\n"
        f"authority to trust:      {settings.tls_dir / 'ca.crt'}\n"
        f"its SHA-256 fingerprint: {fingerprint(settings.tls_dir / 'ca.crt')}\n"
        f"{drawn.getvalue()}"
    )


def main(settings: Settings, argv: list[str]) -> int:
    """`app.py tls [NAME …]`: make or renew the certificate, for more names or addresses than this machine's own."""
    parser = argparse.ArgumentParser(
        prog="app.py tls", description="Make a local authority and the web's certificate; print fingerprint and QR code."
    )
    parser.add_argument("name", nargs="*", help="further host names or addresses the certificate shall cover")
    given = parser.parse_args(argv)
    prepare(settings)
    made = ensure(settings, more=given.name)
    print("made a new certificate" if made else "the certificate is still good")
    print(describe(settings))
    return 0
