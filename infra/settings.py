"""Every setting of the service: from the environment, then from a `.env` file in the working directory.

Loaded once at the start of each process and passed on; nothing else reads the environment. How values are read and
refused is in environment.py, where the embedded servers' addresses come from is in running.py.
"""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from infra.environment import Environment, SettingError
from infra.kafka_security import KafkaSecurity
from infra.running import read_running
from infra.signing import kept_secret, read_algorithms, read_secret

__all__ = ["KafkaSecurity", "SettingError", "Settings", "load_settings"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a process was told at its start.

    home: where the embedded servers, logs and the made secret live.
    host, port: the clients' address. own_port: a second port of this edge alone, when several share `port`; 0: none.
    admin_port: kept for metrics; nothing listens there yet.
    name: this process's name among its kind, stable over restarts; edges sign events with it (`edge_name`), workers
        keep their partitions by it. None: an edge is named by host and port, a worker has no fixed place.
    kafka_bootstrap_servers (`host:port,...`), database_url: given, or those of the embedded servers that run now;
        None when there are neither.
    partitions: of each log, used when the topics are made and never after. flush: on one broker alone each batch is
        on the disk before it is acknowledged; without, the last records survive a killed process but not a power cut.
        Settled when the topics are made.
    jwt_secret: signs and checks tokens with `jwt_algorithms` (HMAC only): given, or kept in the home; None: neither.
    messages_per_minute, connections_per_user, reports_per_day: for each user; 0 means no limit.
    open_by_users: users may open conversations, not only back ends. caches: edges may cache answers.
    allowed_origins: that browsers may come from (CORS and sockets). compression: permessage-deflate when offered.
    log_format: console or json.
    """

    home: Path
    host: str
    port: int
    own_port: int
    admin_port: int
    name: str | None
    kafka_bootstrap_servers: str | None
    kafka_security: KafkaSecurity
    database_url: str | None = field(repr=False)
    partitions: int
    flush: bool
    jwt_secret: str | None = field(repr=False)
    jwt_algorithms: tuple[str, ...]
    jwt_audience: str | None
    jwt_issuer: str | None
    messages_per_minute: int
    connections_per_user: int
    reports_per_day: int
    open_by_users: bool
    caches: bool
    allowed_origins: tuple[str, ...]
    compression: bool
    log_format: str

    @property
    def edge_name(self) -> str:
        """The edge's name in `ce_source`, the same again after a restart."""
        return self.name or f"{socket.gethostname()}-{self.own_port or self.port}"

    def kafka_options(self) -> dict[str, Any]:
        """Return what every aiokafka client is made with; SettingError when there is no Kafka to speak with."""
        if self.kafka_bootstrap_servers is None:
            raise SettingError("KAFKA_BOOTSTRAP_SERVERS", f"is not set, and no `chat up` runs in {self.home}")
        return {"bootstrap_servers": self.kafka_bootstrap_servers, **self.kafka_security.options()}

    def database(self) -> str:
        """Return the database's address; SettingError when there is none."""
        if self.database_url is None:
            raise SettingError("DATABASE_URL", f"is not set, and no `chat up` runs in {self.home}")
        return self.database_url

    def secret(self) -> str:
        """Return what tokens are signed with; SettingError when there is nothing."""
        if self.jwt_secret is None:
            where = "run this where `chat up` runs, or set CHAT_HOME to its home"
            raise SettingError("CHAT_JWT_SECRET", f"is not set, and none is kept in {self.home}: {where}")
        return self.jwt_secret


def load_settings(
    environ: Mapping[str, str] | None = None, *, discover: bool = True, make_secret: bool = False
) -> Settings:
    """Read and check all settings; raises SettingError. An explicit `environ` stands alone, without a `.env` file.

    `discover`: fill in the addresses of the embedded servers when none were given. `make_secret`: keep a new one in the
    home, made if need be, when none was given; for who serves clients, as nobody else's would be accepted.
    """
    env = Environment(_with_dotenv() if environ is None else environ)
    home = Path(env.text("CHAT_HOME") or ".chat")
    running = read_running(home) if discover else None
    algorithms = read_algorithms(env)
    given, security = _bootstrap_servers(env), KafkaSecurity.read(env)
    if given is None and running is None and security.protocol != "PLAINTEXT":
        embedded = "the embedded Kafka speaks plain TCP, and KAFKA_BOOTSTRAP_SERVERS names no other"
        raise SettingError("KAFKA_SECURITY_PROTOCOL", f"must not be {security.protocol}: {embedded}")
    port = env.whole("CHAT_PORT", 8000, low=1, high=65535)
    settings = Settings(
        home=home,
        host=env.text("CHAT_HOST") or "127.0.0.1",
        port=port,
        own_port=_own_port(env, port),
        admin_port=env.whole("CHAT_ADMIN_PORT", 8001, low=1, high=65535),
        name=_name(env),
        kafka_bootstrap_servers=given or (running.kafka_bootstrap_servers if running else None),
        kafka_security=security,
        database_url=_database_url(env) or (running.database_url if running else None),
        partitions=env.whole("CHAT_PARTITIONS", 1, low=1, high=4096),
        flush=env.flag("CHAT_FLUSH", default=True),
        jwt_secret=read_secret(env, algorithms) or kept_secret(home / "jwt-secret", make=make_secret),
        jwt_algorithms=algorithms,
        jwt_audience=env.text("CHAT_JWT_AUDIENCE"),
        jwt_issuer=env.text("CHAT_JWT_ISSUER"),
        messages_per_minute=env.whole("CHAT_MESSAGES_PER_MINUTE", 10, low=0, high=1_000_000),
        connections_per_user=env.whole("CHAT_CONNECTIONS_PER_USER", 5, low=0, high=10_000),
        reports_per_day=env.whole("CHAT_REPORTS_PER_DAY", 5, low=0, high=1_000_000),
        open_by_users=env.flag("CHAT_OPEN_BY_USERS", default=False),
        caches=env.flag("CHAT_CACHES", default=True),
        allowed_origins=_origins(env),
        compression=env.flag("CHAT_COMPRESSION", default=True),
        log_format=env.choice("CHAT_LOG_FORMAT", "console", ("console", "json")),
    )
    env.refuse_unknown("CHAT_")
    env.refuse_unknown("KAFKA_SECURITY_")
    return settings


def _with_dotenv() -> dict[str, str]:
    try:
        file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(".env", f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return {**file, **os.environ}


def _own_port(env: Environment, port: int) -> int:
    own_port = env.whole("CHAT_OWN_PORT", 0, low=0, high=65535)
    if own_port == port:
        raise SettingError("CHAT_OWN_PORT", f"contradicts CHAT_PORT: {port} is the shared one")
    return own_port


def _name(env: Environment) -> str | None:
    name = env.text("CHAT_NAME")
    if name is not None and not NAME.fullmatch(name):
        raise SettingError("CHAT_NAME", f"must be up to 64 letters, digits, '.', '_' and '-', not {name!r}")
    return name


def _bootstrap_servers(env: Environment) -> str | None:
    servers = env.words("KAFKA_BOOTSTRAP_SERVERS")
    for server in servers:
        _, _, port = server.rpartition(":")
        if not re.fullmatch(r"[^\s/]+:[0-9]{1,5}", server) or not 1 <= int(port) <= 65535:
            raise SettingError("KAFKA_BOOTSTRAP_SERVERS", f"must be host:port,host:port…, not {server!r}")
    return ",".join(servers) or None


def _database_url(env: Environment) -> str | None:
    url = env.text("DATABASE_URL")
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        # Not repeated: it may hold a password.
        raise SettingError("DATABASE_URL", "must begin with postgresql://")
    form = "postgresql://user:password@host:port/database, with what is special in the password as %XX"
    wrong = SettingError("DATABASE_URL", f"must be {form}")
    try:
        hosts = urlsplit(url).netloc.rpartition("@")[2] if url else ""
    except ValueError:
        raise wrong from None
    if not all(re.fullmatch(r"(\[.*\]|[^:]*)(:[0-9]{0,5})?", host) for host in hosts.split(",")):
        raise wrong
    return url


def _origins(env: Environment) -> tuple[str, ...]:
    origins = env.words("CHAT_ALLOWED_ORIGINS")
    for origin in origins:
        if not re.fullmatch(r"\*|https?://[^/\s]+", origin):
            raise SettingError("CHAT_ALLOWED_ORIGINS", f"must be scheme://host, without a path, not {origin!r}")
    return origins
