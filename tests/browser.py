"""A real browser for tests: headless Chromium over its debugging pipe, with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


class Browser:
    """One page in a browser; use it in a with statement.

    ``requests`` lists the addresses that the page asked for, ``complaints`` what it wrote to the console or raised.
    """

    def __init__(self, folder, *, width=1280, height=900, mobile=False):
        self.requests, self.complaints = [], []
        self._number, self._loaded = 0, False
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        arguments = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--disable-background-networking", "--no-first-run", f"--user-data-dir={folder}", "--remote-debugging-pipe",
        ]  # fmt: skip

        def connect():
            # Chromium reads commands from descriptor 3 and answers on 4, where the pipes themselves may lie by now
            ends = os.dup(commands), os.dup(answers)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._process = subprocess.Popen(
            arguments, preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(answers)
        self._pending = b""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def open(self, url):
        """Load an address and wait until its pictures are there."""
        self._loaded = False
        self.ask("Page.navigate", url=url)
        while not self._loaded:
            self._hear()
        # an answer after the load event: what the page wrote before is known by then
        assert self.run("document.readyState") == "complete"

    def run(self, expression):
        """Return the value of a JavaScript expression."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return found["result"].get("value")

    def screenshot(self):
        """Return the whole page as PNG."""
        # one that is higher than this is cut: the compositor has no larger surface
        height = min(self.run("document.documentElement.scrollHeight"), 16000)
        width = self.run("innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(found["data"])

    def pdf(self):
        """Return the page as printed."""
        return base64.b64decode(self.ask("Page.printToPDF")["data"])

    def ask(self, method, **parameters):
        """Send a command to the page and return its result."""
        return self._ask(method, self._session, **parameters)

    def _ask(self, method, session=None, **parameters):
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        command |= {} if session is None else {"sessionId": session}
        os.write(self._write, json.dumps(command).encode() + b"\0")
        number = self._number
        while (message := self._hear()).get("id") != number:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def _hear(self):
        until = time.monotonic() + 120
        while b"\0" not in self._pending:
            if not select.select([self._read], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser says nothing")
            got = os.read(self._read, 1 << 20)
            if not got:
                raise RuntimeError("the browser has gone")
            self._pending += got
        line, self._pending = self._pending.split(b"\0", 1)
        message = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, event):
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(event["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(event["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(event["entry"]["text"])
