"""Rows of the records as tests look for them."""

from __future__ import annotations

import time
from typing import Any

from tests.server.serving import Served

PATIENCE = 30.0
"""Seconds after which a row that is not there is missing."""


def recorded(served: Served, id: str | None) -> Any:
    """The row of that request; it is written after the client has its answer."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for entry in served.entries():
            if entry.id == id:
                return entry
        time.sleep(0.01)
    raise AssertionError(f"there is no row of {id}")
