"""Headless Chromium over its debugging pipe: no driver, no socket and no further package.

The protocol is Chrome's DevTools protocol, JSON ended by a zero byte, read by the browser from file descriptor 3 and
written to 4 (https://chromedevtools.github.io/devtools-protocol).
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60.0  # seconds for one answer, on the slowest machine
LAUNCH = "import os, sys; a, b, *c = sys.argv[1:]; os.dup2(int(a), 3); os.dup2(int(b), 4); os.execvp(c[0], c)"


def chromium() -> str | None:
    """Return the browser's binary, None where there is none on the path (or no pipe that it could inherit)."""
    return None if os.name == "nt" else next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with one page in it; a context manager."""

    def __init__(self, folder: Path):
        import fcntl

        self.errors: list[str] = []
        self._buffer, self._count, self._session, self._events = b"", 0, None, []
        (theirs, self._to), (self._from, answer) = os.pipe(), os.pipe()
        # above 4, so that the copies to 3 and 4 overwrite neither
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs, answer)]
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        flags += ["--no-first-run", "--disable-dev-shm-usage", f"--user-data-dir={folder}", "about:blank"]
        command = [sys.executable, "-c", LAUNCH, *map(str, ends), chromium(), *flags]
        self._process = subprocess.Popen(command, pass_fds=ends, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for end in (theirs, answer, *ends):
            os.close(end)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._to)
        os.close(self._from)

    # ---- the protocol ----

    def call(self, method: str, **parameters):
        """Send a command and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda m: m.get("id") == self._count)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _until(self, wanted):
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self._next(deadline)
            method, told = message.get("method"), message.get("params", {})
            called = method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning")
            if called or method in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(told))
            self._events.append(method)
            if wanted(message):
                return message

    def _next(self, deadline):
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self._from], [], [], left)[0], "the browser does not answer"
            read = os.read(self._from, 1 << 20)
            assert read, "the browser has gone"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    # ---- what a person does ----

    def open(self, path: Path, width: int = 1280, height: int = 900, *, touch: bool = False, **media: str):
        """Open a file in a window of this size; media such as ``prefers_color_scheme="dark"``."""
        self.errors.clear()
        self.resize(width, height, touch=touch)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)
        self._events.clear()
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        if "Page.loadEventFired" not in self._events:
            self._until(lambda m: m.get("method") == "Page.loadEventFired")
        self.settle()

    def resize(self, width: int, height: int, *, touch: bool = False):
        """Give the window another size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if touch else 1, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)

    def run(self, expression: str):
        """Evaluate JavaScript in the page and return its value."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def settle(self):
        """Wait until what was asked for has been painted."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def rest(self):
        """Wait until what glides has arrived and what is said late has been said."""
        self.run("new Promise((done) => setTimeout(done, 350))")
        self.settle()

    def place(self, selector: str) -> tuple[float, float, float, float]:
        """Bring an element into view and return its left, top, width and height."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        return self.box(selector)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element on the screen."""
        found = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        return tuple(self.run(f"(({{x, y, width, height}}) => [x, y, width, height])({found})"))

    def move(self, x: float, y: float, **more):
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", **{"type": "mouseMoved", "x": x, "y": y} | more)

    def click(self, x: float, y: float):
        """Click there."""
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float]):
        """Drag with the left button."""
        self.move(*start)
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], button="left", clickCount=1)
        for share in (0.25, 0.5, 0.75, 1.0):
            x, y = (a + share * (b - a) for a, b in zip(start, end))
            self.move(x, y, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], button="left", clickCount=1)

    def wheel(self, x: float, y: float, down: float):
        """Turn the wheel there."""
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)

    def touch(self, kind: str, *places: tuple[float, float]):
        """Touch the screen: ``Start``, ``Move`` or ``End``, with a finger at each place."""
        points = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(places)]
        self.call("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=points)

    def key(self, name: str, *, text: str = "", shift: bool = False):
        """Press a key and let it go."""
        held = {"key": name, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **held, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **held)

    def screenshot(self, path: Path, *, whole: bool = False):
        """Keep a picture of the window, or of the whole page."""
        png = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        Path(path).write_bytes(base64.b64decode(png))
