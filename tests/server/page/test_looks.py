"""Light and dark, wide and narrow; contrast as WCAG 2.2, 1.4.3 has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.server.page.conftest import Visit, Visits, token, told

CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => {
    return under.map((c, i) => (i < 3 ? top[i] * top[3] + c * (1 - top[3]) : 1));
  };
  const behind = (element) => {
    const layers = [];
    for (let it = element; it; it = it.parentElement) {
      layers.push(colour(getComputedStyle(it).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => {
      const s = c / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const found = [];
  for (const it of document.querySelectorAll("#room *")) {
    const texts = [...it.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const text = texts.map((node) => node.data).join("").trim();
    if (!text || it.closest(":disabled")) continue;
    if (!it.checkVisibility({ visibilityProperty: true })) continue;
    const ground = behind(it);
    const [a, b] = [over(colour(getComputedStyle(it).color), ground), ground].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, text, it.className]);
  }
  return found;
}"""
WIDTHS = """() => [...document.querySelectorAll("#room *")].filter((it) => {
  if (!it.checkVisibility()) return false;
  if (it.closest("pre, .wide, .unseen, .skip, svg, .command code")) return false; // scroll, or hide
  return it.getBoundingClientRect().right > innerWidth + 0.5;
}).map((it) => `${it.localName}.${it.className}`)"""
LONG = """A **word** and `code`, https://example.org/a/very/long/address/that/does/not/end/soon.

```py
print('a line of code that is much longer than any phone is wide, and goes on')
```

| a column | another column | a third column | a fourth |
| --- | --- | --- | --- |
| 1 | 2 | 3 | 4 |

- an item
  - one within

> said

# Heading

Donaudampfschifffahrtsgesellschaftskapitänswitwenrente
"""


def events() -> list[dict[str, Any]]:
    """An answer of every kind of text, and of tokens of every tint."""
    told_of = told(LONG)
    told_of[1]["tokens"] = [
        token(i, f" word{i}", log_prob) for i, log_prob in enumerate((0.0, -1.0, -3.0, -5.0, -9.0))
    ]
    return told_of


def views(visit: Visit) -> Iterator[str]:
    """Every view in turn; a name for each."""
    page = visit.page
    yield "welcome"
    visit.say("Why does it rain, and for how long, and where does the water go afterwards?")
    yield "chat"
    visit.last.get_by_role("button", name="Tokens").click()
    yield "tokens"
    visit.last.locator(".chip").nth(2).click()
    expect(page.get_by_role("dialog", name="What else could stand here")).to_be_visible()
    yield "alternatives"
    page.keyboard.press("Escape")
    visit.last.get_by_role("button", name="Receipt").click()
    yield "receipt"
    page.keyboard.press("Escape")
    visit.button("Settings").click()
    yield "settings"
    page.keyboard.press("Escape")
    page.unroute("**/studiolo/v1/continue")
    visit.button("Next token").click()
    expect(page.get_by_role("list", name="The likeliest next tokens")).to_be_visible()
    yield "next"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(visits: Visits, scheme: Literal["light", "dark"]) -> None:
    visit = visits(color_scheme=scheme)
    visit.answer_with(events())
    page = visit.open()
    for view in views(visit):
        found = page.evaluate(CONTRASTS)
        assert len(found) > 5, view
        assert [each for each in found if each[0] < 4.5] == [], view


def ground(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return colour


def test_light_or_dark_as_the_system_has_it_or_as_is_chosen(visits: Visits) -> None:
    visit = visits(color_scheme="dark")
    page = visit.open()
    dark = ground(page)
    visit.button("Light").click()
    light = ground(page)
    assert light != dark
    page.reload()
    expect(visit.field).to_be_visible()
    assert ground(page) == light
    page.emulate_media(color_scheme="light")
    visit.button("Dark").click()
    assert ground(page) == dark
    visit.button("Settings").click()
    page.get_by_label("As the system").check()
    assert ground(page) == light


@pytest.mark.parametrize("width", [320, 390, 600, 761, 1280])
def test_nothing_is_wider_than_the_window(visits: Visits, width: int) -> None:
    visit = visits(viewport={"width": width, "height": 640}, has_touch=width < 600)
    visit.answer_with(events())
    page = visit.open()
    for view in views(visit):
        assert page.evaluate(WIDTHS) == [], view
        assert page.evaluate("document.documentElement.scrollWidth") == width, view


def test_on_a_phone_the_chats_are_in_a_drawer(visits: Visits) -> None:
    visit = visits(viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    visit.answer_with(told("First."), told("Second."))
    page = visit.open()
    visit.say("One?")
    expect(visit.button("New chat")).to_have_count(0)
    visit.button("Chats").tap()
    drawer = page.get_by_role("dialog", name="Chats")
    drawer.get_by_role("button", name="New chat").tap()
    expect(drawer).to_have_count(0)
    visit.say("Two?")
    visit.button("Chats").tap()
    drawer.get_by_role("button", name="One?", exact=True).tap()
    expect(visit.last).to_contain_text("First.")
    expect(drawer).to_have_count(0)


def test_nothing_moves_for_those_who_want_none(visit: Visit) -> None:
    page = visit.open()
    visit.button("Settings").click()
    moving = page.evaluate(
        "() => document.getAnimations().filter((it) => it.playState === 'running').length"
    )
    assert moving == 0
