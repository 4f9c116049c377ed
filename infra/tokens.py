"""Make tokens that the service accepts: for the command line, demonstrations and tests. Checking is command_api's."""

import time
from typing import Any

import jwt

from infra.settings import Settings

SERVICE_SCOPE = "chat:service"


def sign_token(settings: Settings, user: int, *, service: bool = False, seconds: int = 86_400) -> str:
    """Return the token of a user or, with `service`, of a back end, which acts for any user; good for `seconds`.

    SettingError when there is no secret to sign it with.
    """
    now = int(time.time())
    claims: dict[str, Any] = {"sub": str(user), "iat": now, "exp": now + seconds}
    if service:
        claims["scope"] = SERVICE_SCOPE
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    return jwt.encode(claims, settings.secret(), settings.jwt_algorithms[0])
