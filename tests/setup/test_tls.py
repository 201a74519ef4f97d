"""The certificate for phones: an authority of one's own, a server certificate with every name of the machine."""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from data.core import tls
from data.core.settings import BadSetting, Settings, read


@pytest.fixture
def own(open_dir: Path) -> Settings:
    made = read({"DATA_DIR": str(open_dir / "data"), "TLS": "1", "HOST": "0.0.0.0"})
    made.secret_dir.mkdir(parents=True)
    return made


def _server(settings: Settings) -> x509.Certificate:
    return x509.load_pem_x509_certificate((settings.tls_dir / "server.crt").read_bytes())


def test_the_certificate_names_every_address_of_this_machine(own):
    assert tls.ensure(own, more=["wall.example.org", "192.0.2.7"])
    covered = _server(own).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "wall.example.org"} <= set(covered.get_values_for_type(x509.DNSName))
    assert {*tls.own_addresses(), "192.0.2.7"} <= {str(address) for address in covered.get_values_for_type(x509.IPAddress)}


def test_openssl_accepts_the_chain_for_a_name_and_refuses_another(own):
    tls.ensure(own)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(own.tls_dir / "server.crt", own.tls_dir / "server.key")
    for name, is_accepted in (("localhost", True), ("elsewhere.example.org", False)):
        client = ssl.create_default_context(cafile=str(own.tls_dir / "ca.crt"))
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        asking = client.wrap_bio(to_client, to_server, server_hostname=name)
        answering = server.wrap_bio(to_server, to_client, server_side=True)
        assert _shake_hands(asking, answering) is is_accepted


def _shake_hands(asking: ssl.SSLObject, answering: ssl.SSLObject) -> bool:
    for _ in range(6):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return asking.version() is not None


def test_a_good_certificate_is_kept_and_a_new_name_renews_it_under_the_same_authority(own):
    assert tls.ensure(own)
    first, authority = _server(own).serial_number, tls.fingerprint(own.tls_dir / "ca.crt")
    assert not tls.ensure(own)
    assert _server(own).serial_number == first
    assert tls.ensure(replace(own, host="192.0.2.9"))
    assert _server(own).serial_number != first
    assert tls.fingerprint(own.tls_dir / "ca.crt") == authority


def test_a_certificate_near_its_end_is_renewed(own, monkeypatch):
    tls.ensure(own)
    lasts = _server(own).not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=390) < lasts < timedelta(days=398), "browsers refuse more than 398 days"
    monkeypatch.setattr(tls, "RENEW_DAYS", 400)
    assert tls.ensure(own)


def test_keys_are_closed_and_the_authoritys_is_not_the_webs(own):
    tls.ensure(own)
    for key in (own.secret_dir / "ca.key", own.tls_dir / "server.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    if os.getuid() == 0:
        assert (own.secret_dir / "ca.key").stat().st_uid == 0
        assert (own.tls_dir / "server.key").stat().st_uid != 0


def test_the_command_prints_address_fingerprint_and_a_code_to_scan(own, capsys):
    assert tls.main(own, []) == 0
    said = capsys.readouterr().out
    assert tls.phone_url(own) in said
    assert tls.fingerprint(own.tls_dir / "ca.crt") in said
    assert len(tls.fingerprint(own.tls_dir / "ca.crt")) == 95
    assert any(character in said for character in "█▀▄")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "map.example.org"])
def test_plain_http_off_loopback_is_refused(host):
    with pytest.raises(BadSetting, match="without TLS=1"):
        read({"HOST": host})
    assert read({"HOST": host, "TLS": "1"}).tls


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_plain_http_on_loopback_is_fine(host):
    assert read({"HOST": host}).is_loopback
