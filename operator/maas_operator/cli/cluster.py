"""The user's cluster, reached as kubectl reaches it, with the user's own rights."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kubernetes import config
from kubernetes.client import (
    ApiClient,
    AuthenticationV1TokenRequest,
    CoreV1Api,
    CustomObjectsApi,
    V1TokenRequestSpec,
)
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from maas_operator.api.kinds import Kind
from maas_operator.api.names import GROUP, VERSION
from maas_operator.api.usage import LEDGER_AUDIENCE, LEDGER_PORT_NAME, LEDGER_SERVICE, LEDGER_TOKEN_HEADER
from maas_operator.cli.errors import AwayError, CliError, ConflictError, GoneError

SECONDS = 60
FORBIDDEN, GONE, CONFLICT = 403, 404, 409
PASSING = (410, 429, 500, 502, 503, 504)
"""What the API server answers while it cannot, or no longer has the place where a watch stood."""
_ERRORS = dict.fromkeys(PASSING, AwayError) | {GONE: GoneError, CONFLICT: ConflictError}
MANAGER = "kubectl-maas"
"""Who made an object, as its label app.kubernetes.io/managed-by says."""
WRITER = "maas-cli"
"""Field manager of what the CLI changes. No name that begins with kubectl: what such a manager has set Flux takes away
again, also an annotation that Git says nothing of, and a service that was started would be rolled for it."""
TOKEN_SECONDS = 600
"""The shortest life that the API server gives to a token."""
READER = "default"
"""The service account whose token opens the ledger: each namespace has it, and the ledger asks only where it lives."""


class Cluster:
    """Requests to one cluster. What goes wrong is raised as CliError. `client`: the connection, for other requests;
    `named`: what -n said."""

    def __init__(self, kubeconfig: str | None, context: str | None, namespace: str | None) -> None:
        try:
            if kubeconfig is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config()  # type: ignore[no-untyped-call]
                self.client, chosen = ApiClient(), None
            else:
                contexts, active = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
                wanted = next((each for each in contexts if each["name"] == context), None) if context else active
                if wanted is None:
                    names = ", ".join(each["name"] for each in contexts)
                    raise CliError(f"the kubeconfig has no context {context}: it has {names}")
                self.client = config.new_client_from_config(kubeconfig, wanted["name"])  # type: ignore[no-untyped-call]
                chosen = wanted["context"].get("namespace")
        except (ConfigException, OSError, KeyError) as error:
            raise CliError(
                f"no cluster to talk to: {error}; name a kubeconfig by --kubeconfig or $KUBECONFIG"
            ) from error
        self.named = namespace
        self.account: str = namespace or chosen or "default"

    def objects(self, kind: Kind, *, everywhere: bool = False) -> list[dict[str, Any]]:
        """The account's objects of a kind, or those of all accounts."""
        api, whose = CustomObjectsApi(self.client), "all accounts" if everywhere else f"account {self.account}"
        with explained(f"list the {kind.plural} of {whose}"):
            found: Any = (
                api.list_cluster_custom_object(GROUP, VERSION, kind.plural, _request_timeout=SECONDS)
                if everywhere
                else api.list_namespaced_custom_object(
                    GROUP, VERSION, self.account, kind.plural, _request_timeout=SECONDS
                )
            )
        items: list[dict[str, Any]] = found["items"]
        return items

    def object(self, kind: Kind, name: str) -> dict[str, Any]:
        """One of the account's objects."""
        with explained(f"get {kind.kind} {name} of account {self.account}"):
            found: Any = CustomObjectsApi(self.client).get_namespaced_custom_object(
                GROUP, VERSION, self.account, kind.plural, name, _request_timeout=SECONDS
            )
        manifest: dict[str, Any] = found
        return manifest

    def create(self, kind: Kind, manifest: dict[str, Any]) -> None:
        """Make an object."""
        with explained(f"make {kind.kind} {manifest['metadata']['name']} in account {self.account}"):
            CustomObjectsApi(self.client).create_namespaced_custom_object(
                GROUP,
                VERSION,
                self.account,
                kind.plural,
                manifest,
                field_validation="Strict",  # an older CRD must not drop a limit in silence
                _request_timeout=SECONDS,
            )

    def patch(self, kind: Kind, name: str, patch: dict[str, Any]) -> bool:
        """Merge a patch that names the resourceVersion it was made for. False: somebody else was faster."""
        with explained(f"change {kind.kind} {name} of account {self.account}"):
            try:
                CustomObjectsApi(self.client).patch_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    self.account,
                    kind.plural,
                    name,
                    patch,
                    field_manager=WRITER,
                    field_validation="Strict",
                    _content_type="application/merge-patch+json",
                    _request_timeout=SECONDS,
                )
            except ApiException as error:
                if error.status == CONFLICT:
                    return False
                raise
        return True

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an object."""
        with explained(f"delete {kind.kind} {name} of account {self.account}"):
            CustomObjectsApi(self.client).delete_namespaced_custom_object(
                GROUP, VERSION, self.account, kind.plural, name, _request_timeout=SECONDS
            )

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, what: str, selector: str | None = None
    ) -> dict[str, Any]:
        """One request for Kubernetes' own kinds. `what`: in words, for when it goes wrong; `selector`: of labels."""
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        query = {"fieldManager": WRITER} if method in {"POST", "PATCH"} else {}
        return self._sent(method, path, content, query | ({"labelSelector": selector} if selector else {}), body, what)

    def apply(self, path: str, manifest: Mapping[str, Any], *, what: str) -> dict[str, Any]:
        """Make an object of Kubernetes' own what this says, by server-side apply. `what`: as in `ask`."""
        query = {"fieldManager": WRITER, "force": "true"}
        return self._sent("PATCH", path, "application/apply-patch+yaml", query, manifest, what)

    def _sent(
        self,
        method: str,
        path: str,
        content: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        what: str,
    ) -> dict[str, Any]:
        with explained(what):
            request = self.client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self.client.call_api(*request, _request_timeout=SECONDS)
            text = answer.read().decode()  # type: ignore[no-untyped-call]
            if not 200 <= answer.status < 300:
                raise ApiException(answer.status, answer.reason, body=text)
            decoded: dict[str, Any] = json.loads(text)
            return decoded

    def usage(self, ledger_namespace: str, reader_namespace: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """What the ledger says was used."""
        return self._ledger("v1/usage", ledger_namespace, reader_namespace, query)

    def events(self, ledger_namespace: str, reader_namespace: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """What the ledger says has happened."""
        return self._ledger("v1/events", ledger_namespace, reader_namespace, query)

    def bill(self, ledger_namespace: str, reader_namespace: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The ledger's bill."""
        (found,) = self._ledger("v1/bill", ledger_namespace, reader_namespace, query)
        return found

    def _ledger(
        self, what: str, ledger_namespace: str, reader_namespace: str, query: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Ask the ledger, through the API server, with a token for a service account of `reader_namespace`."""
        service = f"http:{LEDGER_SERVICE}:{LEDGER_PORT_NAME}"
        path = f"/api/v1/namespaces/{ledger_namespace}/services/{service}/proxy/{what}"
        headers = {LEDGER_TOKEN_HEADER: self._token(reader_namespace), "Accept": "application/jsonl"}
        with explained(f"ask the ledger (service {LEDGER_SERVICE} in namespace {ledger_namespace})"):
            request = self.client.param_serialize(
                "GET",
                path,
                query_params=list(query.items()),
                header_params=headers,
                auth_settings=["BearerToken"],
            )
            answer = self.client.call_api(*request, _request_timeout=SECONDS)
            text = answer.read().decode()  # type: ignore[no-untyped-call]
            if answer.status != 200:
                raise ApiException(answer.status, answer.reason, body=text)
            return [json.loads(line) for line in text.splitlines()]

    def _token(self, namespace: str) -> str:
        body = AuthenticationV1TokenRequest(
            spec=V1TokenRequestSpec(audiences=[LEDGER_AUDIENCE], expiration_seconds=TOKEN_SECONDS)
        )
        with explained(f"get a token for the ledger (service account {READER} of namespace {namespace})"):
            made = CoreV1Api(self.client).create_namespaced_service_account_token(
                READER, namespace, body, _request_timeout=SECONDS
            )
        return str(made.status and made.status.token)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what a request may raise into what the user can do about it."""
    try:
        yield
    except ApiException as error:
        kind = _ERRORS.get(error.status or 0, CliError)
        raise kind(explanation(what, error.status, _message(error))) from error
    except (HTTPError, OSError, ConfigException) as error:
        raise AwayError(
            f"cannot {what}: the API server does not answer ({error}); is the kubeconfig's server right?"
        ) from error
    except ValueError as error:
        raise CliError(
            f"cannot {what}: the answer cannot be read ({error}); is this CLI as new as the cluster?"
        ) from error


def explanation(what: str, status: int | None, message: str) -> str:
    """A refusal, and what to do about it."""
    if status == FORBIDDEN and "exceeded quota: " in message:
        return f"cannot {what}: {message}; delete what is not needed, or ask the platform's team for more"
    if status == FORBIDDEN and "status unknown for quota: " in message:
        return f"cannot {what}: {message}; the cluster counts what is new to it within 5 minutes: try again then"
    advice = {
        401: "; log in again",
        403: "; ask the platform's team for the right to it",
        404: "; is maas-operator installed in this cluster, and the name right?",
        503: "; try again in a moment, or look at the pods of the ledger",
    }
    return f"cannot {what}: {message}{advice.get(status or 0, '')}"


def _message(error: ApiException) -> str:
    """The API server's words (a Status), or the ledger's."""
    try:
        found = json.loads(error.body or "")
        return str(found["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"
