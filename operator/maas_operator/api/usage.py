"""Usage as it travels from the gateway's agents to the ledger, and from the ledger to whoever asks."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from maas_operator.api.fields import Part

LEDGER_AUDIENCE = "maas-ledger"
"""Audience of the service account tokens that the ledger takes; no other token passes."""
LEDGER_TOKEN_HEADER = "X-Maas-Ledger-Token"  # noqa: S105 its name
"""The token's header. Not Authorization: the API server's service proxy takes that one for itself."""
LEDGER_SERVICE = "maas-ledger"
LEDGER_PORT_NAME = "http"
"""Of the ledger's Service. RBAC on the proxy names the port too, so that metrics, on another one, stay closed."""

FIRST_TOKEN_BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
DURATION_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Upper bounds of the histograms' buckets, in seconds; one more bucket holds what is above."""

Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(max_length=253)]
Buckets = Annotated[list[Count], Field(min_length=len(FIRST_TOKEN_BOUNDS) + 1, max_length=len(DURATION_BOUNDS) + 1)]


class _Wire(Part):
    model_config = ConfigDict(extra="forbid")


class Sums(_Wire):
    """What is added up. Milliseconds are whole: sums of them are exact, whatever their order."""

    requests: Count = 0
    answered: Count = 0
    """Requests that an instance answered, whatever it said; the others the gateway answered itself."""
    failures: Count = 0
    """Requests with a status of 400 or above, or broken off by another than the client."""
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    first_tokens: Count = 0
    """Streams of which a first token came."""
    first_token_ms: Count = 0
    """How long those took to come: divided by first_tokens, the mean time to the first token."""
    duration_ms: Count = 0
    """How long what instances answered took, to the last byte: divided by answered, the mean."""


SUMS = tuple(Sums.model_fields)


class UsageRow(Sums):
    """The use of one service by one key within a minute."""

    account: Name
    """The caller's account: it pays."""
    key: Name
    service: Annotated[str, Field(max_length=320)] = ""
    """NAMESPACE/NAME: a shared service belongs to another account than the caller's. Empty: none was reached."""
    model: Name = ""
    version: Name = ""
    minute: Annotated[int, Field(ge=0, le=2**40, multiple_of=60)]
    """When the minute in which the requests ended began, in seconds since 1970."""


class Latencies(_Wire):
    """How long a service's answers took: how many fell into each bucket. For histograms; not kept."""

    service: Annotated[str, Field(max_length=320)]
    first_token: Buckets
    first_token_ms: Count
    duration: Buckets
    duration_ms: Count


class Batch(_Wire):
    """What a stretch of one access log says. A stretch counts once."""

    origin: Annotated[str, Field(min_length=1, max_length=128)]
    """Whose log it is: the uid of the gateway's pod."""
    log: Annotated[str, Field(min_length=1, max_length=128)]
    """Which of its logs: the same after a renaming, another for every other file."""
    start: Count
    end: Count
    """The stretch's first byte, and the byte behind its last."""
    rows: Annotated[list[UsageRow], Field(max_length=20_000)]
    latencies: Annotated[list[Latencies], Field(max_length=20_000)] = Field(default=[])

    @property
    def id(self) -> str:
        """What names the stretch in logs."""
        return f"{self.origin}/{self.log}/{self.start}-{self.end}"


class Receipt(_Wire):
    """The ledger's answer to a batch."""

    acknowledged: Count
    """Bytes of that log that are counted, for good."""
    counted: bool
    """Whether this batch was counted now. If not, it was before, or it does not begin where the last one ended."""


Grouping = Literal["account", "key", "service", "model", "version", "minute", "hour", "day"]
GROUPINGS: tuple[Grouping, ...] = ("account", "key", "service", "model", "version", "minute", "hour", "day")


class UsageLine(Sums):
    """One line of an answer: the sums, and the value of each column they were grouped by."""

    account: str | None = None
    key: str | None = None
    service: str | None = None
    model: str | None = None
    version: str | None = None
    minute: str | None = None
    hour: str | None = None
    day: str | None = None
    """Beginnings, in UTC: 2026-01-31T12:00Z; of a day 2026-01-31."""
