"""The table of errors, in the guides' words (REQUIREMENTS.md, Errors)."""

from dataclasses import dataclass, replace

from maas_operator.api.model import Parameter


@dataclass(frozen=True, slots=True)
class Error:
    """An answer of the gateway's own: {"error_code", "error_msg", "request_id"}."""

    status: int
    code: str
    message: str
    """May hold Envoy's commands, such as %REQ(x-maas-key-rpm)%."""

    def body(self, request_id: str) -> dict[str, str]:
        """The body, in JSON terms."""
        return {"error_code": self.code, "error_msg": self.message, "request_id": request_id}


BAD_REQUEST = Error(
    400, "ModelArts.81001", "The request body cannot be parsed, or its model is empty: send a JSON object with a model."
)
MOST_KEEP_ALIVE = 60
"""Seconds between two comments in a stream that is held; at least 1."""
BAD_KEEP_ALIVE = Error(
    400,
    "ModelArts.81001",
    f"X-SSE-Keep-Alive is not seconds: send a whole number from 1 to {MOST_KEEP_ALIVE}, or leave the header out.",
)
_MODEL = "Model %METADATA(ROUTE:maas:model)%"
NO_CHOICES = Error(
    400, "ModelArts.81001", f"{_MODEL} does not support n above 1: leave n out, and send a request for each answer."
)
NO_BEAM_SEARCH = Error(400, "ModelArts.81001", f"{_MODEL} does not support use_beam_search: leave it out.")
NO_LENGTH_PENALTY = Error(400, "ModelArts.81001", f"{_MODEL} does not support length_penalty: leave it out, or send 1.")
UNSUPPORTED = {
    Parameter.N_ABOVE_ONE: NO_CHOICES,
    Parameter.BEAM_SEARCH: NO_BEAM_SEARCH,
    Parameter.LENGTH_PENALTY: NO_LENGTH_PENALTY,
}
"""What is answered where a version does not support what a request asks for (M20)."""
NO_KEY = Error(
    400, "ModelArts.81002", "The Authorization header is missing or malformed: send Authorization: Bearer KEY."
)
BAD_KEY = Error(401, "ModelArts.81003", "The API key is unknown, deleted or expired.")
NO_ACCESS = Error(401, "ModelArts.81004", "No access to this service, or it is not enabled.")
QUOTA_USED_UP = Error(401, "ModelArts.81005", "The key's token quota is used up.")
FROZEN = Error(401, "ModelArts.81006", "The resource is frozen.")
NO_MODEL = Error(404, "ModelArts.81009", "The model named in the body is not found.")
TOO_LARGE = Error(413, "ModelArts.81001", "The request is larger than the gateway takes.")
TOO_SLOW = Error(408, "ModelArts.81001", "The request did not arrive in time.")
KEY_REQUESTS = Error(
    429, "ModelArts.81101", "Too many requests, exceeded rate limit is %REQ(x-maas-key-rpm)% times per minute."
)
SERVICE_REQUESTS = Error(
    429, "ModelArts.81101", "Too many requests, exceeded rate limit is %METADATA(ROUTE:maas:rpm)% times per minute."
)
KEY_TOKENS = Error(
    429, "ModelArts.81103", "Too many requests. exceeded rate limit is %REQ(x-maas-key-tpm)% tokens per minute."
)
SERVICE_TOKENS = Error(
    429, "ModelArts.81103", "Too many requests. exceeded rate limit is %METADATA(ROUTE:maas:tpm)% tokens per minute."
)
NO_API = Error(404, "APIG.0101", "The API does not exist or has not been published in the environment")


def no_service(product: str, model: str) -> Error:
    """A product that the catalogue offers, and nobody serves to the key."""
    message = f"Product {product} is offered, but there is no service of Model {model} that this key may call."
    return replace(NO_MODEL, message=message)


def address_requests(limit: int) -> Error:
    """Too many requests from one client address."""
    return _throttled("ip", str(limit), "minute")


def content(stage: str) -> Error:
    """Content control refuses the input or the output. What it gives for a reason follows."""
    return Error(403, "ModelArts.81011", f"The {stage} is refused by content control")


def no_verdict(stage: str) -> Error:
    """Content control did not say whether the input or the output may pass."""
    return Error(403, "ModelArts.81011", f"The {stage} is refused: content control gave no verdict")


def _throttled(policy: str, limit: str, unit: str) -> Error:
    message = f"The throttling threshold has been reached: policy {policy} over ratelimit,limit:{limit},time:1 {unit}"
    return Error(429, "APIG.0308", message)


SERVICE_QPS = _throttled("api", "%METADATA(ROUTE:maas:qps)%", "second")
BUSY = Error(503, "APIG.0203", "Backend timeout")
"""No ready instance, or the gateway itself has no room."""
TIMEOUT = Error(504, "APIG.0203", "Backend timeout")
