"""Real servers without an installation: Apache Kafka on a Java from a wheel, and PostgreSQL from another.

Each is a child process with its state under a directory; starting, stopping and what can go wrong is here, who starts
what and when is in infra/supervisor.py.
"""
