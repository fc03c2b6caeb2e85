{{/*
An operator serves the whole cluster, so a second release is refused. The CRDs say which release brought them; it counts
while its Deployment is there (CRDs outlive `helm uninstall`). `helm template` sees no cluster, and refuses nothing.
*/}}
{{- define "maas-operator.refuseSecond" -}}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "modelservices.maas-operator.io" -}}
{{- $owner := dig "metadata" "annotations" dict $crd -}}
{{- $release := get $owner "meta.helm.sh/release-name" -}}
{{- $namespace := get $owner "meta.helm.sh/release-namespace" -}}
{{- if and $release (or (ne $release .Release.Name) (ne $namespace .Release.Namespace)) -}}
{{- range (lookup "apps/v1" "Deployment" $namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq (get $labels "app.kubernetes.io/name") $.Chart.Name) (eq (get $labels "app.kubernetes.io/instance") $release) -}}
{{- fail (printf "this cluster has a maas-operator already, and one serves the whole cluster: upgrade it (helm upgrade %s -n %s ...), or uninstall it first (helm uninstall %s -n %s; CRDs and services stay)" $release $namespace $release $namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
