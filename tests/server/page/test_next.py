"""What comes next: the likeliest tokens after a text, while it is written."""

from __future__ import annotations

import math

from playwright.sync_api import expect

import studiolo
from tests.server.page.conftest import Visit


def test_the_likeliest_tokens_are_those_of_the_model(visit: Visit) -> None:
    page = visit.open({"model": "tiny"})
    visit.button("Next token").click()
    field = page.get_by_role("textbox", name="Text")
    rows = page.get_by_role("list", name="The likeliest next tokens").get_by_role("button")
    lm = studiolo.load("tiny", device="cpu")
    for text in ("After the rain, the streets were", "the cat sat on the"):
        field.fill(text)
        expect(page.locator("[aria-busy=false]").last).to_be_visible()
        expected = lm.next_tokens(text, k=16)
        expect(rows).to_have_count(16)
        numbers = page.locator(".next .number").all_inner_texts()
        assert numbers == [f"{100 * each.probability:.1f} %" for each in expected]
    rest = 100 * (1 - math.fsum(each.probability for each in expected))
    expect(page.get_by_text("All others together")).to_contain_text(f"{rest:.1f} %")


def test_a_token_is_chosen_and_taken_back(visit: Visit) -> None:
    page = visit.open({"model": "tiny"})
    visit.button("Next token").click()
    field = page.get_by_role("textbox", name="Text")
    field.fill("the cat")
    expect(page.locator("[aria-busy=false]").last).to_be_visible()
    rows = page.get_by_role("list", name="The likeliest next tokens").get_by_role("button")
    lm = studiolo.load("tiny", device="cpu")
    tokens = [each.token for each in lm.next_tokens("the cat", k=16)]
    place = next(i for i, text in enumerate(tokens) if text.isprintable() and "<" not in text)
    rows.nth(place).click()
    expect(field).to_have_value(f"the cat{tokens[place]}")
    expect(page.locator("[aria-busy=false]").last).to_be_visible()
    visit.button("Take the last token back").click()
    expect(field).to_have_value("the cat")
    expect(visit.button("Take the last token back")).to_be_disabled()


def test_it_is_kept_while_the_other_view_is_shown(visit: Visit) -> None:
    page = visit.open()
    visit.field.fill("half a message")
    visit.button("Next token").click()
    page.get_by_role("textbox", name="Text").fill("")
    expect(page.get_by_role("list", name="The likeliest next tokens")).to_have_count(0)
    page.get_by_role("textbox", name="Text").fill("once")
    visit.button("Chat").click()
    expect(visit.field).to_have_value("half a message")
    visit.button("Next token").click()
    expect(page.get_by_role("textbox", name="Text")).to_have_value("once")


def test_what_the_server_refuses_is_told(visit: Visit) -> None:
    page = visit.open({"model": "nobody"})
    visit.button("Next token").click()
    expect(page.get_by_role("alert")).to_contain_text("no model is called 'nobody'")
    visit.faults.clear()  # the browser notes the status 404
