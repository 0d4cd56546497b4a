"""What models cost: ``prices.toml``, as the operator wrote it, and what models elsewhere do.

Prices are in units of cost for a million tokens, whatever the unit is; budgets count in the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from studiolo.server.settings import Price
from studiolo.task.remote.settings import Remote
from studiolo.task.remote.tables import read_tables

FILE = "prices.toml"
PAGE = "docs/management.md"


class PriceTable(BaseModel):
    """Of one model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    prompt: float = Field(0.0, ge=0)
    completion: float = Field(0.0, ge=0)


def read_prices(path: Path) -> dict[str, Price]:
    """The prices of ``path`` by model. Raises :class:`MalformedFileError`."""
    tables = read_tables(path, "models", PriceTable, PAGE)
    return {name: Price(each.prompt, each.completion) for name, each in tables.items()}


def prices_of(own: Mapping[str, Price], remotes: Mapping[str, Remote]) -> dict[str, Price]:
    """All prices; where both name a model, the operator's prices count."""
    elsewhere = {
        name: Price(remote.prices.prompt, remote.prices.completion)
        for name, remote in remotes.items()
        if remote.prices is not None
    }
    return {**elsewhere, **own}
