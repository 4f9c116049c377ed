"""Fetch Kafka's jars by their Maven coordinates, once, and hold them to their checksums at every start.

What to fetch is in kafka.lock.toml, in the format of jgo's lock files (lock.py writes it). They are kept beside the
user's other caches, for all homes; nothing touches the network while they are there.
"""

import hashlib
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infra.part import Progress, StartError

LOCK = Path(__file__).with_name("kafka.lock.toml")
AT_ONCE = 8
TELL_EVERY = 10
LOOK_SECONDS = 0.2
STAGING = "fetching-"
LEFT_SECONDS = 86_400
"""What was staged so long ago is nobody's any more: it was left behind by one that was killed."""


@dataclass(frozen=True, slots=True)
class Jar:
    """A jar by its coordinates and its checksum."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> tuple[Jar, ...]:
    """Return what the lock file lists, Kafka itself first."""
    lock = tomllib.loads(LOCK.read_text(encoding="utf-8"))
    return tuple(
        Jar(entry["groupId"], entry["artifactId"], entry["version"], entry["sha256"]) for entry in lock["dependencies"]
    )


def cache() -> Path:
    """Return where jars are kept: by Kafka's version, so that two versions do not disturb each other."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "chat" / f"kafka-{locked_jars()[0].version}"


def class_path(progress: Progress) -> str:
    """Return Java's class path, with every jar there and verified; blocks while it fetches what is missing.

    Interrupted, it begins no other jar, and waits for none.
    """
    jars, directory = locked_jars(), cache()
    missing = [jar for jar in jars if not verified(directory / jar.file, jar)]
    if missing:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _sweep(directory)
            progress(f"downloading Apache Kafka: {len(missing)} files")
            for done, _ in enumerate(_fetch_all(missing, directory), start=1):
                if done % TELL_EVERY == 0:
                    progress(f"downloading Apache Kafka: {done} of {len(missing)} files are here")
        except OSError as error:
            raise StartError(f"Apache Kafka cannot be fetched into {directory}: {error}") from error
    return os.pathsep.join(str(directory / jar.file) for jar in jars)


def verified(path: Path, jar: Jar) -> bool:
    """Tell whether the file is there and is this jar, by its checksum."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False


def _fetch_all(jars: list[Jar], directory: Path) -> Iterator[str]:
    pool = ThreadPoolExecutor(AT_ONCE)
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=directory, ignore_cleanup_errors=True) as staging:
        try:
            for fetching in [pool.submit(_fetch, jar, directory, Path(staging)) for jar in jars]:
                while not wait([fetching], LOOK_SECONDS).done:
                    pass  # an interruption that another thread gets wakes nobody
                yield fetching.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _sweep(directory: Path) -> None:
    for left in directory.glob(f"{STAGING}*"):
        with suppress(FileNotFoundError):  # its own process was quicker
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _fetch(jar: Jar, directory: Path, staging: Path) -> str:
    """Fetch one jar; it takes its place only whole and verified, whoever else fetches it at the same time."""
    # Imported here: jgo takes a quarter of a second, and a warm start has no use for it.
    from jgo.constants import default_maven_repo  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    for local in ([default_maven_repo()], []):  # what Maven has here already, unless it is broken
        maven = MavenContext(repo_cache=staging, local_repos=local, timeout=60)
        try:
            found: Path = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        except (OSError, RuntimeError) as error:
            raise StartError(f"Apache Kafka cannot be fetched: {error}") from error
        if verified(found, jar):
            unfinished = staging / jar.file
            shutil.copyfile(found, unfinished)
            unfinished.replace(directory / jar.file)
            return jar.file
    raise StartError(f"{jar.file} was fetched with a checksum other than in {LOCK.name}: not used")
