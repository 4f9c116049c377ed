from dataclasses import replace
from pathlib import Path

from command_api.tokens import Tokens
from infra.settings import Settings, load_settings
from infra.tokens import sign_token


def settings(home: Path) -> Settings:
    return load_settings({"CHAT_HOME": str(home), "CHAT_JWT_SECRET": "s" * 32})


def test_the_service_takes_what_is_signed_here(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    for those in (plain, replace(plain, jwt_audience="chat", jwt_issuer="us")):
        user = Tokens(those).check(sign_token(those, 7))
        back_end = Tokens(those).check(sign_token(those, 7, service=True))
        assert (user.user_id, user.service, back_end.service) == (7, False, True)


def test_a_token_is_good_for_as_long_as_was_asked(tmp_path: Path) -> None:
    those = settings(tmp_path)
    short, long = (Tokens(those).check(sign_token(those, 7, seconds=seconds)) for seconds in (60, 3_660))
    assert 3_599 <= long.expires_at - short.expires_at <= 3_601
