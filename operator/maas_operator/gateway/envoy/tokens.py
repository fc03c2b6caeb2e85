"""What tokens are believed (I1): each replica's Envoy verifies them by itself, and asks nobody."""

from collections.abc import Sequence
from json import dumps

from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2

from maas_operator.gateway.envoy.names import TOKEN, TOKEN_KEY
from maas_operator.gateway.envoy.proto import Config, discovered, message
from maas_operator.gateway.signing import SigningKey
from maas_operator.gateway.tokens import ISSUER, jwks


def tokens(keys: Sequence[SigningKey]) -> bytes:
    """The file of the filter that verifies a token and says of which key it is. Without signing keys it does nothing:
    then no token leads to a key."""
    return discovered("tokens", message(config_pb2.JwtAuthentication, _believing(keys) if keys else {}))


def _believing(keys: Sequence[SigningKey]) -> Config:
    provider = {
        "issuer": ISSUER,
        "require_expiration": True,
        "local_jwks": {"inline_string": dumps(jwks(keys))},
        "from_headers": [{"name": TOKEN}],
        "claim_to_headers": [{"header_name": TOKEN_KEY, "claim_name": "key"}],
    }
    either = {"requires_any": {"requirements": [{"provider_name": "maas"}, {"allow_missing": {}}]}}
    return {"providers": {"maas": provider}, "rules": [{"match": {"prefix": "/"}, "requires": either}]}
