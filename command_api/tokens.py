"""Who is asking: JSON Web Tokens (RFC 7519), signed with the algorithms of the settings and no other."""

import re
import time
from collections import OrderedDict
from typing import NamedTuple

import jwt

from infra.settings import Settings
from schemas.errors import ChatError, Code
from schemas.ids import MAX_ID

SERVICE_SCOPE = "chat:service"
MOST_REMEMBERED = 20_000

_USER = re.compile(r"[1-9][0-9]{0,15}")


class Identity(NamedTuple):
    """The bearer of a token; a `service` is a back end and acts for any user. `expires_at`: seconds since the epoch."""

    user_id: int
    service: bool
    expires_at: int

    def require(self, user_id: int) -> None:
        """Refuse anybody but this user, and back ends: ChatError FORBIDDEN."""
        if self.user_id != user_id and not self.service:
            raise ChatError(Code.FORBIDDEN, "the token is another user's", {"user_id": "must be the token's user"})

    def require_service(self) -> None:
        """Refuse everybody but back ends: ChatError FORBIDDEN."""
        if not self.service:
            raise ChatError(Code.FORBIDDEN, f"this needs a token with the scope {SERVICE_SCOPE}")


class Tokens:
    """Checks tokens; those that passed are remembered until they expire."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.secret()
        self._algorithms = list(settings.jwt_algorithms)
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer
        self._remembered: OrderedDict[str, Identity] = OrderedDict()

    def check(self, token: str) -> Identity:
        """Return the bearer; ChatError UNAUTHORIZED or TOKEN_EXPIRED."""
        identity = self._remembered.get(token)
        if identity is None:
            identity = self._verify(token)
            self._remembered[token] = identity
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        if identity.expires_at <= time.time():
            raise _expired()
        return identity

    def _verify(self, token: str) -> Identity:
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "sub"], "verify_aud": self._audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise _expired() from None
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as error:
            raise ChatError(Code.UNAUTHORIZED, "the token is not good", {"token": str(error)}) from None
        scope = claims.get("scope")
        service = isinstance(scope, str) and SERVICE_SCOPE in scope.split()
        user_id = _user_id(claims["sub"])
        if user_id is None and not service:
            raise ChatError(Code.UNAUTHORIZED, "the token is not good", {"sub": "must be a user id"})
        return Identity(user_id or 0, service, int(claims["exp"]))


def _user_id(sub: str) -> int | None:
    return int(sub) if _USER.fullmatch(sub) and int(sub) <= MAX_ID else None


def _expired() -> ChatError:
    return ChatError(Code.TOKEN_EXPIRED, "the token has expired", {"token": "has expired"})
