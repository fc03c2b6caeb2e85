"""What a gateway replica tells the operator of the services' requests: GET PATH on its metrics port, in JSON."""

from typing import Annotated

from pydantic import Field

from maas_operator.api.fields import Part

PATH = "/v1/traffic"

Count = Annotated[int, Field(ge=0)]


class ServiceTraffic(Part):
    """One service's requests, as this replica saw them since `Traffic.since`."""

    requests: Count = Field(
        default=0,
        description="Requests that came and were let through to it. Each is counted once: when it is held, has been "
        "under way for a second, or ends, whichever is first.",
    )
    last_request: float | None = Field(
        default=None, description="When the last of them came, seconds since 1970. None: there was none."
    )
    held: Count = Field(default=0, description="Requests that are held now, until an instance answers.")
    under_way: dict[str, Count] = Field(
        default={},
        description="Requests that have been under way for a second or longer, by ADDRESS:PORT of the instance; of "
        "streams that got comments while they were held, that of the agent, which passes them on.",
    )
    unanswered: dict[str, Count] = Field(
        default={},
        description="Those among them of whose answer nothing has come: no token of a stream, no byte of another "
        "answer. A client that reads slowly, or not at all, cannot make them: they are the instance's doing.",
    )


class Traffic(Part):
    """What one replica tells. Services without any request since it began are left out."""

    replica: str = Field(description="Which agent process this is: its counts begin at 0 with each.")
    since: float = Field(description="When it began to count, seconds since 1970.")
    services: dict[str, ServiceTraffic] = Field(default={}, description="By the ModelService's uid.")
