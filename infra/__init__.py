"""What the services stand on: settings, Kafka and Postgres, the embedded servers, logs, and the command line.

Knows the shared language (schemas) and none of the services: these hang their subcommands on `chat` by an entry point.
Start with settings.py, then supervisor.py for `chat up`.
"""
