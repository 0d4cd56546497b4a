"""All records of one database, opened together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from studiolo.record.batches import Batches
from studiolo.record.contents import Contents, Policy
from studiolo.record.database import Database
from studiolo.record.feedback import Feedback
from studiolo.record.keys import Keys
from studiolo.record.ledger import Ledger
from studiolo.record.uploads import Uploads


@dataclass(frozen=True)
class Records:
    """Close them when nothing is to be written any more."""

    database: Database
    keys: Keys
    ledger: Ledger
    contents: Contents
    feedback: Feedback
    uploads: Uploads
    batches: Batches

    @classmethod
    def open(cls, url: str | None = None, policy: Policy = Policy()) -> Self:  # noqa: B008  # frozen
        """Those at ``url``, as :meth:`Database.open`; ``policy``: what contents are kept."""
        database = Database.open(url)
        return cls(
            database,
            Keys(database),
            Ledger(database),
            Contents(database, policy),
            Feedback(database),
            Uploads(database),
            Batches(database),
        )

    def close(self) -> None:
        """Write what waits to be written, and give the database back."""
        self.ledger.close()
        self.contents.log.close()
        self.database.close()
