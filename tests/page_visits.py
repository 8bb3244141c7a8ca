"""Visits of people to a node's pages in headless Chromium: what goes wrong is written down."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from playwright.sync_api import Browser, Page, Request, Response, sync_playwright
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicom_node.pages.access.gate import Gate
from tests.conftest import CHROMIUM
from tests.page_server import served

ROUTE_HEADER = "X-Route"
"""Header of an answer with the route that gave it; in tests alone."""

PATIENCE_MS = 120_000
"""How long one thing may take; of a loaded machine an answer took half a minute."""

STARTED = ("--no-sandbox", "--force-prefers-reduced-motion", "--hide-scrollbars")

CONTROLS = """() => [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]')]
  .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility())"""
"""What can be used on a page, in its order."""

NAMES_OF_CONTROLS = f"""() => ({CONTROLS})()
  .filter((e) => !e.closest('svg'))
  .map((e) => `${{e.localName}} ${{e.type ?? ''}} ${{e.name ?? ''}} ${{e.innerText}}`)"""

WATCH_FOCUS = f"""() => {{
  const style = (e) => {{
    const s = getComputedStyle(e);
    return [s.outlineStyle, s.outlineWidth, s.stroke, s.strokeWidth, s.top].join();
  }};
  document.activeElement.blur();
  const controls = ({CONTROLS})();
  const before = new Map(controls.map((e) => [e, style(e)]));
  window.reached = new Set();
  window.plain = new Set();
  document.addEventListener('focusin', (event) => {{
    const e = event.target;
    window.reached.add(e);
    if (before.has(e) && style(e) === before.get(e)) window.plain.add(e);
  }});
  window.controls = controls;
  document.body.tabIndex = -1;
  document.body.focus();
  return controls.length;
}}"""

NOT_REACHED = """() => {
  const said = (e) => e.outerHTML.slice(0, 120);
  const group = (e) => [...window.controls].filter((o) => o.type === 'radio' && o.name === e.name);
  const missed = window.controls.filter((e) => !window.reached.has(e)
    && !(e.type === 'radio' && group(e).some((o) => window.reached.has(o))));
  return [...missed.map((e) => `not reached: ${said(e)}`),
          ...[...window.plain].map((e) => `focus is not seen: ${said(e)}`)];
}"""

WIDER_THAN_THE_WINDOW = "document.documentElement.scrollWidth - innerWidth"


class RouteNamed:
    """Gives each answer the route that gave it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start" and "route" in scope:
                path = getattr(scope["route"], "path", "")
                MutableHeaders(scope=message)[ROUTE_HEADER] = f"{scope['method']} {path}"
            await send(message)

        await self._app(scope, receive, send_named)


@dataclass
class Visit:
    """A page that somebody looks at.

    Parameters
    ----------
    page
        In the browser.
    faults
        What went wrong since it was opened: errors in the console, requests that failed or went
        elsewhere.
    answers
        Of the addresses that the page itself stood for, in their order.
    """

    page: Page
    address: str
    faults: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._request)
        self.page.on("response", self._response)

    def open(self, path: str) -> None:
        """Open an address of the node; what was written down before is forgotten."""
        self.faults.clear()
        self.answers.clear()
        self.page.goto(f"{self.address}{path}")

    @property
    def answer(self) -> Response:
        """What the page shows."""
        return self.answers[-1]

    def controls(self) -> list[str]:
        """What can be used, in words."""
        found: list[str] = self.page.evaluate(NAMES_OF_CONTROLS)
        return found

    def keyboard_faults(self) -> list[str]:
        """What the Tab key does not reach, or reaches without showing it."""
        number: int = self.page.evaluate(WATCH_FOCUS)
        for _ in range(number + 2):
            self.page.keyboard.press("Tab")
        found: list[str] = self.page.evaluate(NOT_REACHED)
        return found

    def _console(self, said: Any) -> None:
        own = said.location["url"] == self.page.url or said.location["url"] == self._asked
        refused = "server responded with a status" in said.text and own
        if said.type in ("error", "warning") and not refused:
            self.faults.append(f"console: {said.text}")

    @property
    def _asked(self) -> str:
        return self.answers[-1].url if self.answers else ""

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "data:")):
            self.faults.append(f"request to {request.url}")

    def _response(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.frame == self.page.main_frame:
            self.answers.append(response)
        elif response.status >= 400:
            self.faults.append(f"{response.status} of {response.url}")


class Visits:
    """One browser in which several people are signed in.

    Parameters
    ----------
    browser
        In which pages are opened.
    address
        Of the node.
    gate
        Signs them in.
    """

    def __init__(self, browser: Browser, address: str, gate: Gate) -> None:
        self._browser = browser
        self._address = address
        self._gate = gate
        self._kept: dict[tuple[str, bool], Visit] = {}

    def of(self, who: str, *, scripts: bool = True) -> Visit:
        """The page of an account in a session of its own; of nobody's, where it is empty."""
        if (who, scripts) not in self._kept:
            context = self._browser.new_context(java_script_enabled=scripts)
            context.set_default_timeout(PATIENCE_MS)
            if who:
                identity = self._gate.accounts.of(who)
                assert identity is not None
                token = self._gate.sessions.begin(identity, "127.0.0.1")
                cookie = {"name": self._gate.cookie, "value": token, "url": self._address}
                context.add_cookies([cookie])  # type: ignore[list-item]
            self._kept[who, scripts] = Visit(context.new_page(), self._address)
        return self._kept[who, scripts]


@contextmanager
def visits(app: FastAPI) -> Iterator[Visits]:
    """Serve an application, and open a browser for the people who have an account there."""
    app.add_middleware(RouteNamed)
    with served(app) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(STARTED))
        yield Visits(browser, address, app.state.gate)
        browser.close()
