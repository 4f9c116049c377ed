"""A real browser without a window: Chromium over its DevTools protocol, with tabs that run JavaScript for a test."""

import asyncio
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

START_SECONDS = 60
PATIENCE_SECONDS = 30

# Without its sandbox, which root may not use: it only sees the pages of the test.
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*"),
)


def chromium() -> str | None:
    """Return the program, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Tab:
    """One tab, which is told what to do over a connection of its own."""

    def __init__(self, browser: "Browser", name: str, connection: ClientConnection) -> None:
        self._browser = browser
        self._name = name
        self._connection = connection
        self._numbers = itertools.count(1)

    async def run(self, expression: str) -> Any:
        """Return what an expression is, or what its promise resolves with; AssertionError if it throws."""
        answer = await self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await self.run(expression):
                    await asyncio.sleep(0.05)
        except TimeoutError as late:
            told = await self.run("JSON.stringify(window.told)")
            raise AssertionError(f"it did not come: {expression}; the tab was told {told}") from late

    async def close(self) -> None:
        """Close it as its user does."""
        await self._connection.close()
        await self._browser.close_tab(self._name)

    async def crash(self) -> None:
        """End its process; it cannot do anything about it."""
        with suppress(ConnectionClosed, TimeoutError):
            await self._ask("Page.crash", patience=2)
        await self._connection.close()

    async def _ask(self, method: str, *, patience: float = PATIENCE_SECONDS, **params: Any) -> Any:
        number = next(self._numbers)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(patience):
            while (answer := json.loads(await self._connection.recv())).get("id") != number:
                pass
        assert "error" not in answer, answer
        return answer["result"]


class Browser:
    """A running browser; its tabs share what those of one user do."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def open(self, url: str) -> Tab:
        """Open a page in a new tab, and wait until it has loaded."""
        answer = await self._http.put(f"/json/new?{quote(url, safe='')}")
        opened = answer.raise_for_status().json()
        tab = Tab(self, opened["id"], await connect(opened["webSocketDebuggerUrl"], max_size=None, compression=None))
        await tab.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
        return tab

    async def close_tab(self, name: str) -> None:
        """Close a tab."""
        (await self._http.get(f"/json/close/{name}")).raise_for_status()


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Run a browser with a profile of its own."""
    program = chromium()
    assert program is not None
    home = Path(tempfile.mkdtemp(prefix="chat-browser-"))
    process = await asyncio.create_subprocess_exec(
        *(program, *OPTIONS, f"--user-data-dir={home}", "about:blank"),
        env={"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        address = await _address(home / "DevToolsActivePort", process)
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_SECONDS, verify=False, trust_env=False) as http:
            yield Browser(http)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        shutil.rmtree(home, ignore_errors=True)


async def _address(written: Path, process: asyncio.subprocess.Process) -> str:
    """Wait until the browser has written down where it listens."""
    async with asyncio.timeout(START_SECONDS):
        while not (written.exists() and (port := written.read_text(encoding="utf-8").split("\n")[0])):
            assert process.returncode is None, "the browser ended"
            await asyncio.sleep(0.05)
    return f"http://127.0.0.1:{port}"
