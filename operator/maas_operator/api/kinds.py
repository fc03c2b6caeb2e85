"""The five kinds as Kubernetes knows them: names, scope, columns, subresources."""

from dataclasses import dataclass, field

from maas_operator.api.apikey import ApiKeySpec, ApiKeyStatus
from maas_operator.api.fields import Part
from maas_operator.api.model import ModelSpec, ModelStatus
from maas_operator.api.modelservice import ModelServiceSpec
from maas_operator.api.notificationtopic import NotificationTopicSpec, NotificationTopicStatus
from maas_operator.api.poolstatus import ResourcePoolStatus
from maas_operator.api.resourcepool import ResourcePoolSpec
from maas_operator.api.servicestatus import ModelServiceStatus

MAX_SERVICE_NAME = 50
"""Characters of a ModelService's name: its Service needs a DNS label, its pods a few more characters."""


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """One custom resource."""

    kind: str
    plural: str
    short: tuple[str, ...]
    namespaced: bool
    description: str
    spec: type[Part]
    status: type[Part]
    columns: tuple[Column, ...]
    rules: tuple[dict[str, str], ...] = ()
    scale: dict[str, str] | None = field(default=None)


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_ACCEPTED = Column("Accepted", '.status.conditions[?(@.type=="Accepted")].status')

MODEL_SERVICE = Kind(
    kind="ModelService",
    plural="modelservices",
    short=("msvc",),
    namespaced=True,
    description="A ModelService is a served model: so many instances of one version of a Model, on the nodes of a "
    "ResourcePool, behind an OpenAI-compatible API.",
    spec=ModelServiceSpec,
    status=ModelServiceStatus,
    columns=(
        Column("Model", ".spec.model.name"),
        Column("Version", ".status.model.version"),
        Column("Pool", ".spec.resourcePool"),
        Column("Flavor", ".spec.flavor"),
        Column("Ready", ".status.instances.summary"),
        Column("QPS", ".spec.qps", "integer"),
        Column("Phase", ".status.phase"),
        Column("Stops", ".status.autoStop.stopsAt"),
        Column("Place", ".status.queue.place", "integer", wide=True),
        Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', wide=True),
        Column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True),
        _AGE,
    ),
    rules=(
        {
            "rule": f"self.metadata.name.size() <= {MAX_SERVICE_NAME} && "
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "message": f"metadata.name must be at most {MAX_SERVICE_NAME} lower-case letters, digits and '-', and "
            "start with a letter, since a Service of this name is made; spec.displayName takes capitals and '_'",
            "fieldPath": ".metadata",
            "reason": "FieldValueInvalid",
        },
    ),
    scale={
        "specReplicasPath": ".spec.instances",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
)
RESOURCE_POOL = Kind(
    kind="ResourcePool",
    plural="resourcepools",
    short=("rpool",),
    namespaced=False,
    description="A ResourcePool is a set of nodes, the accounts that may use them, and the flavors in which they are "
    "given out.",
    spec=ResourcePoolSpec,
    status=ResourcePoolStatus,
    columns=(
        Column("Nodes", ".status.nodes", "integer"),
        Column("Ready", ".status.readyNodes", "integer"),
        Column("Flavors", ".status.summary"),
        Column("Services", ".status.services", "integer"),
        _AGE,
    ),
)
MODEL = Kind(
    kind="Model",
    plural="models",
    short=("maasmodel", "maasmodels"),
    namespaced=False,
    description="A Model is an entry of the catalogue: what the model is, and its versions with their weights.",
    spec=ModelSpec,
    status=ModelStatus,
    columns=(
        Column("Series", ".spec.series"),
        Column("Type", ".spec.type"),
        Column("Versions", ".status.versions"),
        Column("Services", ".status.services", "integer"),
        Column("License", ".spec.license", wide=True),
        _AGE,
    ),
)
API_KEY = Kind(
    kind="ApiKey",
    plural="apikeys",
    short=("mkey",),
    namespaced=True,
    description="An ApiKey lets an application call the services of its account. It holds the key's SHA-256, never "
    "the key, which the user makes, or the operator, who delivers it once.",
    spec=ApiKeySpec,
    status=ApiKeyStatus,
    columns=(
        Column("Tag", ".spec.tag"),
        Column("Description", ".spec.description"),
        _ACCEPTED,
        Column("Delivery", '.status.conditions[?(@.type=="Delivered")].reason'),
        Column("Secret", ".status.delivery.secretName"),
        Column("Message", '.status.conditions[?(@.type=="Accepted")].message', wide=True),
        _AGE,
    ),
)
NOTIFICATION_TOPIC = Kind(
    kind="NotificationTopic",
    plural="notificationtopics",
    short=("mtopic",),
    namespaced=True,
    description="A NotificationTopic says whom to tell of a service's events, and by which channels.",
    spec=NotificationTopicSpec,
    status=NotificationTopicStatus,
    columns=(Column("Channels", ".status.channels"), _ACCEPTED, _AGE),
)

KINDS = (MODEL_SERVICE, RESOURCE_POOL, MODEL, API_KEY, NOTIFICATION_TOPIC)
