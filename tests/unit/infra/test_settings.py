import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.running import Process, Running, write_running
from infra.settings import SettingError, Settings, load_settings

LONG = "0123456789" * 7
Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return lambda **values: load_settings({"CHAT_HOME": str(tmp_path), **values})


def test_defaults_are_those_of_the_contract(load: Load) -> None:
    settings = load()
    assert (settings.host, settings.port, settings.log_format) == ("127.0.0.1", 8000, "console")
    limits = (settings.messages_per_minute, settings.connections_per_user, settings.reports_per_day)
    assert limits == (10, 5, 5)
    assert (settings.open_by_users, settings.jwt_algorithms) == (False, ("HS256",))


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("CHAT_PORT", "abc", "must be a whole number"),
        ("CHAT_PORT", "0", "must be from 1 to 65535"),
        ("CHAT_MESSAGES_PER_MINUTE", "-1", "must be from 0"),
        ("CHAT_JWT_ALGORITHMS", "none", "must be of HS256, HS384, HS512, not 'none'"),
        ("CHAT_JWT_ALGORITHMS", "HS256,RS256", "not 'RS256'"),
        ("CHAT_JWT_SECRET", "short", "must have at least 32 bytes for HS256"),
        ("CHAT_LOG_FORMAT", "xml", "must be one of console, json"),
        ("CHAT_ALLOWED_ORIGINS", "example.org", "must be scheme://host"),
        ("CHAT_NAME", "a b", "must be up to 64"),
        ("CHAT_PROT", "8000", "no such setting; CHAT_PORT is meant"),
        ("DATABASE_URL", "mysql://secret@db", "must begin with postgresql://"),
        (
            "DATABASE_URL",
            "postgresql://me:hidden@db:port/chat",
            "must be postgresql://user:password@host:port/database",
        ),
        ("DATABASE_URL", "postgresql://me:hid/den@db/chat", "must be postgresql://user:password@host:port/database"),
        ("DATABASE_URL", "postgresql://me:hid[den@db/chat", "must be postgresql://user:password@host:port/database"),
        ("DATABASE_URL", "postgresql://me:[hidden]@db/chat", "must be postgresql://user:password@host:port/database"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker", "must be host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker:99999", "must be host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker:9092,kafka://broker:9092", "not 'kafka://broker:9092'"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a broker:9092", "must be host:port"),
        ("CHAT_OWN_PORT", "8000", "contradicts CHAT_PORT"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "must be one of"),
        ("KAFKA_SECURITY_PROTOCOL", "SSL", "must not be SSL: the embedded Kafka speaks plain TCP"),
        ("KAFKA_SECURITY_SASL_USER", "me", "no such setting; KAFKA_SECURITY_SASL_USERNAME is meant"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(load: Load, name: str, value: str, wrong: str) -> None:
    with pytest.raises(SettingError) as refused:
        load(**{name: value})
    assert str(refused.value).startswith(f"{name}: ")
    assert wrong in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.name == name


def test_a_password_in_an_address_is_not_repeated(load: Load) -> None:
    for url in ("mysql://me:hidden@db", "postgresql://me:[hidden]@db"):
        with pytest.raises(SettingError) as refused:
            load(DATABASE_URL=url)
        assert "hidden" not in str(refused.value)


def test_no_secret_is_in_the_text_of_settings(load: Load) -> None:
    settings = load(
        CHAT_JWT_SECRET=LONG,
        DATABASE_URL="postgresql://me:hidden@db/chat",
        KAFKA_BOOTSTRAP_SERVERS="broker:9092",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SECURITY_SASL_MECHANISM="PLAIN",
        KAFKA_SECURITY_SASL_USERNAME="me",
        KAFKA_SECURITY_SASL_PASSWORD="hidden",
    )
    assert LONG not in repr(settings)
    assert "hidden" not in repr(settings)


def test_without_servers_that_are_given_or_run_it_says_what_to_do(load: Load) -> None:
    with pytest.raises(SettingError, match="KAFKA_BOOTSTRAP_SERVERS: is not set, and no `chat up` runs in"):
        load().kafka_options()
    with pytest.raises(SettingError, match="DATABASE_URL: is not set, and no `chat up` runs in"):
        load().database()


def test_without_a_secret_it_says_where_there_is_one(load: Load) -> None:
    with pytest.raises(SettingError, match=r"CHAT_JWT_SECRET: is not set, and none is kept in .*: run this where"):
        load().secret()
    assert load(CHAT_JWT_SECRET=LONG).secret() == LONG


def test_who_serves_makes_a_secret_and_the_others_find_it(tmp_path: Path) -> None:
    environ = {"CHAT_HOME": str(tmp_path / "home")}
    made = load_settings(environ, make_secret=True).secret()
    assert load_settings(environ).secret() == made


def test_the_servers_that_run_in_the_home_are_found_and_given_ones_come_first(load: Load, tmp_path: Path) -> None:
    running = Running(
        supervisor=Process.of(os.getpid()),
        kafka_bootstrap_servers="127.0.0.1:1",
        database_url="postgresql://there",
        url="http://127.0.0.1:2",
        edges=(),
        parts={},
    )
    write_running(tmp_path, running)
    assert load().kafka_options()["bootstrap_servers"] == "127.0.0.1:1"
    assert load(DATABASE_URL="postgresql://given").database() == "postgresql://given"
    assert load_settings({"CHAT_HOME": str(tmp_path)}, discover=False).database_url is None


def test_a_file_of_settings_is_read_and_the_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("CHAT_PORT=1001\nCHAT_HOST=0.0.0.0\n# CHAT_NOTHING=1\nOTHER=1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAT_PORT", "1002")
    settings = load_settings()
    assert (settings.port, settings.host) == (1002, "0.0.0.0")


def test_a_file_of_settings_that_is_no_text_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"CHAT_PORT=\xff")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=r"^\.env: cannot be read: "):
        load_settings()


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"^CHAT_HOME: cannot keep a secret at .*: File exists$"):
        load_settings({"CHAT_HOME": str(tmp_path / "file")}, make_secret=True)


@pytest.mark.parametrize("url", ["postgresql://", "postgres://db", "postgresql://me@[::1]:5432,db:5433/chat?a=b"])
def test_an_address_of_postgres_may_be_any_that_its_clients_take(load: Load, url: str) -> None:
    assert load(DATABASE_URL=url).database() == url


def test_an_edge_has_the_same_name_after_a_restart(load: Load) -> None:
    assert load(CHAT_NAME="edge-7").edge_name == "edge-7"
    assert load(CHAT_PORT="81").edge_name == load(CHAT_PORT="81").edge_name
    assert load(CHAT_OWN_PORT="91").edge_name != load(CHAT_OWN_PORT="92").edge_name
