"""The subcommands of `chat` that belong to no service, one a module, each imported when it is run (infra/cli.py)."""
