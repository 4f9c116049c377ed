"""What tokens are signed with: the given secret, or one that is made at the first start and kept under the home."""

import secrets
from pathlib import Path

from infra.environment import Environment, SettingError
from infra.once import write_once

# RFC 7518, section 3.2: a key is at least as long as the hash. A shorter one can be guessed from a single token.
KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


def read_algorithms(env: Environment) -> tuple[str, ...]:
    """Return what tokens may be signed with; never `none`."""
    algorithms = env.words("CHAT_JWT_ALGORITHMS", ("HS256",))
    for algorithm in algorithms:
        if algorithm not in KEY_BYTES:
            raise SettingError("CHAT_JWT_ALGORITHMS", f"must be of {', '.join(KEY_BYTES)}, not {algorithm!r}")
    return algorithms


def read_secret(env: Environment, algorithms: tuple[str, ...]) -> str | None:
    """Return the given secret, if any."""
    given = env.text("CHAT_JWT_SECRET")
    needed = max(KEY_BYTES[algorithm] for algorithm in algorithms)
    if given is not None and len(given.encode()) < needed:
        raise SettingError("CHAT_JWT_SECRET", f"must have at least {needed} bytes for {', '.join(algorithms)}")
    return given


def kept_secret(path: Path, *, make: bool) -> str | None:
    """Return the secret kept in a file; None when there is none, unless it is to be made.

    Processes that start at once agree on the first.
    """
    try:
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_once(path, secrets.token_urlsafe(64))
        elif not path.exists():
            return None
        secret = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SettingError("CHAT_HOME", f"cannot keep a secret at {path}: {error.strerror}") from error
    if len(secret) < max(KEY_BYTES.values()):
        raise SettingError("CHAT_HOME", f"{path} holds no secret any more: delete it, and all sign in anew")
    return secret
