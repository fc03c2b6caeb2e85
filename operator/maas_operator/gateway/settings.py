"""What an administrator sets for the gateway, from the chart's values."""

from enum import StrEnum
from typing import Annotated, Self

import yaml
from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from maas_operator.api.fields import Part
from maas_operator.gateway.facts import Waits

Port = Annotated[int, Field(ge=1, le=65535)]


class StreamUsage(StrEnum):
    """What a stream says of the tokens it used (M19)."""

    OPENAI = "OpenAI"
    """In a last chunk, if the client asked for it with stream_options.include_usage."""
    EVERY_CHUNK = "EveryChunk"
    """On every chunk, as the guide's shared host does."""


class TLS(Part):
    """The certificate that the gateway shows."""

    model_config = ConfigDict(extra="forbid")

    folder: str = Field(description="Folder with tls.crt and tls.key, as a Secret is mounted; read again on change.")


class OnFailure(StrEnum):
    """What becomes of a request or an answer on which the endpoint gives no verdict."""

    REFUSE = "Refuse"
    ALLOW = "Allow"


class ContentControl(Part):
    """An endpoint of the user's that says what may pass (81011)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    url: Annotated[
        str,
        Field(
            max_length=2048,
            pattern=r"^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/%?&=+-]*)?$",
        ),
    ] = Field(description="Where it is asked: http:// or https://, without a password.")
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] = Field(
        default=5, description="Seconds that it may take for a verdict."
    )
    on_failure: OnFailure = Field(
        default=OnFailure.REFUSE,
        description="Refuse or Allow what it gives no verdict on: it is down, too slow, or answers something else.",
    )
    input: bool = Field(default=True, description="Whether it is asked before a request goes to an instance.")
    output: bool = Field(
        default=True, description="Whether it is asked before an answer that is not streamed goes to the client."
    )
    token_file: Annotated[str, Field(max_length=4096, pattern=r"^/[A-Za-z0-9._/-]+$")] | None = Field(
        default=None, description="File with the bearer token that it wants, as a Secret is mounted; read on change."
    )
    ca_bundle: Annotated[str, Field(max_length=262144)] = Field(
        default="",
        description="Certificates (PEM) of the authorities that its certificate is believed from. Left empty: those of "
        "Envoy's image.",
    )

    @model_validator(mode="after")
    def _asked_at_all(self) -> Self:
        if not (self.input or self.output):
            raise ValueError("neither input nor output is to be asked about: leave contentControl out instead")
        return self


class Holding(Part):
    """Requests for a service that has no instance now and will have one."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    requests: Annotated[int, Field(ge=0, le=50000)] = Field(
        default=1000, description="Requests that one replica holds at a time. 0: none, such a service answers 503."
    )
    requests_per_service: Annotated[int, Field(ge=1, le=50000)] = Field(
        default=500, description="Of them for one service, so that one does not take all places."
    )
    seconds: Annotated[int, Field(ge=1, le=86400)] = Field(
        default=600,
        description="Seconds that a request is held at most; then 503. A leaving replica waits that much longer.",
    )
    keep_alive_streams: Annotated[int, Field(ge=0, le=10000)] = Field(
        default=256,
        description="Streams at a time that get comments while they are held, and pass through the agent then. Others "
        "are held in silence. 0: none.",
    )


class GatewaySettings(Part):
    """The gateway's settings. A field that nobody knows is an error: a typing mistake must not go unnoticed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    address: str = Field(default="0.0.0.0", description="Address that the gateway listens on.")  # noqa: S104 it is the door
    port: Port = Field(default=8080, description="Port that it listens on.")
    admin_port: Port = Field(default=9901, description="Envoy's own port, on loopback: metrics and health.")
    agent_port: Port = Field(default=9902, description="The agent's port, on loopback.")
    inner_port: Port = Field(
        default=9903, description="Envoy's port on loopback for what the agent asks in a client's name."
    )
    onward_port: Port = Field(
        default=9904, description="Envoy's port on loopback for streams that the agent passes on to their instances."
    )
    late_port: Port = Field(
        default=9905, description="Envoy's port on loopback for requests that find their service's last instance gone."
    )
    workers: Annotated[int, Field(ge=1, le=128)] | None = Field(
        default=None, description="Envoy's worker threads. Left out: one for each CPU that it may use."
    )
    tls: TLS | None = Field(default=None, description="TLS. Left out: plain HTTP.")
    trusted_proxies: Annotated[int, Field(ge=0, le=16)] = Field(
        default=0, description="Proxies in front of the gateway whose X-Forwarded-For is believed, counted from us."
    )
    request_bytes: Annotated[int, Field(ge=65536, le=268435456)] = Field(
        default=33554432, description="Largest body of a request (images are sent inside it), and of an answer at once."
    )
    connections: Annotated[int, Field(ge=1, le=1000000)] = Field(
        default=50000, description="Connections that one replica accepts at a time."
    )
    heap_bytes: Annotated[int, Field(ge=67108864)] = Field(
        default=2147483648, description="Envoy's memory: near it, it refuses new requests rather than die."
    )
    requests_per_minute_per_address: Annotated[int, Field(ge=1, le=60000000)] | None = Field(
        default=None, description="Requests a minute of one client address; more: 429 APIG.0308. Left out: no bound."
    )
    rate_limit_service: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$")] | None = Field(
        default=None,
        description="HOST:PORT of Envoy's rate limit service, which counts for all replicas in a store. Left out: each "
        "replica holds its even share of each limit.",
    )
    backend_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(
        default=600,
        description="Seconds without a byte from an instance after which a request is given up (APIG.0203).",
    )
    head_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=10, description="Seconds that a client may take to send a request's head."
    )
    body_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="Seconds that a client may take to send a whole request."
    )
    idle_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(
        default=300, description="Seconds after which a connection without requests is closed."
    )
    usage_on_streams: StreamUsage = Field(
        default=StreamUsage.OPENAI, description="OpenAI, or EveryChunk as the guide's shared host (M19)."
    )
    token_seconds: Annotated[int, Field(ge=60, le=86400)] = Field(
        default=3600, description="Seconds that a token of /oauth2/token is valid."
    )
    holding: Holding = Field(
        default=Holding(),
        description="How many requests wait for an instance of a service that has none now and will have one, and how "
        "long.",
    )
    content_control: ContentControl | None = Field(
        default=None, description="Who is asked what may pass. Left out: nobody."
    )

    @property
    def waits(self) -> Waits:
        """How long a request waits."""
        return Waits(self.holding.seconds, self.backend_seconds)


def parse(text: str) -> GatewaySettings:
    """Settings from YAML. Raises pydantic.ValidationError, which names the field."""
    return GatewaySettings.model_validate(yaml.safe_load(text) or {})
