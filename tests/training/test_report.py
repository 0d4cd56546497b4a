from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from studiolo.bundle.manifest import Lineage
from studiolo.training.publish import Facts
from studiolo.training.report import points, report, write_report
from studiolo.training.size import plan
from tests.training.small import small_recipe

ATTACK = "<script>alert(1)</script>"
LINES: list[dict[str, Any]] = [
    {"step": 1, "loss": 3.0, "smooth": 3.0, "norm": 1.0},
    {"step": 2, "loss": 2.0, "smooth": 2.5, "norm": 0.5},
    {"step": 2, "validation": 2.25},
    *({"step": n, "sample": f"{ATTACK} {n}"} for n in range(2, 14)),
]
FACTS = Facts("rhyme", ATTACK, Lineage(), {"validation_loss": 2.25}, {"trained for": "2 steps"})


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)


def test_the_page_has_curves_facts_and_samples_and_nothing_that_runs(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    page = report(LINES, recipe, plan(recipe, 30), FACTS)
    tags = Tags()
    tags.feed(page)
    assert tags.names.count("svg") == 2
    assert tags.names.count("polyline") == 3
    assert "script" not in tags.names
    assert 4 <= tags.names.count("pre") <= 5
    assert "after step 13" in page
    for fact in ("2.2500", "2 steps", recipe.digest, "model.width"):
        assert fact in page


def test_it_is_made_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "validation": 1.5}\n')
    recipe = small_recipe(tmp_path)
    write_report(tmp_path / "report.html", log, recipe, plan(recipe, 30), FACTS)
    page = (tmp_path / "report.html").read_text()
    assert "validation" in page
    assert points(LINES, "validation") == [(2, 2.25)]
