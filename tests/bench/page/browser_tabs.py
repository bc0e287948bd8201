"""Browser tabs in one window, of which only the front one is visible, over the DevTools protocol.

Playwright tells every page of its own that it is seen, whatever lies in front of it. These tabs are opened past it,
over the browser's own protocol, so that the one behind is hidden.
"""

from __future__ import annotations

import json
import time
from typing import Any

from playwright.sync_api import Browser, Page

TIMEOUT_SECONDS = 60.0


class BrowserTabs:
    """The tabs of one window. `clock` is any page of Playwright's, through which it lets time pass."""

    def __init__(self, browser: Browser, clock: Page) -> None:
        self.session = browser.new_browser_cdp_session()
        self.clock = clock
        self.answers: dict[tuple[str, int], dict[str, Any]] = {}
        self.session.on("Target.receivedMessageFromTarget", self._on_message)

    def _on_message(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if "id" in message:
            self.answers[event["sessionId"], message["id"]] = message

    def open_tab(self, url: str) -> BrowserTab:
        """A new tab, in front of the others."""
        target = self.session.send("Target.createTarget", {"url": url})["targetId"]
        session = self.session.send("Target.attachToTarget", {"targetId": target, "flatten": False})["sessionId"]
        return BrowserTab(self, target, session)


class BrowserTab:
    """One of them."""

    def __init__(self, tabs: BrowserTabs, target: str, session: str) -> None:
        self._tabs, self._target, self._session = tabs, target, session
        self._sent = 0

    def bring_to_front(self) -> None:
        """Bring it to the front, as a click on it does."""
        self._tabs.session.send("Target.activateTarget", {"targetId": self._target})

    def send_command(self, method: str, **params: object) -> dict[str, Any]:
        """One command of the protocol and its answer."""
        self._sent += 1
        message = json.dumps({"id": self._sent, "method": method, "params": params})
        self._tabs.session.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": message})
        until = time.monotonic() + TIMEOUT_SECONDS
        while (answer := self._tabs.answers.pop((self._session, self._sent), None)) is None:
            if time.monotonic() > until:
                raise TimeoutError(f"no answer to {method}")
            self._tabs.clock.wait_for_timeout(5)
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        told = self.send_command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"]["exception"].get("description", "an error in the page"))
        return told["result"].get("value")

    def wait_until(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            self._tabs.clock.wait_for_timeout(50)

    def measure_weight(self) -> tuple[float, int]:
        """MB of live JavaScript heap and nodes of the document, what can be collected left out."""
        self.send_command("HeapProfiler.collectGarbage")
        heap = self.send_command("Runtime.getHeapUsage")["usedSize"] / 1e6
        return heap, self.send_command("Memory.getDOMCounters")["nodes"]
