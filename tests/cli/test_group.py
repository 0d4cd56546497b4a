from __future__ import annotations

import subprocess
import sys
import time

import pytest

from studiolo.cli.group import COMMANDS, load
from tests.cli.conftest import Run

HEAVY = (
    *("torch", "pydantic", "numpy", "httpx", "transformers", "huggingface_hub", "jinja2"),
    *("sqlalchemy", "alembic", "psycopg"),
)
PROBE = """
import sys
from studiolo.cli import main
try:
    main({args!r})
except SystemExit:
    pass
print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)
print(*(m for m in sys.modules if m.startswith("studiolo.")), file=sys.stderr)
"""


def probe(*args: str) -> tuple[str, str]:
    code = PROBE.format(args=list(args), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, own = done.stderr.strip().splitlines()[-2:]
    return heavy, own


def test_help_imports_neither_the_heavy_libraries_nor_any_command() -> None:
    heavy, own = probe("--help")
    assert heavy == "[]"
    assert set(own.split()) == {
        "studiolo.cli",
        "studiolo.cli.failure",
        "studiolo.cli.group",
        "studiolo.errors",
    }


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = f"import sys, studiolo; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_answers_at_once() -> None:
    # The best of several: what is measured is the program, not the machine's other work.
    command = [sys.executable, "-c", "from studiolo.cli import main; main(['--help'])"]

    def seconds() -> float:
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        return time.perf_counter() - started

    assert any(seconds() < 0.3 for _ in range(7))


def test_help_lists_every_command_with_its_line(run: Run) -> None:
    ended = run("--help")
    assert ended.code == 0
    for name, (_, line) in COMMANDS.items():
        assert f" {name} " in ended.out
        assert line in ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own_that_begins_with_the_groups_line(
    name: str, run: Run
) -> None:
    command = load(name)
    assert command.help.split("\n\n")[0] == COMMANDS[name][1]
    assert all(p.help for p in command.params), "every option and argument is explained"
    ended = run(name, "--help")
    assert ended.code == 0
    assert COMMANDS[name][1] in ended.out


def test_commands_of_a_command_have_help_of_their_own(run: Run) -> None:
    inner = load("keys").commands
    assert list(inner) == ["create", "list", "revoke", "usage", "delete-contents"]
    for name, command in inner.items():
        assert command.help
        assert all(p.help for p in command.params), "every option and argument is explained"
        ended = run("keys", name, "--help")
        assert ended.code == 0
        assert command.help.split(".")[0].split(",")[0] in " ".join(ended.out.split())


def test_version(run: Run) -> None:
    import studiolo

    assert run("--version").out == f"studiolo {studiolo.__version__}\n"


def test_a_slip_in_a_commands_name_gets_the_nearest(run: Run) -> None:
    ended = run("genrate")
    assert ended.code == 2
    assert "Did you mean 'generate'?" in ended.err
