"""All records of one database, opened together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from studiolo.record.database import Database
from studiolo.record.keys import Keys
from studiolo.record.ledger import Ledger


@dataclass(frozen=True)
class Records:
    """Close them when nothing is to be written any more."""

    database: Database
    keys: Keys
    ledger: Ledger

    @classmethod
    def open(cls, url: str | None = None) -> Self:
        """Those at ``url``; as :meth:`Database.open`."""
        database = Database.open(url)
        return cls(database, Keys(database), Ledger(database))

    def close(self) -> None:
        """Write what waits to be written, and give the database back."""
        self.ledger.close()
        self.database.close()
