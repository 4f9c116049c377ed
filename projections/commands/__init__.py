"""The command line of the projections: one module for each command of `chat` (pyproject.toml names them)."""
