"""Write ``docs/cli.md`` from the command line itself, or with ``--check`` say if it is stale.

Every sentence of that page stands once, beside the option it describes. The check also
holds the group's one-line helps against the commands' own docstrings.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from studiolo.cli.group import COMMANDS, load

PAGE = Path(__file__).parent / "cli.md"
HEAD = """# The command line

*Written by `make docs` from the commands themselves; do not edit.*

`studiolo COMMAND --help` says the same in the terminal. Everywhere: messages and progress go
to standard error, so that what a command prints can be piped; errors are one message and an
exit code (2 for a wrong request, 1 for what else can go wrong, 130 after Ctrl-C, 70 for a fault of
Studiolo itself, whose traceback `STUDIOLO_DEBUG=1` shows; of `replay`, 1 when the bits differ and 3
when there is nothing to compare). Models live under `STUDIOLO_HOME`,
by default the platform's directory for user data.
"""


def cell(text: str) -> str:
    """Text that a table cell can hold."""
    return " ".join(text.split()).replace("|", "\\|")


def option_row(option: Any) -> str:
    """One row of the options table."""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    shown = option.default not in (None, (), "") and option.default is not False
    default = f"`{option.default}`" if shown else "needed" if option.required else ""
    return f"| {names} | {cell(option.help or '')} | {default} |"


def section(name: str, command: Any) -> str:
    """The part of the page about one command, and about those that it has of its own."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(a.name.upper() if a.required else f"[{a.name.upper()}]" for a in arguments)
    lines = [f"## studiolo {name}", "", f"`studiolo {name} {usage}".strip() + " [OPTIONS]`", ""]
    lines += [(command.help or "").strip(), ""]
    lines += [f"- `{a.name.upper()}`: {cell(a.help)}" for a in arguments if a.help]
    if any(a.help for a in arguments):
        lines.append("")
    if options:
        lines += ["| option | what it does | default |", "| --- | --- | --- |"]
        lines += [option_row(option) for option in options]
        lines.append("")
    inner = getattr(command, "commands", {})
    if inner:
        lines[2] = f"`studiolo {name} COMMAND`"
    lines += [section(f"{name} {each}", inner[each]) for each in inner]
    return "\n".join(lines)


def page() -> str:
    """The whole page, as it should be."""
    return "\n".join([HEAD, *(section(name, load(name)) for name in COMMANDS)])


def disagreements() -> list[str]:
    """Commands whose line in the group is not the first line of their own help."""
    found = []
    for name, (_, line) in COMMANDS.items():
        own = (load(name).help or "").strip().split("\n\n")[0].replace("\n", " ")
        if own != line:
            found.append(f"{name}: the group says {line!r}, the command says {own!r}")
    return found


def main() -> int:
    """Write or check; 1 if something is stale."""
    wrong = disagreements()
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        wrong.append("docs/cli.md is stale; `make docs` writes it again")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
