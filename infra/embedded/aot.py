"""What Java keeps of an earlier start of Kafka, so that the next needs a third of the time (JEP 483, JEP 514).

An ahead-of-time cache holds for one Java and one set of jars, and lies beside these; training.py makes it. Without it
everything works, only slower.
"""

import hashlib
import os
from pathlib import Path

from infra.embedded.jars import cache
from infra.embedded.java import Java


def aot_cache(java: Java, jars: str) -> Path:
    """Return where the cache of this Java and these jars is, or would be."""
    # The same Java in another environment can use it: what it is says a file of its own, not where it is.
    release = java.path.parent.parent / "release"
    parts = [release.read_text(encoding="utf-8") if release.exists() else str(java.path), jars]
    # Java refuses a cache whose jars have another time than when it was made.
    parts += [str(Path(jar).stat().st_mtime_ns) for jar in jars.split(os.pathsep)]
    return cache() / f"{hashlib.sha256(':'.join(parts).encode()).hexdigest()[:16]}.aot"


def aot_options(java: Java, jars: str) -> tuple[str, ...]:
    """Return the options by which Java uses the cache, if it is there."""
    file = aot_cache(java, jars)
    if not java.keeps_starts or not file.exists():
        return ()
    # It warns of collisions in its own tables, which cost it nothing but a method (JDK-8364929).
    return (f"-XX:AOTCache={file}", "-Xlog:aot*=error")
