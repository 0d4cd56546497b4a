"""The tokens of an answer: seen, asked about, and gone on from."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

import studiolo
from tests.server.page.conftest import Visit, token, told


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit.open()


def as_tokens(answer: Locator) -> Locator:
    """The answer's tokens, after they were asked for."""
    answer.get_by_role("button", name="Tokens").click()
    return answer.locator(".chip")


def popover(page: Page) -> Locator:
    return page.get_by_role("dialog", name="What else could stand here")


def test_tokens_and_their_alternatives(visit: Visit, page: Page) -> None:
    events = told("It rains")
    events[1]["tokens"] = [token(7, "It", -0.1)]
    events[2]["tokens"] = [token(8, " rains", -6.0)]
    visit.answer_with(events)
    chips = as_tokens(visit.say("One?"))
    assert chips.all_inner_texts() == ["It", " rains"]
    expect(chips.nth(0)).to_have_attribute("aria-label", "It, 90.5 %")
    expect(chips.nth(1)).to_have_attribute("aria-label", "rains, 0.2 %")
    tints = [
        chip.evaluate("chip => getComputedStyle(chip).backgroundColor") for chip in chips.all()
    ]
    assert tints[0] != tints[1]
    chips.nth(1).click()
    rows = popover(page).get_by_role("listitem").get_by_role("button")
    assert [row.get_attribute("aria-label") for row in rows.all()] == [
        "rains, 0.2 %, stands there", "A, 22.3 %", "B, 8.2 %",
    ]  # fmt: skip
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(popover(page)).to_have_count(0)
    expect(chips.nth(1)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(chips.nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    expect(popover(page)).to_be_visible()


def test_another_token_is_gone_on_from(visit: Visit, page: Page) -> None:
    asked = visit.answer_with(told("It rains today"), told("pours.", begun="It A"))
    chips = as_tokens(visit.say("One?"))
    chips.nth(1).click()
    popover(page).get_by_role("button", name="A, 22.3 %").click()
    visit.whole()
    assert asked[1]["begun"] == [100, 901]
    assert asked[1]["model"] == "tiny"
    assert asked[1]["messages"] == asked[0]["messages"]
    assert chips.all_inner_texts() == ["It", " A", "pours."]
    expect(chips.nth(1)).to_have_class("chip chosen")
    chips.nth(1).click()  # what else could have stood there is still known
    expect(popover(page).get_by_role("listitem")).to_have_count(3)
    page.keyboard.press("Escape")
    visit.last.get_by_role("button", name="Tokens").click()
    expect(visit.last.locator(".prose")).to_have_text("It Apours.")
    visit.button("Version before").click()
    expect(visit.last.locator(".prose")).to_have_text("It rains today")


def test_the_token_that_stands_there_changes_nothing(visit: Visit, page: Page) -> None:
    asked = visit.answer_with(told("It rains"))
    as_tokens(visit.say("One?")).nth(0).click()
    popover(page).get_by_role("button", name="It, 60.7 %, stands there").click()
    expect(popover(page)).to_have_count(0)
    assert len(asked) == 1


def test_the_end_may_be_chosen(visit: Visit, page: Page) -> None:
    events = told("It rains")
    events[2]["tokens"][0]["top"][1] |= {"text": "<|end|>", "ends": True}
    asked = visit.answer_with(events)
    as_tokens(visit.say("One?")).nth(1).click()
    popover(page).get_by_role("button", name="the end of the answer, 22.3 %").click()
    expect(visit.last).to_contain_text("ended by you")
    assert visit.last.locator(".chip").all_inner_texts() == ["It"]
    assert len(asked) == 1


def test_tokens_of_a_model_elsewhere_are_only_seen(visit: Visit, page: Page) -> None:
    events = told("It")
    events[1]["tokens"] = [{"id": None, "text": "It", "log_prob": -0.5, "top": []}]
    events[1]["tokens"][0]["top"] = [{"id": None, "text": "It", "log_prob": -0.5}]
    visit.answer_with(events)
    as_tokens(visit.say("One?")).nth(0).click()
    expect(popover(page).get_by_role("listitem").get_by_role("button").first).to_be_disabled()


def test_line_ends_and_white_space_are_seen(visit: Visit, page: Page) -> None:
    events: list[dict[str, Any]] = told("a")
    events[1] = {"text": "a\n\n  b", "tokens": [token(1, "a"), token(2, "\n\n"), token(3, "  b")]}
    visit.answer_with(events)
    chips = as_tokens(visit.say("One?"))
    expect(chips.nth(1)).to_have_text("↵↵")
    assert chips.nth(1).get_attribute("aria-label") == "new line new line, 60.7 %"
    boxes = [chip.bounding_box() for chip in chips.all()]
    assert boxes[0] is not None
    assert boxes[2] is not None
    assert boxes[2]["y"] > boxes[0]["y"]


def test_with_a_real_model(visit: Visit) -> None:
    """What is chosen stands there, and what follows is what the model says after it."""
    page = visit.open({"model": "tiny", "temperature": 0, "max_tokens": 8})
    chips = as_tokens(visit.say("the rain"))
    expect(chips).to_have_count(8)
    before = chips.all_inner_texts()
    chips.nth(2).click()
    second = popover(page).get_by_role("listitem").nth(1).get_by_role("button")
    second.click()
    visit.whole()
    lm = studiolo.load("tiny", device="cpu")
    messages = [{"role": "user", "content": "the rain"}]
    first = lm.chat(messages, temperature=0, max_tokens=8, log_probs=2)
    assert first.log_probs is not None
    begun = [*first.token_ids[:2], first.log_probs[2].top[1][0]]
    rest = lm.generate([*lm.encode_chat(messages), *begun], temperature=0, max_tokens=8)
    ids = [*begun, *rest.token_ids]
    shown = [lm.tokenizer.token_text(id).replace("\n", "↵") for id in ids]
    assert [" ".join(text.split()) for text in chips.all_inner_texts()] == [
        " ".join(text.split()) for text in shown
    ]
    assert chips.all_inner_texts()[:2] == before[:2]
    assert (
        lm.tokenizer.decode(ids).split()
        == page.evaluate(
            """() => {
          const id = Object.keys(localStorage).find((name) => name.startsWith("studiolo.chat."));
          return JSON.parse(localStorage[id]).turns[1].versions[1].text;
        }"""
        ).split()
    )
