"""Envoy's access log: one JSON object a line for every request that came with a valid key, refused ones included.

Tokens are what the engine itself counted. A line without prompt_tokens is an answer in which the engine counted none
(an error, a refusal, a list of models). A client that hung up in the middle of a stream has a line with the tokens
that were on their way to it, and hung_up is true. Lines appear when a request ends, at most FLUSH_MILLISECONDS later.

On a request that takes longer there is a line every PROGRESS_SECONDS in a file of its own, for the case that Envoy is
killed: then the agent makes the request's last line from it (shipping/progress.py), and killed is true.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

FLUSH_MILLISECONDS = 10
"""Envoy holds lines back for at most so long (--file-flush-interval-msec). To hold none back
(--file-flush-min-size-kb 0) would cost 17 us a request; this costs 1."""
PROGRESS_SECONDS = 1
"""Between two lines on a request that is under way."""
LONG_MILLISECONDS = PROGRESS_SECONDS * 500
"""A request of so long may have such a line: a timer may be early."""
PROGRESS = "progress"
"""Folder beside the access log, of the Envoy that runs now: what it writes of requests under way."""
DEAD = "progress-of-dead"
"""How the names of such folders begin when their Envoy is dead."""
PROGRESS_LOG = "progress.log"
"""The file in them."""
ENDED = "DownstreamEnd"
"""Type of a line that is a request's last."""
KILLED = "KILLED"
"""A flag of our own beside Envoy's: it was killed while the answer was under way."""
HUNG_UP = frozenset({"DC", "DR", "DPE"})
"""Envoy's response flags that say that the client was gone before the answer's end."""

FIRST_FAILURE = 500
"""Of the statuses that Envoy answers with by itself where a service should have: no instance, none that is well."""

Count = Annotated[int, Field(ge=0)]
Flags = Annotated[str, BeforeValidator(lambda flags: "" if flags == "-" else flags)]
"""Envoy writes "-" where it raised none."""


class Line(BaseModel):
    """One request. What Envoy has no value for is left out of the line: then the field is None, empty or 0."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    request_id: str
    """Unique: made by the gateway, never taken from the client. Also in the answer's x-request-id and in its error."""
    started: Count
    """When the request came, milliseconds since 1970."""
    duration: Count = 0
    """Milliseconds from there to the answer's last byte."""
    first_byte: Count | None = None
    """Milliseconds from there to the first byte that the instance sent; in a stream the answer's head may come long
    before the first token."""
    first_token: Count | None = None
    """Milliseconds since 1970 of a stream's first chunk; None for answers that are not streamed."""
    account: str
    """The key's account (namespace): who pays."""
    key: str
    """Name (metadata.name) of the ApiKey in the account."""
    service_namespace: str | None = None
    """Namespace of the ModelService that answered; another than account where it is shared. None: none was reached."""
    service: str | None = None
    """Its name."""
    service_id: str | None = None
    """Its uid: a service deleted and made again under its name is another one."""
    model: str | None = None
    """Name of the catalogue's Model."""
    model_version: str | None = None
    """The Model's version that the service runs."""
    stream: bool = False
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    """None together with prompt_tokens; None beside them means 0."""
    method: str
    path: str
    """Without the query."""
    code: Count
    """HTTP status; 0: the client was gone, or Envoy was killed, before there was one. A stream that got comments while
    it was held has 200, also where it then failed."""
    flags: Flags = ""
    """Envoy's response flags, comma-separated: DC client hung up, UH no ready instance, UF connection failed, UT timed
    out, RL limited, UAEX refused. Empty: none."""
    details: str = ""
    """Why Envoy answered as it did (%RESPONSE_CODE_DETAILS%): via_upstream, local_rate_limited and so on."""
    input_control: str = ""
    """What content control said of the request: allowed, refused, failed (no verdict). Empty: it was not asked."""
    output_control: str = ""
    """The same of the answer."""
    upstream: str | None = None
    """ADDRESS:PORT of the instance that answered; of a stream that got comments while it was held, the agent's; of a
    request that was late for its service's last instance, that of Envoy's own listener (listener._late)."""
    unreached: bool = False
    """That listener said no in an instance's place."""

    @property
    def answered(self) -> bool:
        """Whether an instance answered, whatever it said."""
        return self.upstream is not None and not self.unreached

    @property
    def let_through(self) -> bool:
        """Whether it was for a service, and nothing refused it: its key, a limit, content control."""
        return self.service_id is not None and (self.upstream is not None or self.code >= FIRST_FAILURE)

    @property
    def without_instance(self) -> bool:
        """Whether it was let through, and no instance was there to answer it."""
        return self.let_through and not self.answered and self.code >= FIRST_FAILURE

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)

    @property
    def hung_up(self) -> bool:
        """Whether the client was gone before the answer's end."""
        return not HUNG_UP.isdisjoint(self.flags.split(","))

    @property
    def killed(self) -> bool:
        """Whether Envoy was killed before the answer's end. The tokens are those until then, less those of the last
        PROGRESS_SECONDS."""
        return self.flags == KILLED


FORMAT: dict[str, str] = {
    "request_id": "%STREAM_ID%",
    "started": "%START_TIME(%s%3f)%",
    "duration": "%DURATION%",
    "first_byte": "%RESPONSE_DURATION%",
    "first_token": "%DYNAMIC_METADATA(maas:first_token)%",
    "account": "%REQ(x-maas-account)%",
    "key": "%REQ(x-maas-key)%",
    "service_namespace": "%METADATA(ROUTE:maas:namespace)%",
    "service": "%METADATA(ROUTE:maas:name)%",
    "service_id": "%METADATA(ROUTE:maas:id)%",
    "model": "%METADATA(ROUTE:maas:model)%",
    "model_version": "%METADATA(ROUTE:maas:version)%",
    "stream": "%REQ(x-maas-stream)%",
    "prompt_tokens": "%DYNAMIC_METADATA(maas.usage:prompt_tokens)%",
    "completion_tokens": "%DYNAMIC_METADATA(maas.usage:completion_tokens)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:PATH)%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "upstream": "%UPSTREAM_HOST%",
    "unreached": "%DYNAMIC_METADATA(maas:unreached)%",
}
"""Field of a line -> Envoy's command."""
CONTROL_FORMAT: dict[str, str] = {
    "input_control": "%DYNAMIC_METADATA(maas.control:input)%",
    "output_control": "%DYNAMIC_METADATA(maas.control:output)%",
}
"""Further fields where there is content control."""
PROGRESS_FORMAT = {"type": "%ACCESS_LOG_TYPE%"}
"""Further fields of lines on requests under way."""
