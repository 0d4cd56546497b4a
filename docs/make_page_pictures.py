"""Make the pictures of the page in ``docs/pictures``, from real answers of the starter model.

``python docs/make_page_pictures.py`` starts ``studiolo serve`` and visits it with Chromium, as a
user would. Seeds are fixed; the same version gives the same text. Fonts are the machine's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
BOOKS = "Give me three reasons to read old books."
LIBRARY = "Write four lines about an old library"
DESK = {"viewport": {"width": 1120, "height": 720}}
PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}


@contextmanager
def served() -> Iterator[str]:
    """The address of a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        serve = ["from studiolo.cli import main; main()", "serve", "--port", "0"]
        command = [sys.executable, "-c", *serve, "--records", f"{folder}/records.db"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                line = server.stdout.readline() if server.stdout else ""
                yield line.split()[-1]
            finally:
                server.terminate()


def visit(browser: Browser, url: str, **options: Any) -> Page:
    """The page with the seed set, in a profile of its own."""
    page = browser.new_page(reduced_motion="reduce", **options)
    page.goto(url)
    kept = json.dumps({"seed": 1, "max_tokens": 200})
    page.evaluate("kept => localStorage.setItem('studiolo.settings', kept)", kept)
    page.reload()
    return page


def say(page: Page, text: str) -> None:
    """Have it answered."""
    page.get_by_role("textbox", name="Message").fill(text)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Answer again").last.wait_for(timeout=120_000)


def shoot(page: Page, name: str) -> None:
    """Write ``docs/pictures/NAME.png``."""
    page.wait_for_timeout(300)
    page.screenshot(path=PICTURES / f"{name}.png")


def alternatives(page: Page, text: str) -> None:
    """Show what else could have stood in the first place of ``text``."""
    page.get_by_role("button", name="Tokens").last.click()
    page.locator(".chip").get_by_text(text, exact=True).first.click()


def pictures(browser: Browser, url: str) -> None:
    """All of them."""
    page = visit(browser, url, color_scheme="light", **DESK)
    say(page, LIBRARY)
    page.get_by_role("button", name="New chat").click()
    say(page, BOOKS)
    shoot(page, "page-chat")
    alternatives(page, "unique")
    shoot(page, "page-tokens")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Next token").click()
    page.get_by_role("list", name="The likeliest next tokens").wait_for()
    shoot(page, "page-next")
    page.get_by_role("button", name="Chat", exact=True).click()
    page.get_by_role("button", name="Tokens").click()
    page.get_by_role("button", name="Dark").click()
    shoot(page, "page-dark")
    page = visit(browser, url, color_scheme="light", **PHONE)
    say(page, LIBRARY)
    alternatives(page, "relic")
    shoot(page, "page-phone")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    with served() as address, sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--headless=new", "--no-sandbox", "--disable-gpu"],
        )
        pictures(launched, address)
        launched.close()
