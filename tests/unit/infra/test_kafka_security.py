import ssl
from pathlib import Path

import pytest

from infra.environment import Environment, SettingError
from infra.kafka_security import KafkaSecurity

SASL = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SECURITY_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SECURITY_SASL_USERNAME": "me",
    "KAFKA_SECURITY_SASL_PASSWORD": "secret",
}


def read(**values: str) -> KafkaSecurity:
    return KafkaSecurity.read(Environment(values))


def test_by_default_nothing_is_hidden_and_nobody_asked() -> None:
    assert read().options() == {"security_protocol": "PLAINTEXT"}


def test_a_client_says_who_it_is_over_tls_that_checks_the_server() -> None:
    options = read(**SASL).options()
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "me")
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert options["ssl_context"].check_hostname


@pytest.mark.parametrize("missing", [name for name in SASL if "SASL_" in name])
def test_what_sasl_needs_is_named_when_it_is_missing(missing: str) -> None:
    given = {name: value for name, value in SASL.items() if name != missing}
    with pytest.raises(SettingError, match=f"{missing}: is needed with SASL_SSL"):
        read(**given)


def test_a_user_without_sasl_is_a_contradiction() -> None:
    with pytest.raises(SettingError, match="SASL_USERNAME: contradicts KAFKA_SECURITY_PROTOCOL PLAINTEXT"):
        read(KAFKA_SECURITY_SASL_USERNAME="me")


def test_a_mechanism_that_no_client_speaks_is_refused() -> None:
    with pytest.raises(SettingError, match="SASL_MECHANISM: must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, not"):
        read(**{**SASL, "KAFKA_SECURITY_SASL_MECHANISM": "MD5"})


@pytest.mark.parametrize("name", ["SSL_CAFILE", "SSL_CERTFILE", "SSL_KEYFILE"])
def test_certificates_without_tls_are_a_contradiction(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name}: contradicts KAFKA_SECURITY_PROTOCOL PLAINTEXT"):
        read(**{f"KAFKA_SECURITY_{name}": "file.pem"})


@pytest.mark.parametrize("name", ["SSL_CAFILE", "SSL_CERTFILE"])
def test_a_file_that_cannot_be_used_is_named(name: str, tmp_path: Path) -> None:
    given = {"KAFKA_SECURITY_PROTOCOL": "SSL", f"KAFKA_SECURITY_{name}": str(tmp_path / "file.pem")}
    with pytest.raises(SettingError, match=f"^KAFKA_SECURITY_{name}: cannot be used: No such file"):
        read(**given)
    (tmp_path / "file.pem").write_text("no certificate")
    with pytest.raises(SettingError, match=f"^KAFKA_SECURITY_{name}: cannot be used: "):
        read(**given)


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(SettingError, match="SSL_CERTFILE: is needed with KAFKA_SECURITY_SSL_KEYFILE"):
        read(KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SECURITY_SSL_KEYFILE="key.pem")
