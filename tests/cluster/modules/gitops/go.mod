// Not built: the definitions of kinds that examples/gitops writes are taken from here (tests/api/published.py).
module maas-operator.io/tests/cluster/gitops

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/external-secrets/external-secrets v1.3.2
	github.com/fluxcd/helm-controller v1.6.0
	github.com/fluxcd/kustomize-controller v1.9.6
	github.com/fluxcd/source-controller v1.9.6
)
