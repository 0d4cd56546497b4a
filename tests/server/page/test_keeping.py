"""What is kept in the browser, how it is forgotten, and the key, which is not kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.server.page.conftest import Visit, Visits, told
from tests.server.serving import serving


def kept(page: Page) -> dict[str, Any]:
    """All of the page's local storage."""
    found = page.evaluate("() => ({ ...localStorage })")
    return {
        name: text if name == "studiolo.theme" else json.loads(text) for name, text in found.items()
    }


def test_settings_are_kept(visit: Visit) -> None:
    asked = visit.answer_with(told("First."))
    page = visit.open()
    page.get_by_role("combobox", name="Model").select_option("tiny")
    visit.button("Settings").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Temperature").fill("0.3")
    page.get_by_label("Top-p").fill("0.8")
    page.get_by_label("Longest answer").fill("99")
    page.get_by_label("Seed").fill("12")
    page.get_by_role("radio", name="Dark").check()
    page.keyboard.press("Escape")
    page.reload()
    expect(page.get_by_role("combobox", name="Model")).to_have_value("tiny")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    visit.say("One?")
    assert asked[0] == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One?"},
        ],
        "log_probs": 10,
        "temperature": 0.3,
        "top_p": 0.8,
        "max_tokens": 99,
        "seed": 12,
    }
    visit.button("Settings").click()
    page.get_by_label("Temperature").fill("3")
    expect(page.get_by_label("Temperature")).to_have_attribute("aria-invalid", "true")
    assert kept(page)["studiolo.settings"]["temperature"] == 0.3
    visit.button("Back to the defaults").click()
    expect(page.get_by_label("Longest answer")).to_have_value("512")
    assert kept(page)["studiolo.settings"]["seed"] is None


def test_only_models_that_make_texts_are_offered(visit: Visit) -> None:
    page = visit.open()
    expect(page.get_by_role("combobox", name="Model").locator("option")).to_have_text(
        ["Default model", "tiny"]
    )


def test_chats_are_kept_opened_and_forgotten(visit: Visit) -> None:
    visit.answer_with(told("First."), told("Second."))
    page = visit.open()
    visit.say("One?")
    visit.button("New chat").click()
    visit.say("Two?")
    page.reload()
    expect(visit.last).to_contain_text("Second.")  # as it was left
    visit.button("One?").click()
    expect(visit.last).to_contain_text("First.")
    visit.last.get_by_role("button", name="Tokens").click()
    expect(visit.last.locator(".chip")).to_have_count(1)
    visit.button("Forget “One?”").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.reload()
    expect(visit.button("One?")).to_have_count(0)
    expect(visit.button("Two?")).to_have_count(1)


def test_everything_is_forgotten(visit: Visit) -> None:
    visit.answer_with(told("First."))
    page = visit.open({"seed": 3})
    visit.say("One?")
    visit.button("Settings").click()
    page.get_by_role("radio", name="Dark").check()
    assert len(kept(page)) == 4
    visit.button("Forget everything …").click()
    visit.button("Forget everything").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("navigation", name="Chats").get_by_role("listitem")).to_have_count(0)
    assert kept(page) == {}
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


def test_another_tab_sees_it(visit: Visit) -> None:
    visit.answer_with(told("First."))
    page = visit.open()
    other = page.context.new_page()
    other.goto(visit.url)
    visit.say("One?")
    expect(other.get_by_role("button", name="One?", exact=True)).to_be_visible()
    other.get_by_role("button", name="Forget “One?”").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_where_storage_is_full_scores_go_first(visit: Visit) -> None:
    page = visit.open()
    found = page.evaluate(
        """async () => {
          const keep = await import("/studio/keep.js");
          const token = (id) => ({ id, text: "word", log_prob: -1, at: 4, top: [
            { id, text: "word", log_prob: -1 }, { id: 1, text: "other", log_prob: -2 },
          ] });
          const tokens = Array.from({ length: 30000 }, (_, i) => token(i));
          const said = { role: "user", text: "Why?" };
          const versions = [{ text: "because", receipt: "{}", tokens }];
          const turns = [said, { role: "assistant", shown: 0, versions }];
          const names = ["old", "middle", "new"];
          const kept = names.map((id) => keep.keepChat({ id, title: id, turns }));
          const answer = (id) => keep.chat(id).turns[1].versions[0];
          return {
            kept,
            tokens: names.map((id) => answer(id).tokens.length),
            texts: names.map((id) => answer(id).text),
            listed: keep.chats().map((each) => each.id),
            same: JSON.stringify(answer("new").tokens[7]),
          };
        }"""
    )
    assert found["kept"] == [True, True, True]
    assert found["tokens"] == [0, 30000, 30000]
    assert found["texts"] == ["because"] * 3
    assert found["listed"] == ["new", "middle", "old"]
    assert json.loads(found["same"])["top"][1] == {
        "id": 1, "text": "other", "log_prob": -2, "ends": False,
    }  # fmt: skip


def test_it_works_where_nothing_can_be_kept(visit: Visit) -> None:
    visit.answer_with(told("First."))
    visit.page.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"]) {
          Object.defineProperty(window, name, { get() { throw new Error("not allowed"); } });
        }"""
    )
    page = visit.open()
    expect(visit.say("One?")).to_contain_text("First.")
    expect(page.get_by_role("alert")).to_contain_text("keeps nothing")


def test_a_key_is_asked_for_and_stays_in_the_tab(
    visits: Visits, tiny_home: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "records.db") as running:
        made = running.studio.records.keys.create(name="someone")
        visit = visits(running.url)
        page = visit.page
        page.goto(running.url)
        dialog = page.get_by_role("dialog", name="This server wants a key")
        expect(dialog.get_by_role("alert")).to_contain_text("no key")
        dialog.get_by_label("Key").fill("wrong")
        dialog.get_by_label("Key").press("Enter")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Key").fill(made.secret)
        visit.button("Use it").click()
        expect(dialog).to_have_count(0)
        page.get_by_role("combobox", name="Model").select_option("tiny")
        expect(visit.say("the rain").get_by_role("alert")).to_have_count(0)
        assert made.secret not in json.dumps(kept(page))
        assert page.evaluate("({ ...sessionStorage })")["studiolo.key"] == made.secret
        other = page.context.new_page()
        other.goto(running.url)
        expect(other.get_by_role("dialog", name="This server wants a key")).to_be_visible()
        visit.faults.clear()  # the browser notes the status 401
        page.context.close()
