"""How to speak with the Kafka servers (KAFKA_SECURITY_*); the default is plain TCP without authentication."""

import ssl
from dataclasses import dataclass, field
from typing import Any

from infra.environment import Environment, SettingError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


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
        if security.sasl_mechanism not in (None, *MECHANISMS):
            wrong = f"must be one of {', '.join(MECHANISMS)}, not {security.sasl_mechanism!r}"
            raise SettingError(_name("sasl_mechanism"), wrong)
        for part in ("sasl_mechanism", "sasl_username", "sasl_password"):
            if security.sasl and getattr(security, part) is None:
                raise SettingError(_name(part), f"is needed with {security.protocol}")
            security._refuse(part, unless=security.sasl)
        for part in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            security._refuse(part, unless=security.tls)
        if security.ssl_keyfile is not None and security.ssl_certfile is None:
            raise SettingError(_name("ssl_certfile"), "is needed with KAFKA_SECURITY_SSL_KEYFILE")
        security.context()
        return security

    def _refuse(self, part: str, *, unless: bool) -> None:
        """Refuse what was given although this protocol has no use for it: SettingError."""
        if getattr(self, part) is not None and not unless:
            raise SettingError(_name(part), f"contradicts KAFKA_SECURITY_PROTOCOL {self.protocol}")

    @property
    def sasl(self) -> bool:
        """Whether the client says who it is."""
        return self.protocol.startswith("SASL")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted, and the server says who it is."""
        return self.protocol.endswith("SSL")

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS needs, with the servers' names checked, or None without TLS; SettingError for a bad file."""
        if not self.tls:
            return None
        part = "ssl_cafile"
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile is not None:
                part = "ssl_certfile"
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        except OSError as error:
            raise SettingError(_name(part), f"cannot be used: {error.strerror or error}") from error
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


def _name(part: str) -> str:
    return f"KAFKA_SECURITY_{part.upper()}"
