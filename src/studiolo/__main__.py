"""``python -m studiolo``: the same door as the ``studiolo`` script, for launchers of modules."""

from __future__ import annotations

from studiolo.cli import main

if __name__ == "__main__":
    main()
