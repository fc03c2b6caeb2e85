"""What GitOps controllers are to say of a service, by its phase and by which of kstatus' conditions is True."""

from typing import NamedTuple

from tests.unit.health.objects import Case

KSTATUS = {"Ready": "Current", "Reconciling": "InProgress", "Stalled": "Failed"}
"""What kstatus says of an object, by which of the three conditions is True (test_properties: exactly one is)."""


class Row(NamedTuple):
    """The word of each: `flux` is kstatus' and Helm's, too."""

    argo_cd: str
    flux: str


OF_PHASE = {
    ("Queuing", "Reconciling"): Row("Progressing", "InProgress"),
    ("Starting", "Reconciling"): Row("Progressing", "InProgress"),
    ("Deploying", "Reconciling"): Row("Progressing", "InProgress"),
    ("Running", "Ready"): Row("Healthy", "Current"),
    ("Running", "Reconciling"): Row("Progressing", "InProgress"),
    ("Updating", "Reconciling"): Row("Progressing", "InProgress"),
    ("Upgrading", "Reconciling"): Row("Progressing", "InProgress"),
    ("Alarm", "Reconciling"): Row("Degraded", "InProgress"),
    ("Alarm", "Stalled"): Row("Degraded", "Failed"),
    ("Failed", "Reconciling"): Row("Degraded", "InProgress"),
    ("Failed", "Stalled"): Row("Degraded", "Failed"),
    ("Stopped", "Ready"): Row("Suspended", "Current"),
    ("Stopped", "Reconciling"): Row("Progressing", "InProgress"),
    ("Stopped", "Stalled"): Row("Degraded", "Failed"),
}


def of_a_service(case: Case) -> Row:
    """What the table says of it. Raises KeyError of what the table does not know."""
    return OF_PHASE[case.status["phase"], case.state]
