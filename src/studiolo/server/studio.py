"""All that the routes of one server share: models, records, limits. Made once, when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from studiolo.record.records import Records
from studiolo.server.jobs import Jobs
from studiolo.server.limits import Limiter
from studiolo.server.room import Room
from studiolo.server.settings import Settings
from studiolo.task.house import House


@dataclass(frozen=True)
class Studio:
    """The parts; ``close`` ends them."""

    settings: Settings
    house: House
    records: Records
    limiter: Limiter
    room: Room
    jobs: Jobs

    @classmethod
    def of(cls, settings: Settings, house: House, records: Records) -> Studio:
        """With limits that ask ``records`` what was spent."""
        room = Room(settings.requests, max(settings.bodies, settings.max_body))
        limiter = Limiter(records.ledger.spent)
        jobs = Jobs(settings, house, records, limiter, lambda: room.count)
        return cls(settings, house, records, limiter, room, jobs)

    def close(self) -> None:
        """Answer nothing more, and write down what was answered."""
        self.jobs.close()
        self.house.close()
        self.records.close()


def studio_of(request: Request) -> Studio:
    """That of the application which ``request`` came to."""
    studio: Studio = request.app.state.studio
    return studio
