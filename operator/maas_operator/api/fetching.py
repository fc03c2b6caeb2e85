"""What a fetch tells of itself by HTTP at PATH on the port of engines, which have not begun then."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from maas_operator.api.fields import Part

PATH = "/fetch"
MIB, GIB = 1024**2, 1024**3


class Step(StrEnum):
    """What a fetch is at."""

    LISTING = "Listing"
    WAITING = "Waiting"
    FETCHING = "Fetching"
    FINISHING = "Finishing"


class FetchProgress(Part):
    """How far a fetch has come."""

    step: Step
    done: Annotated[int, Field(ge=0)] = 0
    """Bytes that are there."""
    total: Annotated[int, Field(ge=0)] = 0
    """Bytes in all; 0 while that is not known."""
    seconds_left: Annotated[int, Field(ge=0)] | None = None
    """At the pace of the last minute; None while that is not known."""

    @property
    def words(self) -> str:
        """For people: "12.4 of 27.5 GiB, 3 min left"."""
        if self.step == Step.LISTING or not self.total:
            return "another pod is at it" if self.step == Step.WAITING else "asking the source what there is"
        unit, name = (GIB, "GiB") if self.total >= GIB else (MIB, "MiB")
        figures = f"{self.done / unit:.1f} of {self.total / unit:.1f} {name}"
        if self.step == Step.WAITING:
            return f"another pod is at it: {figures}"
        if self.step == Step.FINISHING:
            return f"{figures}, being verified"
        return figures if self.seconds_left is None else f"{figures}, {_time(self.seconds_left)} left"


def _time(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
