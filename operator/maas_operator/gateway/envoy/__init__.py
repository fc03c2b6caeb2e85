"""From facts to Envoy's files. Pure."""

from collections.abc import Callable, Mapping, Sequence

from maas_operator.gateway.envoy import clusters, keys, limits, names, tokens
from maas_operator.gateway.envoy.bootstrap import bootstrap, start
from maas_operator.gateway.envoy.listener import certificate, listeners
from maas_operator.gateway.envoy.routes import routes
from maas_operator.gateway.facts import Facts
from maas_operator.gateway.settings import GatewaySettings
from maas_operator.gateway.signing import SigningKey

DYNAMIC: Mapping[str, Callable[[Facts], bytes]] = {
    names.CLUSTERS: clusters.clusters,
    names.REPLICAS: clusters.replicas,
    names.ROUTES: routes,
    names.KEYS: keys.keys,
    names.VERDICTS: keys.verdicts,
    names.KEY_REQUESTS: limits.key_requests,
    names.SERVICE_REQUESTS: limits.service_requests,
    names.SERVICE_QPS: limits.service_qps,
}
"""File -> what makes it, in the order in which they are written: a route's cluster is there before the route."""


def render(facts: Facts) -> dict[str, bytes]:
    """The files that change with the facts: name -> content."""
    return {name: renderer(facts) for name, renderer in DYNAMIC.items()}


def render_tokens(signing: Sequence[SigningKey]) -> dict[str, bytes]:
    """The file that changes with the signing keys alone."""
    return {names.TOKENS: tokens.tokens(signing)}


def render_start(settings: GatewaySettings, folder: str, log: str) -> dict[str, bytes]:
    """The files that change with the settings alone. folder: where Envoy reads its files; log: its access log."""
    texts = {
        names.LISTENERS: listeners(settings, folder, log),
        names.START: start(folder, log),
        names.BOOTSTRAP: bootstrap(settings, folder),
    }
    if settings.tls:
        texts = {names.CERTIFICATE: certificate(settings), **texts}
    return {name: text.encode() for name, text in texts.items()}
