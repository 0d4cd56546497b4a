"""The terminal door.

``main`` is what the ``studiolo`` script calls. Importing this package imports nothing
heavy: the group in :mod:`studiolo.cli.group` knows each command by name and line, and
the command's own module, with torch behind it, is imported when it is called.
"""

from __future__ import annotations


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code; never shows a traceback unasked."""
    from studiolo.cli.failure import leaving_cleanly
    from studiolo.cli.group import build

    with leaving_cleanly():
        build().main(args=args, prog_name="studiolo")
