import ssl

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
