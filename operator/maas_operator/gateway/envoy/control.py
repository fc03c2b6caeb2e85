"""Content control: the endpoint that is asked, and the two filters that ask it."""

from urllib.parse import SplitResult, urlsplit

from maas_operator.gateway import errors
from maas_operator.gateway.envoy.clusters import assignment
from maas_operator.gateway.envoy.lua import lua
from maas_operator.gateway.envoy.names import CONTROL, METADATA
from maas_operator.gateway.envoy.proto import Config, extension, typed
from maas_operator.gateway.settings import ContentControl, OnFailure

IDLE = "1s"
"""Less than the 2 s after which the most impatient servers (gunicorn) close an idle connection: nothing is asked twice,
so a question must not meet that."""
MOST_AT_A_TIME = 1024
"""Questions on their way to a slow endpoint; beyond, there is no verdict."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Public authorities, as Debian and Ubuntu, and so both of Envoy's images, have them."""
_PORTS = {"http": 80, "https": 443}


def input_filter(control: ContentControl) -> Config:
    """Asks before a request goes on. Named after the metadata of routes, which a script reads by its filter's name."""
    return _lua(METADATA, "input", control)


def output_filter(control: ContentControl) -> Config:
    """Asks before an answer goes on, of requests that the other has seen."""
    return _lua("control", "output", control)


def cluster(control: ContentControl) -> Config:
    """The endpoint."""
    url = urlsplit(control.url)
    made: Config = {
        "name": CONTROL,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "wait_for_warm_on_init": False,
        "connect_timeout": f"{min(control.timeout_seconds, 2)}s",
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": MOST_AT_A_TIME,
                    "max_pending_requests": MOST_AT_A_TIME,
                    "max_requests": MOST_AT_A_TIME,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": IDLE},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
        "load_assignment": assignment(CONTROL, ((url.hostname or "", url.port or _PORTS[url.scheme]),)),
    }
    if url.scheme == "https":
        made["transport_socket"] = _tls(control, url)
    return made


def _tls(control: ContentControl, url: SplitResult) -> Config:
    host = url.hostname or ""
    is_address = ":" in host or host.replace(".", "").isdigit()
    name = {"san_type": "IP_ADDRESS" if is_address else "DNS", "matcher": {"exact": host}}
    trusted = {"inline_string": control.ca_bundle} if control.ca_bundle else {"filename": CERTIFICATES}
    context = {"trusted_ca": trusted, "match_typed_subject_alt_names": [name]}
    return extension(
        "tls",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context={"validation_context": context},
        **({} if is_address else {"sni": host}),
    )


def _lua(name: str, stage: str, control: ContentControl) -> Config:
    url, refused = urlsplit(control.url), errors.content(stage)
    constants = {
        "STAGE": stage,
        "INPUT": control.input,
        "OUTPUT": control.output,
        "REFUSE": control.on_failure == OnFailure.REFUSE,
        "CODE": refused.code,
        "STATUS": str(refused.status),
        "REFUSED": refused.message,
        "NO_VERDICT": errors.no_verdict(stage).message,
        "CLUSTER": CONTROL,
        "AUTHORITY": url.netloc,
        "PATH": (url.path or "/") + (f"?{url.query}" if url.query else ""),
        "MILLISECONDS": control.timeout_seconds * 1000,
        "TOKEN_FILE": control.token_file or False,
    }
    return lua(name, constants, "verdict.lua", "control.lua")
