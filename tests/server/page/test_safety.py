"""Nothing that a model writes can do anything, and no other page can get at this one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.server.page.conftest import Visit, told
from tests.server.serving import Served

HARMLESS = {
    "a", "blockquote", "button", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "span", "strong", "svg", "table", "tbody", "td", "th", "thead", "tr", "ul",
    "use",
}  # fmt: skip
RENDER = """async (texts) => {
  const { h, render } = await import("/studio/ui.js");
  const { Markdown } = await import("/studio/markdown.js");
  return texts.map((text) => {
    const box = document.createElement("div");
    render(h(Markdown, { text }), box);
    const every = [...box.querySelectorAll("*")];
    return {
      html: box.firstChild.innerHTML,
      text: box.textContent,
      kinds: [...new Set(every.map((each) => each.localName))],
      handlers: every.flatMap((each) => each.getAttributeNames()).filter((n) => n.startsWith("on")),
      links: [...box.querySelectorAll("a")].map((a) => [a.href, a.rel, a.target]),
    };
  });
}"""


def rendered(page: Page, *texts: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(RENDER, list(texts))
    return found


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit.open()


@pytest.fixture(scope="module")
def rendering(browser: Browser, served: Served) -> Iterator[Page]:
    """A page that renders texts, one test's after another's."""
    page = browser.new_page()
    page.goto(served.url)
    yield page
    page.close()


HARMFUL = (
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "<script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "[x](  javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    "[x](/studiolo/v1/models)",
    "[x](vbscript:x)",
    "```html\n<script>alert(1)</script>\n```",
    "`<img src=x onerror=alert(1)>`",
    "# <img src=x onerror=alert(1)>",
    "- <iframe src=//example.invalid>",
    "| <b onclick=alert(1)> |\n| --- |\n| <style>*{} |",
)


def test_what_would_harm_elsewhere_is_text(visit: Visit, page: Page) -> None:
    dialogs: list[str] = []

    def opened(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", opened)
    visit.answer_with(*(told(text) for text in HARMFUL))
    for text in HARMFUL:
        prose = visit.say(text).locator(".prose")
        for inert in ("img", "script", "iframe", "style", "a", "svg:not(.icon)"):
            expect(prose.locator(inert)).to_have_count(0)
        expect(prose).to_contain_text("alert(1)" if "alert" in text else "x")
        visit.last.get_by_role("button", name="Tokens").click()
        expect(visit.last.locator(".chip").first).to_be_visible()
    assert dialogs == []


def test_links_lead_away_and_tell_nothing(rendering: Page) -> None:
    found = rendered(
        rendering,
        '[a](https://example.org/a?b=c "title")',
        "<https://example.org/>",
        "see https://example.org/x_(y). And",
        "![a picture](http://example.org/p.png)",
    )
    assert [each["links"] for each in found] == [
        [["https://example.org/a?b=c", "noopener noreferrer", "_blank"]],
        [["https://example.org/", "noopener noreferrer", "_blank"]],
        [["https://example.org/x_(y", "noopener noreferrer", "_blank"]],
        [["http://example.org/p.png", "noopener noreferrer", "_blank"]],
    ]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a\nb\n\nc", "<p>a\nb</p><p>c</p>"),
        ("**a** *b* ***c*** _d_ __e__ ~~f~~", "<p><strong>a</strong> <em>b</em> "
         "<em><strong>c</strong></em> <em>d</em> <strong>e</strong> <del>f</del></p>"),
        ("snake_case_name 2*3*4 * a_", "<p>snake_case_name 2<em>3</em>4 * a_</p>"),
        ("`a*b*` ``c`d`` `e", "<p><code>a*b*</code> <code>c`d</code> `e</p>"),
        ("**bold *both* bold**", "<p><strong>bold <em>both</em> bold</strong></p>"),
        ("*a _b* c_ **d", "<p><em>a _b</em> c_ **d</p>"),
        ("*a **b* c**", "<p><em>a <em><em>b</em> c</em></em></p>"),
        (r"\*a\* 1\. <b>", "<p>*a* 1. &lt;b&gt;</p>"),
        ("# A\n## B #\n###### C", "<h3>A</h3><h4>B</h4><h6>C</h6>"),
        ("- a\n- b\n  - c\n    more\n- d", "<ul><li>a</li><li>b<ul><li>c\nmore</li></ul></li>"
         "<li>d</li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("1. a\n\n   b\n\n2. c", '<ol start="1"><li><p>a</p><p>b</p></li><li><p>c</p></li></ol>'),
        ("text\n- a\n- b\n\nafter", "<p>text</p><ul><li>a</li><li>b</li></ul><p>after</p>"),
        ("> a\n> > b\n\nc", "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>"
         "<p>c</p>"),
        ("a\n\n---\nb", "<p>a</p><hr><p>b</p>"),
        ("| a | b |\n|---|:-:|\n| 1 | `2` |\n\nc", '<div class="wide" tabindex="0"><table><thead>'
         "<tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td><code>2</code></td></tr>"
         "</tbody></table></div><p>c</p>"),
        ("", ""),
    ],
)  # fmt: skip
def test_markdown(rendering: Page, text: str, html: str) -> None:
    (found,) = rendered(rendering, text)
    assert found["html"] == html


def test_code_stands_as_it_was_written(rendering: Page) -> None:
    (closed, streaming) = rendered(
        rendering, "a\n~~~py\n  x = '*1*'\n\n<b>\n~~~\nb", "```\nhalf of it\n- so far"
    )
    assert "<pre tabindex=\"0\"><code>  x = '*1*'\n\n&lt;b&gt;</code></pre>" in closed["html"]
    assert closed["html"].startswith("<p>a</p>")
    assert closed["html"].endswith("<p>b</p>")
    assert "<code>half of it\n- so far</code>" in streaming["html"]


@pytest.mark.proof
def test_any_text_is_harmless(rendering: Page, proof: Any) -> None:
    """Whatever is written comes out as elements of the few kinds, without handlers."""
    pieces = [
        "*", "**", "_", "__", "~~", "`", "``", "```", "\n", "\n\n", "    ", "\t", "- ", "1. ", "> ",
        "# ", "|", "| --- |\n", "[", "](", ")", "](https://a.b/c)", "](javascript:x)", "<", "(",
        "<img src=x>", "<script>", "https://e.org/", "\\", "!", "a", "bc d", "é🌧", "\u202e", "&lt;",
        "---\n", '"',
    ]  # fmt: skip
    chance = random.Random(5)
    count = proof("page-markdown", short=1_500, full=60_000)
    for start in range(0, count, 500):
        texts = [
            "".join(chance.choices(pieces, k=chance.randint(1, 60)))
            for _ in range(min(500, count - start))
        ]
        for text, found in zip(texts, rendered(rendering, *texts), strict=True):
            assert set(found["kinds"]) <= HARMLESS, text
            assert found["handlers"] == [], text
            assert all(link[0].startswith(("http://", "https://")) for link in found["links"]), text


def test_long_and_deep_texts_are_drawn(rendering: Page) -> None:
    for piece in (
        "*a ",
        "[",
        "> ",
        "- ",
        "`",
        "**",
        "_a",
        "<",
        "|",
        "~~a",
        "![",
        "https://",
        "(",
        "\\",
    ):
        (found,) = rendered(rendering, piece * 4_000)
        assert set(found["kinds"]) <= HARMLESS


@contextmanager
def elsewhere(body: str) -> Iterator[str]:
    """The address of a page of another origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_no_other_page_can_frame_it(visit: Visit, served: Served) -> None:
    with elsewhere(f"<p>around</p><iframe src='{served.url}/'></iframe>") as url:
        visit.page.goto(url)
        expect(visit.page.locator("iframe")).to_be_visible()
        visit.page.wait_for_load_state("networkidle")
        assert "frame-ancestors 'none'" in "".join(visit.faults)
        (frame,) = visit.page.frames[1:]
        assert frame.get_by_text("Studiolo").count() == 0
        visit.page.goto("about:blank")
    visit.faults.clear()


def test_no_string_becomes_markup(page: Page, visit: Visit) -> None:
    """The policy forbids what the page does not do, should somebody ever write it."""
    told = page.evaluate(
        """() => {
          try {
            document.createElement("div").innerHTML = "<b>x</b>";
          } catch (error) {
            return error.name;
          }
          return null;
        }"""
    )
    assert told == "TypeError"
    visit.faults.clear()  # the browser notes the attempt
