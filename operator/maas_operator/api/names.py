"""Names that stand in manifests: the API group, labels, annotations and well-known values. Each has its home here."""

GROUP = "maas-operator.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "maas-operator"
"""The one field manager under which the operator applies its objects (server-side apply)."""

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_SERVICE = f"{GROUP}/service"
"""On every child and pod: the ModelService's name."""
LABEL_POOL = f"{GROUP}/pool"
LABEL_FLAVOR = f"{GROUP}/flavor"
LABEL_MODEL = f"{GROUP}/model"
LABEL_MODEL_VERSION = f"{GROUP}/model-version"
LABEL_TEMPLATE = f"{GROUP}/template"
"""On every pod: a digest of the pod template that the operator applied, which tells old instances from new ones."""

LABEL_API_KEY = f"{GROUP}/api-key"
"""On the Secret that delivers a key: the ApiKey's name."""

ANNOTATION_QPS = f"{GROUP}/qps"
"""On the Service: the requests a second that the ModelService asked for."""
ANNOTATION_TEMPLATE_INPUTS = f"{GROUP}/template-inputs"
"""On the Deployment: a digest of the facts that its pod template was made from."""
ANNOTATION_APPLIED_TEMPLATE = f"{GROUP}/applied-template"
"""On the Deployment: the pod template as it was applied, in JSON. An upgraded operator holds to it."""
ANNOTATION_APPLIED = f"{GROUP}/applied"
"""On every child: a digest of the manifest that was applied, so that a field that is no longer rendered is noticed."""
ANNOTATION_RERENDER = f"{GROUP}/rerender-requested-at"
"""On a ModelService, set by a user: take over what this operator's version renders differently."""
ANNOTATION_START = f"{GROUP}/start-requested-at"
"""On a ModelService, set by a user: start it, with fresh instances. Passed on to the pod template, as `kubectl rollout
restart` does it, so that what fails is made anew without its back-off."""
ANNOTATION_ALLOW_DELETION = f"{GROUP}/allow-deletion"
"""On a Model or ResourcePool, set by a user: delete it although services use it."""
ANNOTATION_FROZEN = f"{GROUP}/frozen"
"""On a Namespace, set by the platform's team: "*" freezes the account (its keys and its services), a list of
ModelServices' names separated by commas freezes those. On the Namespace since an account's own members cannot change
that, so that no further permission or policy has to guard it."""

ANNOTATION_REMOVE_AT = f"{GROUP}/remove-at"
"""On the Secret that delivers a key: when the operator removes it."""

KEY_SECRET_TYPE = f"{GROUP}/api-key"
"""Type of the Secrets that deliver keys: the operator touches no other, and the chart's policy holds it to that."""
KEY_DATA = "key"
"""Under which name of its data such a Secret has the key."""

PORT_NAME = "http"
PORT = 8000
"""TCP port of the engine in its pod, and of the Service."""
REPLICA_FAILURE = "ReplicaFailure"
"""Kubernetes' own condition of a Deployment whose pods cannot be made."""
CONTAINER = "engine"
"""Name of the container that runs the engine."""
