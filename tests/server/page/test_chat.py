"""A chat in a real browser, with the tiny model or with answers made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.server.page.conftest import Visit, told
from tests.server.serving import Served

LONG = {"temperature": 0, "max_tokens": 3900}
"""The tiny model then goes round in circles and finds no end."""


def test_an_answer_streams_and_is_stopped(visit: Visit, served: Served) -> None:
    page = visit.open(LONG)
    with served.braked() as steps:
        with page.expect_response("**/studiolo/v1/continue") as answered:
            visit.field.fill("the rain")
            visit.field.press("Enter")
            steps.release(50)
        expect(visit.last.locator(".prose")).not_to_be_empty()
        expect(visit.last).to_have_attribute("aria-busy", "true")
        expect(visit.button("Stop")).to_be_visible()  # there is text, and more to come
        visit.button("Stop").click()
        stopped = visit.whole()
    expect(stopped).to_contain_text("stopped")
    assert stopped.locator(".prose").inner_text() != ""
    row = served.entry(answered.value.headers["x-request-id"])
    assert (row.status, row.error) == (499, "ClientDisconnect")
    assert row.completion_tokens < 3900
    stopped.get_by_role("button", name="Receipt").click()
    expect(page.get_by_role("dialog", name="Receipt")).to_contain_text("has no receipt")


def test_escape_stops(visit: Visit) -> None:
    page = visit.open(LONG)
    visit.field.fill("the rain")
    visit.field.press("Enter")
    expect(visit.last.locator(".prose")).not_to_be_empty()
    visit.button("Settings").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(visit.button("Stop")).to_be_visible()  # what was open was closed, and no more
    page.keyboard.press("Escape")
    expect(visit.whole()).to_contain_text("stopped")


def test_what_was_said_is_sent(visit: Visit) -> None:
    asked = visit.answer_with(told("First."), told("Second."))
    visit.open({"system": "Be brief.", "temperature": 0.5, "top_p": 0.9, "seed": 7})
    visit.say("One?")
    expect(visit.last).to_contain_text("First.")
    visit.say("Two?")
    expect(visit.last).to_contain_text("Second.")
    assert asked[1] == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "First."},
            {"role": "user", "content": "Two?"},
        ],
        "log_probs": 10,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 512,
        "seed": 7,
    }


def test_an_answer_is_made_again_and_both_are_kept(visit: Visit) -> None:
    asked = visit.answer_with(told("First."), told("Second."))
    visit.open()
    visit.say("One?").get_by_role("button", name="Answer again").click()
    expect(visit.whole()).to_contain_text("Second.")
    assert asked[0] == asked[1]
    expect(visit.last).to_contain_text("2/2")
    visit.button("Version before").click()
    expect(visit.last).to_contain_text("First.")
    visit.button("Version after").click()
    expect(visit.last).to_contain_text("Second.")


def test_a_message_is_edited_and_gone_on_from(visit: Visit) -> None:
    asked = visit.answer_with(told("First."), told("Second."), told("Third."))
    page = visit.open()
    visit.say("One?")
    visit.say("Two?")
    page.get_by_role("article", name="You said").first.hover()
    page.get_by_role("button", name="Edit", exact=True).first.click()
    field = page.get_by_role("textbox", name="Edit the message")
    expect(field).to_be_focused()
    field.fill("Otherwise?")
    visit.button("Say it").click()
    expect(visit.whole()).to_contain_text("Third.")
    assert [each["content"] for each in asked[2]["messages"]] == ["Otherwise?"]
    expect(page.get_by_role("article")).to_have_count(2)


def test_keys(visit: Visit) -> None:
    asked = visit.answer_with(told("First."), told("Second."))
    page = visit.open()
    expect(visit.field).to_be_focused()
    visit.field.press_sequentially("a")
    visit.field.press("Shift+Enter")
    visit.field.press_sequentially("b")
    visit.field.press("Enter")
    visit.whole()
    assert asked[0]["messages"][-1]["content"] == "a\nb"
    visit.field.press("ArrowUp")
    field = page.get_by_role("textbox", name="Edit the message")
    expect(field).to_be_focused()
    expect(field).to_have_value("a\nb")
    field.press("Escape")
    expect(field).to_have_count(0)
    visit.field.press("ArrowUp")
    field.press_sequentially("c")
    field.press("Enter")
    visit.whole()
    assert asked[1]["messages"][-1]["content"] == "a\nbc"
    page.keyboard.press("Control+k")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(visit.field).to_be_focused()


def test_everything_is_reached_by_the_keyboard(visit: Visit) -> None:
    """Tab walks over all that can be done, and shows where it is."""
    visit.answer_with(told("First."))
    page = visit.open()
    visit.say("One?")
    seen = set()
    page.locator("body").evaluate("body => document.activeElement.blur()")
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const { activeElement: it } = document;
              if (it === document.body) return ["", true]; // beyond the page
              const style = getComputedStyle(it);
              const around = getComputedStyle(it.closest("form, .next-text") ?? it);
              const marked = style.outlineStyle !== "none" || around.boxShadow !== "none";
              return [it.getAttribute("aria-label") ?? it.innerText.trim(), marked];
            }"""
        )
        seen.add(name)
        assert outline, name
    assert {
        "To the message field", "New chat", "One?", "Forget “One?”", "Chat", "Next token", "Light",
        "Settings", "Edit", "Copy", "Answer again", "Tokens", "Receipt", "Message",
    } - seen <= {"Light", "Dark"}  # fmt: skip


