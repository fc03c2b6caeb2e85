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
from maas_operator.cli.errors import CliError

SECONDS = 60
CONFLICT = 409
MANAGER = "kubectl-maas"
"""Field manager of what the CLI changes."""
TOKEN_SECONDS = 600
"""The shortest life that the API server gives to a token."""
READER = "default"
"""The service account whose token opens the ledger: each namespace has it, and the ledger asks only where it lives."""


class Cluster:
    """Requests to one cluster. What goes wrong is raised as CliError."""

    def __init__(self, kubeconfig: str | None, context: str | None, namespace: str | None) -> None:
        try:
            if kubeconfig is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config()  # type: ignore[no-untyped-call]
                self._client, chosen = ApiClient(), None
            else:
                contexts, active = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
                wanted = next((each for each in contexts if each["name"] == context), None) if context else active
                if wanted is None:
                    names = ", ".join(each["name"] for each in contexts)
                    raise CliError(f"the kubeconfig has no context {context}: it has {names}")
                self._client = config.new_client_from_config(kubeconfig, wanted["name"])  # type: ignore[no-untyped-call]
                chosen = wanted["context"].get("namespace")
        except (ConfigException, OSError, KeyError) as error:
            raise CliError(
                f"no cluster to talk to: {error}; name a kubeconfig by --kubeconfig or $KUBECONFIG"
            ) from error
        self.account: str = namespace or chosen or "default"

    def objects(self, kind: Kind, *, everywhere: bool = False) -> list[dict[str, Any]]:
        """The account's objects of a kind, or those of all accounts."""
        api, whose = CustomObjectsApi(self._client), "all accounts" if everywhere else f"account {self.account}"
        with _explained(f"list the {kind.plural} of {whose}"):
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
        with _explained(f"get {kind.kind} {name} of account {self.account}"):
            found: Any = CustomObjectsApi(self._client).get_namespaced_custom_object(
                GROUP, VERSION, self.account, kind.plural, name, _request_timeout=SECONDS
            )
        manifest: dict[str, Any] = found
        return manifest

    def create(self, kind: Kind, manifest: dict[str, Any]) -> None:
        """Make an object."""
        with _explained(f"make {kind.kind} {manifest['metadata']['name']} in account {self.account}"):
            CustomObjectsApi(self._client).create_namespaced_custom_object(
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
        with _explained(f"change {kind.kind} {name} of account {self.account}"):
            try:
                CustomObjectsApi(self._client).patch_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    self.account,
                    kind.plural,
                    name,
                    patch,
                    field_manager=MANAGER,
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
        with _explained(f"delete {kind.kind} {name} of account {self.account}"):
            CustomObjectsApi(self._client).delete_namespaced_custom_object(
                GROUP, VERSION, self.account, kind.plural, name, _request_timeout=SECONDS
            )

    def usage(self, ledger_namespace: str, reader_namespace: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Ask the ledger, through the API server, with a token for a service account of `reader_namespace`."""
        service = f"http:{LEDGER_SERVICE}:{LEDGER_PORT_NAME}"
        path = f"/api/v1/namespaces/{ledger_namespace}/services/{service}/proxy/v1/usage"
        headers = {LEDGER_TOKEN_HEADER: self._token(reader_namespace), "Accept": "application/jsonl"}
        with _explained(f"ask the ledger (service {LEDGER_SERVICE} in namespace {ledger_namespace})"):
            request = self._client.param_serialize(
                "GET",
                path,
                query_params=list(query.items()),
                header_params=headers,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=SECONDS)
            text = answer.read().decode()  # type: ignore[no-untyped-call]
            if answer.status != 200:
                raise ApiException(answer.status, answer.reason, body=text)
            return [json.loads(line) for line in text.splitlines()]

    def _token(self, namespace: str) -> str:
        body = AuthenticationV1TokenRequest(
            spec=V1TokenRequestSpec(audiences=[LEDGER_AUDIENCE], expiration_seconds=TOKEN_SECONDS)
        )
        with _explained(f"get a token for the ledger (service account {READER} of namespace {namespace})"):
            made = CoreV1Api(self._client).create_namespaced_service_account_token(
                READER, namespace, body, _request_timeout=SECONDS
            )
        return str(made.status and made.status.token)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what a request may raise into what the user can do about it."""
    try:
        yield
    except ApiException as error:
        raise CliError(explanation(what, error.status, _message(error))) from error
    except (HTTPError, OSError, ConfigException) as error:
        raise CliError(
            f"cannot {what}: the API server does not answer ({error}); is the kubeconfig's server right?"
        ) from error
    except ValueError as error:
        raise CliError(
            f"cannot {what}: the answer cannot be read ({error}); is this CLI as new as the cluster?"
        ) from error


def explanation(what: str, status: int | None, message: str) -> str:
    """A refusal, and what to do about it."""
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
