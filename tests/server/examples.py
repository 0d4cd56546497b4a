"""The examples of a page of the docs, run as a reader would: one after another, top to bottom.

They name the address and the models that a fresh installation has. Those of a server of tiny models
take their place, so that an example is judged by whether it runs, and not by what is said.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from studiolo.bundle.catalogue import DEFAULT_ENCODER, DEFAULT_MODEL
from tests.server.serving import Served

DOCS = Path(__file__).resolve().parents[2] / "docs"
ADDRESS = "http://127.0.0.1:8000"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_examples(page: str, served: Served) -> dict[str, Any]:
    """Run every block of Python of ``docs/PAGE``; the names that they leave.

    What of these can be closed is closed.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    try:
        for block in _BLOCK.finditer(text):
            code = block[1]
            for theirs, ours in (
                (ADDRESS, served.url), (DEFAULT_MODEL, "tiny"), (DEFAULT_ENCODER, "tiny-encoder"),
            ):  # fmt: skip
                code = code.replace(theirs, ours)
            # The lines of the page, for whoever reads the traceback.
            lines = text.count("\n", 0, block.start(1))
            whole = compile("\n" * lines + code, str(DOCS / page), "exec", dont_inherit=True)
            exec(whole, names)
    finally:
        for value in names.values():
            close = getattr(value, "close", None)
            if callable(close) and not isinstance(value, type):
                close()
    return names
