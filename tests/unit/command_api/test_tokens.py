"""Tokens: what is good, and everything that is not."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from command_api.tokens import MOST_REMEMBERED, Identity, Tokens
from infra.settings import Settings, load_settings
from schemas.errors import ChatError, Code

SECRET = "a secret that is long enough for every HMAC that is allowed here, 64 bytes and more"


def settings(tmp_path: Path, **given: str) -> Settings:
    return load_settings({"CHAT_HOME": str(tmp_path), "CHAT_JWT_SECRET": SECRET, **given}, discover=False)


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(settings(tmp_path))


def signed(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    return jwt.encode({"sub": "7", "exp": time.time() + 60, **claims}, key, algorithm, headers)


def unsigned(claims: object, header: object = None) -> str:
    parts = (header or {"alg": "HS256", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def refused(tokens: Tokens, token: str) -> Code:
    with pytest.raises(ChatError) as error:
        tokens.check(token)
    assert error.value.status == 401
    assert error.value.details
    return error.value.code


def test_a_token_names_its_user(tokens: Tokens) -> None:
    identity = tokens.check(signed())
    assert (identity.user_id, identity.service) == (7, False)


def test_a_service_token_may_name_nobody(tokens: Tokens) -> None:
    identity = tokens.check(signed(sub="match-maker", scope="other chat:service"))
    assert (identity.user_id, identity.service) == (0, True)


@pytest.mark.parametrize("scope", ["chat:services", "chat", "", 7, ["chat:service"], None])
def test_another_scope_is_no_service(tokens: Tokens, scope: object) -> None:
    assert not tokens.check(signed(scope=scope)).service


@pytest.mark.parametrize(
    "sub", ["", "0", "-7", "07", "7.0", "7 ", " 7", "x", "\u0667", "9007199254740992", "9" * 50, 7, None, True, ["7"]]
)
def test_a_subject_that_is_no_user_id_is_refused(tokens: Tokens, sub: object) -> None:
    assert refused(tokens, signed(sub=sub) if isinstance(sub, str) else forged({"sub": sub})) is Code.UNAUTHORIZED


def forged(claims: dict[str, Any]) -> str:
    """Return a well signed token with claims that a library would not write."""
    payload = json.dumps({"exp": time.time() + 60, **claims}).encode()
    return jwt.api_jws.PyJWS().encode(payload, SECRET, "HS256")


@pytest.mark.parametrize(
    "token", ["", "x", "a.b", "a.b.c", "..", "é.é.é", "\x00", "x" * 10_000, "eyJhbGciOiJIUzI1NiJ9.e30."]
)
def test_garbage_is_refused(tokens: Tokens, token: str) -> None:
    assert refused(tokens, token) is Code.UNAUTHORIZED


def test_another_key_is_refused(tokens: Tokens) -> None:
    assert refused(tokens, signed("another key, of a length that is good enough")) is Code.UNAUTHORIZED


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_no_signature_is_refused(tokens: Tokens, algorithm: str) -> None:
    claims = {"sub": "7", "exp": time.time() + 60}
    assert refused(tokens, unsigned(claims, {"alg": algorithm, "typ": "JWT"})) is Code.UNAUTHORIZED
    assert refused(tokens, unsigned(claims)) is Code.UNAUTHORIZED


def test_an_algorithm_that_is_not_in_the_settings_is_refused(tokens: Tokens) -> None:
    assert refused(tokens, signed(algorithm="HS512")) is Code.UNAUTHORIZED


def test_a_public_key_is_no_secret(tmp_path: Path) -> None:
    """Who knows a public key signs with it as if it were a secret: the algorithm is pinned, whatever the token says."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    tokens = Tokens(settings(tmp_path))
    header, payload = unsigned({"sub": "7", "exp": time.time() + 60}).split(".")[:2]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{header}.{payload}".encode(), public
    )
    forged_token = f"{header}.{payload}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert refused(tokens, forged_token) is Code.UNAUTHORIZED
    assert refused(tokens, signed(private, "RS256")) is Code.UNAUTHORIZED


