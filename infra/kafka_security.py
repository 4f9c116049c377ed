"""How to speak with the Kafka servers (KAFKA_SECURITY_*); the default is plain TCP without authentication."""

import ssl
from dataclasses import dataclass, field
from typing import Any

from infra.environment import Environment, SettingError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaSecurity:
    """The protocol, and what it needs; the `ssl_` ones are paths of PEM files, absent: the machine's authorities."""

    protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None

    @classmethod
    def read(cls, env: Environment) -> "KafkaSecurity":
        """Read and check the settings; raises SettingError."""
        security = cls(
            protocol=env.choice("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", PROTOCOLS),
            sasl_mechanism=env.text("KAFKA_SECURITY_SASL_MECHANISM"),
            sasl_username=env.text("KAFKA_SECURITY_SASL_USERNAME"),
            sasl_password=env.text("KAFKA_SECURITY_SASL_PASSWORD"),
            ssl_cafile=env.text("KAFKA_SECURITY_SSL_CAFILE"),
            ssl_certfile=env.text("KAFKA_SECURITY_SSL_CERTFILE"),
            ssl_keyfile=env.text("KAFKA_SECURITY_SSL_KEYFILE"),
        )
        for part in ("mechanism", "username", "password"):
            name, given = f"KAFKA_SECURITY_SASL_{part.upper()}", getattr(security, f"sasl_{part}")
            if security.sasl and given is None:
                raise SettingError(name, f"is needed with {security.protocol}")
            if given is not None and not security.sasl:
                raise SettingError(name, f"contradicts KAFKA_SECURITY_PROTOCOL {security.protocol}")
        return security

    @property
    def sasl(self) -> bool:
        """Whether the client says who it is."""
        return self.protocol.startswith("SASL")

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS needs, with the servers' names checked, or None without TLS."""
        if not self.protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ssl_cafile)
        if self.ssl_certfile is not None:
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        return context

    def options(self) -> dict[str, Any]:
        """Return the arguments of an aiokafka client."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if (context := self.context()) is not None:
            options["ssl_context"] = context
        if self.sasl:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options
