"""Write kafka.lock.toml: the jars of a Kafka version and what they need, with their checksums.

    python -m infra.embedded.lock 4.3.0 2.25.4

Run by a person who moves to another version, never at a start; jars.py reads what it wrote.
"""

import sys

from jgo.env import LockFile
from jgo.maven import MavenContext
from jgo.parse import Coordinate

from infra.embedded.jars import LOCK


def write_lock(kafka: str, log4j: str) -> None:
    """Resolve Kafka and what it needs at run time; its pom leaves out the binding of slf4j to log4j."""
    maven = MavenContext()
    dependencies = [maven.create_dependency(Coordinate.parse(f"org.apache.kafka:kafka_2.13:{kafka}"))]
    inputs, needed = maven.resolver.resolve(dependencies)
    binding = maven.create_dependency(Coordinate.parse(f"org.apache.logging.log4j:log4j-slf4j-impl:{log4j}"))
    running = [dependency for dependency in needed if dependency.scope in ("compile", "runtime")]
    LockFile.from_resolved_dependencies([*inputs, binding, *running], environment_name="kafka").save(LOCK)


if __name__ == "__main__":
    write_lock(*sys.argv[1:])
