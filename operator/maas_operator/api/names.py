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

LABEL_CATALOGUE = f"{GROUP}/catalogue"
"""On every Model that the chart brought: "true"."""

LABEL_API_KEY = f"{GROUP}/api-key"
"""On the Secret that delivers a key: the ApiKey's name."""
LABEL_FETCH = f"{GROUP}/fetches-for"
"""On the pods of Jobs that fetch weights: the ModelService's name. They are no instances of it."""

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
ANNOTATION_WAKE = f"{GROUP}/wake-requested-at"
"""On a ModelService, set by the gateway: a request is held for it while it sleeps."""
ANNOTATION_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
"""On a pod, Kubernetes' own: of several the one with the lowest is removed first."""
ANNOTATION_TEST = f"{GROUP}/test-requested-at"
"""On a NotificationTopic, set by a user: send a test message on every channel."""
ANNOTATION_CATALOGUE = f"{GROUP}/catalogue-digest"
"""On every Model that the chart brought: a digest of the spec that it was given. Where the spec has another one by now,
somebody changed it, and no upgrade does."""
ANNOTATION_ALLOW_DELETION = f"{GROUP}/allow-deletion"
"""On a Model or ResourcePool, set by a user: delete it although services use it."""
ANNOTATION_FROZEN = f"{GROUP}/frozen"
"""On a Namespace, set by the platform's team: "*" freezes the account (its keys and its services), a list of
ModelServices' names separated by commas freezes those. On the Namespace since an account's own members cannot change
that, so that no further permission or policy has to guard it."""
ANNOTATION_DEFAULT_KEY_LIMITS = f"{GROUP}/default-key-limits"
"""On a Namespace, set by the platform's team: what each key of the account may use where its own spec.limits say
nothing, as requestsPerMinute=600,tokensPerMinute=200000,tokenQuota=1000000. On the Namespace for the same reason."""
ANNOTATION_RELEASE_NAMESPACE = f"{GROUP}/release-namespace"
"""On the operator's ClusterRole: the namespace that the chart was installed into. Helm says it on all that it installs;
where the chart is rendered, and something else applies it, nothing does but this."""
LABEL_ACCOUNT = f"{GROUP}/account"
"""On a Namespace that is an account: "true". For lists; every namespace with a ModelService or ApiKey is one, too."""

ANNOTATION_REMOVE_AT = f"{GROUP}/remove-at"
"""On the Secret that delivers a key: when the operator removes it."""

KEY_SECRET_TYPE = f"{GROUP}/api-key"
"""Type of the Secrets that deliver keys: the operator touches no other, and the chart's policy holds it to that."""
KEY_DATA = "key"
"""Under which name of its data such a Secret has the key."""

LWS_GROUP = "leaderworkerset.x-k8s.io"
LWS_VERSION = "v1"
LWS_KIND = "LeaderWorkerSet"
"""Kubernetes SIGs' own kind for pods of several hosts that work as one: the operator uses it where it is installed."""
LABEL_LWS_NAME = "leaderworkerset.sigs.k8s.io/name"
LABEL_LWS_GROUP = "leaderworkerset.sigs.k8s.io/group-index"
LABEL_LWS_WORKER = "leaderworkerset.sigs.k8s.io/worker-index"
LABEL_LWS_KEY = "leaderworkerset.sigs.k8s.io/group-key"
"""On each of its pods: the set, which of its groups, which pod of the group (0 leads), and what no other group of the
cluster has."""
LABEL_APP = "app.kubernetes.io/name"
APP = "model-service"
"""On all that belongs to a service, its pods that take requests among them."""
WORKER_APP = "model-service-worker"
"""On the pods of an instance that work for its leader: nobody sends them requests."""

PORT_NAME = "http"
PORT = 8000
"""TCP port of the engine in its pod, and of the Service."""
REPLICA_FAILURE = "ReplicaFailure"
"""Kubernetes' own condition of a Deployment whose pods cannot be made."""
JOB_COMPLETE, JOB_FAILED = "Complete", "Failed"
"""Kubernetes' own conditions of a Job that has ended."""
CONTAINER = "engine"
"""Name of the container that runs the engine."""
LINE_SHOWN = 64
"""Services of a pool's line, from its front, that decisions see. Who stands further back is not told its place exactly:
otherwise each that leaves the front of a long line would have thousands of statuses written."""
FETCH_CONTAINER = "fetch"
"""Name of the container that fetches the weights, before the engine or in a Job."""