def test_a_long_answer_is_gone_on_with(visit: Visit) -> None:
    asked = visit.answer_with(
        told("It rains", ended="length"), told(" and pours.", begun="It rains")
    )
    visit.open()
    visit.say("One?").get_by_role("button", name="Go on").click()
    expect(visit.whole().locator(".prose")).to_have_text("It rains and pours.")
    assert asked[1]["begun"] == [100, 101]
    expect(visit.button("Go on")).to_have_count(0)
    expect(visit.button("Version before")).to_have_count(0)


def test_it_is_copied(visit: Visit) -> None:
    visit.answer_with(told("Some *words* and\n```py\nx = 1\n```"))
    page = visit.open()
    answer = visit.say("One?")
    answer.locator(".tools").get_by_role("button", name="Copy").click()
    copied = "navigator.clipboard.readText()"
    expect(answer.locator(".tools").get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate(copied) == "Some *words* and\n```py\nx = 1\n```"
    answer.locator(".code").get_by_role("button", name="Copy").click()
    expect(answer.locator(".code").get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate(copied) == "x = 1"


def test_what_the_server_refuses_is_told_in_its_words(visit: Visit) -> None:
    visit.open({"max_tokens": 90_000})
    answer = visit.say("One?")
    alert = answer.get_by_role("alert")
    expect(alert).to_contain_text("90,0")
    expect(alert).to_contain_text("4,096")
    expect(alert).to_contain_text("Request req_")
    visit.faults.clear()  # the browser notes the status 400


def test_what_goes_wrong_later_is_told(visit: Visit) -> None:
    broken = told("It rains")[:-1]
    failed = [*broken, {"error": {"message": "the engine has stopped"}}]
    visit.answer_with(failed, broken)
    page = visit.open()
    answer = visit.say("One?")
    expect(answer.get_by_role("alert")).to_contain_text("the engine has stopped")
    expect(answer.locator(".prose")).to_have_text("It rains")
    answer.get_by_role("button", name="Answer again").click()
    expect(visit.whole().get_by_role("alert")).to_contain_text("broke off")
    page.unroute("**/studiolo/v1/continue")
    page.route("**/studiolo/v1/continue", lambda route: route.abort())
    visit.last.get_by_role("button", name="Answer again").click()
    expect(visit.whole().get_by_role("alert")).to_contain_text("does not answer")
    visit.faults.clear()  # the browser notes what failed


def test_it_is_spoken_in_whole_sentences(visit: Visit) -> None:
    visit.answer_with(told("It rains. Then it stops."))
    page = visit.open()
    spoken = page.get_by_role("status")
    expect(spoken).to_have_attribute("aria-live", "polite")
    visit.say("One?")
    expect(spoken).to_contain_text("it stops.")


def test_events_may_be_cut_anywhere(visit: Visit) -> None:
    page = visit.open()
    sent = [{"text": "é\n\n", "n": 1}, {"text": "🌧"}, {"ended": "stop"}]
    stream = "".join(f"data: {json.dumps(each, ensure_ascii=False)}\n\n" for each in sent)
    found = page.evaluate(
        """async (stream) => {
          const { events } = await import("/studio/server.js");
          const bytes = new TextEncoder().encode(stream);
          const all = [];
          for (let size = 1; size <= bytes.length; size += 1) {
            const pieces = [];
            for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
            const read = async () => ({ value: pieces[0], done: pieces.shift() === undefined });
            const told = [];
            for await (const event of events({ read })) told.push(event);
            all.push(told);
          }
          return all;
        }""",
        stream,
    )
    assert len(found) == len(stream.encode())
    assert all(told == sent for told in found)


@pytest.fixture
def receipt(served: Served) -> str:
    """That of a real answer."""
    body: dict[str, Any] = {"model": "tiny", "prompt": "the rain", "seed": 3, "max_tokens": 5}
    lines = served.http().post("/studiolo/v1/continue", json=body).text.split("\n\n")
    file: str = json.loads(lines[-2].removeprefix("data: "))["receipt"]
    return file


def test_the_receipt_is_shown_and_saved_to_the_byte(visit: Visit, receipt: str) -> None:
    visit.answer_with(told("It rains", receipt=receipt))
    page = visit.open()
    visit.say("One?").get_by_role("button", name="Receipt").click()
    dialog = page.get_by_role("dialog", name="Receipt")
    expect(dialog).to_contain_text("studiolo replay receipt.json")
    expect(dialog).to_contain_text(json.loads(receipt)["model"]["weights"])
    expect(dialog).to_contain_text("Seed")
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Save receipt.json").click()
    assert download.value.suggested_filename == "receipt.json"
    assert download.value.path().read_text() == receipt
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
