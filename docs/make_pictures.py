"""Make the pictures of the terminal in ``docs/pictures``, from real runs of the starter model.

``python docs/make_pictures.py`` runs each command as a user would, with colours, and draws
what it printed. Seeds are fixed; the same version gives the same text.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURES = Path(__file__).parent / "pictures"
COLUMNS = 84
RAIN = "After the rain, the streets were"
RUNS = {
    "terminal": [
        ["generate", RAIN, "--max-tokens", "48", "--seed", "1"],
        ["next", RAIN, "-k", "8"],
    ],
    "walk": [["next", RAIN, "-k", "6", "--steps", "3", "--seed", "11"]],
}


def run(arguments: list[str]) -> Text:
    """What the command prints, with its colours."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm"}
    command = [sys.executable, "-c", "from studiolo.cli import main; main()", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Text.from_ansi(done.stdout.rstrip())


def draw(name: str, runs: list[list[str]]) -> None:
    """Run the commands and write ``docs/pictures/NAME.svg``."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        for number, arguments in enumerate(runs):
            if number:
                console.print()
            console.print(Text(f"$ studiolo {shlex.join(arguments)}", style="bold green"))
            console.print(run(arguments), soft_wrap=False)
        svg = console.export_svg(title="studiolo", unique_id=name)
    # rich names a web font; the picture is to need nothing from outside.
    svg = re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    (PICTURES / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name, runs in RUNS.items():
        draw(name, runs)
