"""The JavaScript clients, in Node, with sockets, locks and channels that do what each test wants."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("javascript_clients.mjs")
PATIENCE_SECONDS = 60


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
def test_the_javascript_clients_do_what_their_own_tests_say() -> None:
    ran = subprocess.run(["node", SCRIPT], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
