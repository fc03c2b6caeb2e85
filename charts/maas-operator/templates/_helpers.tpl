{{/*
Prefix of every name: a DNS label that begins with a letter, of at most 50 characters, so that what is appended still is
one. The release's name may have dots, and begin with a digit.
*/}}
{{- define "maas-operator.fullname" -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if regexMatch "^[0-9]" $release -}}
{{- printf "%s-%s" .Chart.Name $release | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name $release -}}
{{- $release | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "maas-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "maas-operator.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.create is false: say in serviceAccount.name which service account the operator runs as" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the operator's pods; they never change. */}}
{{- define "maas-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "maas-operator.labels" -}}
{{ include "maas-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "maas-operator.image" -}}
{{- with .Values.image -}}
{{- if eq .tag "latest" -}}
{{- fail "image.tag must not be latest: name a version, or leave it empty for the chart's own" -}}
{{- end -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the operator reads at its start: its settings, whom it asks what there is to do, where it tells of what
happens, and the image in which weights are fetched. */}}
{{- define "maas-operator.settings" -}}
{{- $notifications := pick .Values.notifications "enabled" "allowPrivate" -}}
{{- $sources := merge (dict "image" (include "maas-operator.image" .)) (.Values.settings.sources | default dict) -}}
{{- $settings := merge (dict "notifications" $notifications "sources" $sources) .Values.settings -}}
{{- if .Values.gateway.enabled -}}
{{- $_ := set $settings "gateways" (list (printf "maas-gateway-metrics.%s.svc:8082" .Release.Namespace)) -}}
{{- $_ := set $settings "ledger" (printf "http://maas-ledger.%s.svc:8080" .Release.Namespace) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Annotations of what stays where the release goes or leaves it out. Each tool goes by its own: Argo CD heeds Helm's
when an Application is deleted, and not when it prunes. IgnoreExtraneous: what is left there is no difference to it. */}}
{{- define "maas-operator.kept" -}}
argocd.argoproj.io/compare-options: IgnoreExtraneous
argocd.argoproj.io/sync-options: Prune=false,Delete=false
helm.sh/resource-policy: keep
kustomize.toolkit.fluxcd.io/prune: disabled
{{- end -}}

{{/* Verbs for people who may write a kind. */}}
{{- define "maas-operator.writeVerbs" -}}
[get, list, watch, create, update, patch, delete, deletecollection]
{{- end -}}
{{- define "maas-operator.readVerbs" -}}
[get, list, watch]
{{- end -}}
