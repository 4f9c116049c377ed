"""Read settings from a mapping of names to text, each with its type and its bounds.

What is wrong is said in one line that names the variable. Knows no particular setting: those are in settings.py.
"""

import difflib
import re
from collections.abc import Collection, Mapping

WHOLE = re.compile(r"-?[0-9]{1,20}")
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


class SettingError(Exception):
    """A setting that is wrong, unknown, or contradicts another: one line, which begins with the variable's name."""

    def __init__(self, name: str, wrong: str) -> None:
        super().__init__(f"{name}: {wrong}")
        self.name = name


class Environment:
    """The values as they were given; empty ones count as unset, as in a shell's `${NAME:-default}`."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value.strip() for name, value in values.items() if value.strip()}
        self._asked: set[str] = set()

    def text(self, name: str) -> str | None:
        """Return what was given, without white space around it, or None."""
        self._asked.add(name)
        return self._values.get(name)

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        given = self.text(name)
        if given is None:
            return default
        if not WHOLE.fullmatch(given):
            raise SettingError(name, f"must be a whole number, not {given!r}")
        if not low <= int(given) <= high:
            raise SettingError(name, f"must be from {low} to {high}, not {given}")
        return int(given)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return 1 or 0 (and their usual synonyms) as a truth value."""
        given = self.text(name)
        if given is None:
            return default
        if given.lower() not in TRUE | FALSE:
            raise SettingError(name, f"must be 1 or 0, not {given!r}")
        return given.lower() in TRUE

    def choice(self, name: str, default: str, among: Collection[str]) -> str:
        """Return one of a few words."""
        given = self.text(name) or default
        if given not in among:
            raise SettingError(name, f"must be one of {', '.join(sorted(among))}, not {given!r}")
        return given

    def words(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return what stands between commas; what holds nothing else counts as unset."""
        given = self.text(name) or ""
        return tuple(word for part in given.split(",") if (word := part.strip())) or default

    def refuse_unknown(self, prefix: str) -> None:
        """Refuse a name with our prefix that nothing has asked for: most likely a typing error."""
        known = sorted(name for name in self._asked if name.startswith(prefix))
        for name in sorted(self._values):
            if name.startswith(prefix) and name not in self._asked:
                near = difflib.get_close_matches(name, known, n=1)
                raise SettingError(name, f"no such setting{f'; {near[0]} is meant?' if near else ''}")
