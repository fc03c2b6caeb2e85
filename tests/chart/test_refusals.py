"""A wrong value is refused before anything is written, in words that help."""

import pytest

from tests.chart.helm import Helm, HelmError

WRONG = {
    "replcas=3": "additional properties 'replcas' not allowed",
    "replicas=two": "at '/replicas': got string, want integer",
    "replicas=-1": "at '/replicas': minimum: got -1, want 0",
    "crds.kep=false": "at '/crds': additional properties 'kep' not allowed",
    "crds.keep=no": "at '/crds/keep': got string, want boolean",
    "image.repository=Maas": "at '/image/repository': 'Maas' does not match pattern",
    "image.tag=latest": "image.tag must not be latest: name a version, or leave it empty for the chart's own",
    "image.tag=a b": "at '/image/tag': 'a b' does not match pattern",
    "image.digest=sha256:12": "at '/image/digest': 'sha256:12' does not match pattern",
    "image.pullPolicy=Sometimes": "value must be one of 'Always', 'IfNotPresent', 'Never'",
    "settings.drainSeconds=9": "at '/settings/drainSeconds': minimum: got 9, want 10",
    "settings.keyDeliverySeconds=9": "at '/settings/keyDeliverySeconds': minimum: got 9, want 10",
    "settings.loadSeconds=29": "at '/settings/loadSeconds': minimum: got 29, want 30",
    "settings.drainSecond=60": "at '/settings': additional properties 'drainSecond' not allowed",
    "settings.accelerators.CPU.image=x": "at '/settings/accelerators': additional properties 'CPU' not allowed",
    "settings.accelerators.cpu.imge=x": "at '/settings/accelerators/cpu': additional properties 'imge' not allowed",
    "gateway.rateLimit.redis.address=redis://:secret@store:6379": "at '/gateway/rateLimit/redis/address': 'redis://",
    "gateway.rateLimit.redis.type=many": "value must be one of 'single', 'cluster', 'sentinel'",
    "logging.level=loud": "value must be one of 'debug', 'info', 'warning', 'error'",
    "networkPolicy.apiServer.ports={65536}": "at '/networkPolicy/apiServer/ports/0': maximum",
    "networkPolicy.apiServer.cidrs={10.0.0.1}": "at '/networkPolicy/apiServer/cidrs/0': '10.0.0.1' does not match",
    "gateway.contentControl.url=control:80": "at '/gateway/contentControl/url': 'control:80' does not match pattern",
    "gateway.contentControl.url=http://me:secret@control": "at '/gateway/contentControl/url': ",
    "gateway.contentControl.onFailure=Ignore": "value must be one of 'Refuse', 'Allow'",
    "gateway.contentControl.url=http://c,gateway.contentControl.input=false,gateway.contentControl.output=false": (
        "neither input nor output is to be asked about"
    ),
    "affinity.nodAffinity.x=1": "at '/affinity': additional properties 'nodAffinity' not allowed",
    "podDisruptionBudget.maxUnavailable=0": "minimum: got 0, want 1",
    "fullnameOverride=1a": "at '/fullnameOverride': '1a' does not match pattern",
    "roles.catalogueReaders[0].kind=Team": "value must be one of 'User', 'Group', 'ServiceAccount'",
    "roles.catalogueReaders[0].apiGroup=v1": "value must be 'rbac.authorization.k8s.io'",
    "serviceAccount.create=false": "say in serviceAccount.name which service account the operator runs as",
    "ledger.replicas=2": "ledger.replicas above 1 needs ledger.databaseSecretName",
    "ledger.replicas=0": "at '/ledger/replicas': minimum: got 0, want 1",
    "networkPolicy.database.ports={0}": "at '/networkPolicy/database/ports/0': minimum",
    "gateway.tls.certManager.enabled=true": "needs gateway.tls.secretName: the name of the Secret",
    "gateway.tls.certManager.enabled=true,gateway.tls.secretName=t": "issuerRef.name: who signs the certificate",
    "gateway.tls.certManager.enabled=true,gateway.tls.secretName=t,gateway.tls.certManager.issuerRef.name=i": (
        "dnsNames: the names that clients call the gateway by"
    ),
    "gateway.tls.certManager.duration=90d": "at '/gateway/tls/certManager/duration': '90d' does not match pattern",
    "metrics.serviceMonitor.enabled=true,metrics.service.enabled=false": "needs metrics.service.enabled",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_refused(helm: Helm, wrong: str) -> None:
    with pytest.raises(HelmError) as refused:
        helm.render("--set", wrong)
    assert WRONG[wrong] in str(refused.value)


def test_an_api_server_without_ports_is_refused(helm: Helm) -> None:
    with pytest.raises(HelmError, match="at '/networkPolicy/apiServer/ports': minItems: got 0, want 1"):
        helm.render("--set-json", "networkPolicy.apiServer.ports=[]")


def test_a_service_account_needs_its_namespace(helm: Helm) -> None:
    with pytest.raises(HelmError, match="service account portal needs a namespace"):
        helm.render("--set-json", 'roles.catalogueReaders=[{"kind":"ServiceAccount","name":"portal"}]')


def test_a_service_account_is_of_no_api_group_as_the_api_server_has_it(helm: Helm) -> None:
    portal = '"kind":"ServiceAccount","name":"portal","namespace":"portal","apiGroup":"rbac.authorization.k8s.io"'
    with pytest.raises(HelmError, match="service account portal must have no apiGroup"):
        helm.render("--set-json", f"roles.catalogueReaders=[{{{portal}}}]")


def test_a_kubernetes_that_is_too_old_is_refused(helm: Helm) -> None:
    with pytest.raises(HelmError, match=r"requires kubeVersion: >=1\.34\.0-0"):
        helm.render("--kube-version", "1.33.4")
    assert helm.render("--kube-version", "1.34.0-eks-1")
