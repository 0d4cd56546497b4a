"""A browser, and visits to the page in which nothing may go wrong unnoticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright

from tests.server.serving import Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
Visits = Callable[..., "Visit"]
EVERY = json.dumps  # how events become JSON


class Visit:
    """One tab. ``faults``: what its console or its network had to say; none when it is left."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.faults: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._asked)

    def open(self, settings: dict[str, Any] | None = None) -> Page:
        """The page, as it is at first or with settings kept before."""
        self.page.goto(self.url)
        if settings is not None:
            self.page.evaluate(
                "kept => localStorage.setItem('studiolo.settings', kept)", json.dumps(settings)
            )
            self.page.reload()
        expect(self.field).to_be_visible()
        return self.page

    def answer_with(self, *answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Have requests answered by these events, one after the other; what is asked with."""
        left, asked = list(answers), []

        def reply(route: Route) -> None:
            asked.append(json.loads(route.request.post_data or "null"))
            events = left.pop(0)
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
            route.fulfill(body=body, content_type="text/event-stream")

        self.page.route("**/studiolo/v1/continue", reply)
        return asked

    @property
    def field(self) -> Locator:
        """Where messages are written."""
        return self.page.get_by_role("textbox", name="Message")

    @property
    def last(self) -> Locator:
        """The last answer."""
        return self.page.get_by_role("article", name="Answer").last

    def button(self, name: str) -> Locator:
        """A button of exactly that name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def say(self, text: str) -> Locator:
        """Say it, and wait for the whole answer."""
        self.field.fill(text)
        self.field.press("Enter")
        return self.whole()

    def whole(self) -> Locator:
        """The last answer, once it is over."""
        expect(self.button("Stop")).to_have_count(0)
        expect(self.last.get_by_role("button", name="Answer again")).to_be_visible()
        return self.last

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.faults.append(f"asked elsewhere: {request.url}")


def token(id: int, text: str, log_prob: float = -0.5, **more: Any) -> dict[str, Any]:
    """A token as the server tells it, with two alternatives: ``A`` and ``B``."""
    top = [
        {"id": id, "text": text, "log_prob": log_prob},
        {"id": 901, "text": " A", "log_prob": -1.5},
        {"id": 902, "text": " B", "log_prob": -2.5},
    ]
    return {"id": id, "text": text, "log_prob": log_prob, "top": top, **more}


def told(
    text: str, *, begun: str = "", ended: str = "stop", receipt: str | None = None
) -> list[dict[str, Any]]:
    """The events of an answer that is ``text``, a token a word."""
    words = [f"{' ' if i else ''}{word}" for i, word in enumerate(text.split(" "))]
    return [
        {"begun": begun, "model": "tiny", "prompt_tokens": 9, "fingerprint": "fp_0"},
        *({"text": word, "tokens": [token(100 + i, word)]} for i, word in enumerate(words)),
        {"ended": ended, "usage": {}, "receipt": receipt},
    ]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium of the system. Ends with this package: while it runs, no other loop can."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def visits(browser: Browser, served: Served) -> Iterator[Visits]:
    """``visits(url=…, **context)``: another visitor, in a profile of their own."""
    made: list[Visit] = []

    def visit(url: str = served.url, **options: Any) -> Visit:
        context = browser.new_context(reduced_motion="reduce", **options)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        made.append(Visit(context.new_page(), url))
        return made[-1]

    yield visit
    for each in made:
        each.page.context.close()
    assert [each.faults for each in made if each.faults] == []


@pytest.fixture
def visit(visits: Visits) -> Visit:
    """One visitor."""
    return visits()