def test_an_unknown_key_id_helps_nobody(tokens: Tokens) -> None:
    assert tokens.check(signed(headers={"kid": "../../etc/passwd"})).user_id == 7
    assert refused(tokens, signed("x" * 40, headers={"kid": "x"})) is Code.UNAUTHORIZED


def test_a_token_without_an_end_or_a_subject_is_refused(tokens: Tokens) -> None:
    without_end = jwt.encode({"sub": "7"}, SECRET, "HS256")
    without_subject = jwt.encode({"exp": time.time() + 60}, SECRET, "HS256")
    assert refused(tokens, without_end) is Code.UNAUTHORIZED
    assert refused(tokens, without_subject) is Code.UNAUTHORIZED


@pytest.mark.parametrize("exp", ["soon", None, [], {}, 1e400])
def test_an_end_that_is_no_time_is_refused(tokens: Tokens, exp: object) -> None:
    assert refused(tokens, forged({"sub": "7", "exp": exp})) is Code.UNAUTHORIZED


def test_an_expired_token_has_its_own_code(tokens: Tokens) -> None:
    assert refused(tokens, signed(exp=time.time() - 1)) is Code.TOKEN_EXPIRED


def test_a_token_that_was_good_expires(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token = signed(exp=time.time() + 5)
    assert tokens.check(token).user_id == 7
    later = time.time() + 6
    monkeypatch.setattr("command_api.tokens.time.time", lambda: later)
    assert refused(tokens, token) is Code.TOKEN_EXPIRED


def test_a_token_that_is_not_valid_yet_is_refused(tokens: Tokens) -> None:
    assert refused(tokens, signed(nbf=time.time() + 60)) is Code.UNAUTHORIZED


def test_audience_and_issuer_are_those_of_the_settings(tmp_path: Path) -> None:
    tokens = Tokens(settings(tmp_path, CHAT_JWT_AUDIENCE="chat", CHAT_JWT_ISSUER="https://id.example"))
    good: dict[str, Any] = {"aud": "chat", "iss": "https://id.example"}
    assert tokens.check(signed(**good)).user_id == 7
    assert tokens.check(signed(**{**good, "aud": ["other", "chat"]})).user_id == 7
    for wrong in ({"aud": "other"}, {"iss": "https://other.example"}):
        assert refused(tokens, signed(**{**good, **wrong})) is Code.UNAUTHORIZED
    assert refused(tokens, signed(aud="chat")) is Code.UNAUTHORIZED
    assert refused(tokens, signed(iss="https://id.example")) is Code.UNAUTHORIZED


def test_an_audience_is_nothing_to_a_service_that_asks_for_none(tokens: Tokens) -> None:
    assert tokens.check(signed(aud="whoever")).user_id == 7


def test_no_error_repeats_a_token(tokens: Tokens) -> None:
    token = signed("another key, of a length that is good enough")
    with pytest.raises(ChatError) as error:
        tokens.check(token)
    assert token not in json.dumps(error.value.body("now"))


def test_remembered_tokens_are_bounded(tokens: Tokens) -> None:
    tokens._remembered.update({str(number): Identity(1, False, 0) for number in range(MOST_REMEMBERED)})
    tokens.check(signed())
    assert len(tokens._remembered) == MOST_REMEMBERED


def test_a_user_acts_for_nobody_else_and_a_service_for_all() -> None:
    Identity(7, False, 0).require(7)
    Identity(0, True, 0).require(7)
    Identity(0, True, 0).require_service()
    with pytest.raises(ChatError) as error:
        Identity(7, False, 0).require(8)
    assert (error.value.code, list(error.value.details)) == (Code.FORBIDDEN, ["user_id"])
    with pytest.raises(ChatError) as error:
        Identity(7, False, 0).require_service()
    assert error.value.code is Code.FORBIDDEN
