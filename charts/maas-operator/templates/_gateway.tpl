{{/* The gateway's and the ledger's pods must not be selected as the operator's: other names. */}}
{{- define "maas-operator.gateway.selectorLabels" -}}
app.kubernetes.io/name: maas-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "maas-operator.gateway.labels" -}}
{{- merge (include "maas-operator.gateway.selectorLabels" . | fromYaml) (include "maas-operator.labels" . | fromYaml) | toYaml -}}
{{- end -}}

{{- define "maas-operator.ledger.selectorLabels" -}}
app.kubernetes.io/name: maas-ledger
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "maas-operator.ledger.labels" -}}
{{- merge (include "maas-operator.ledger.selectorLabels" . | fromYaml) (include "maas-operator.labels" . | fromYaml) | toYaml -}}
{{- end -}}

{{- define "maas-operator.limits.name" -}}
{{- printf "%s-limits" (include "maas-operator.fullname" .) -}}
{{- end -}}

{{- define "maas-operator.limits.selectorLabels" -}}
app.kubernetes.io/name: maas-limits
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "maas-operator.limits.labels" -}}
{{- merge (include "maas-operator.limits.selectorLabels" . | fromYaml) (include "maas-operator.labels" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* The agent's settings file. What Envoy's pod fixes (addresses, ports) is not for the administrator to set. */}}
{{- define "maas-operator.gateway.settings" -}}
{{- range $name, $value := .Values.gateway.settings }}
{{- if not (kindIs "invalid" $value) }}
{{- if kindIs "map" $value }}
{{ $name }}: {{ toJson $value }}
{{- else }}
{{ $name }}: {{ kindIs "float64" $value | ternary (int64 $value) $value }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.gateway.tls.secretName }}
tls:
  folder: /etc/maas-gateway-tls
{{- end }}
{{- with .Values.gateway.contentControl }}
{{- if .url }}
{{- if not (or .input .output) }}
{{- fail "gateway.contentControl: neither input nor output is to be asked about: leave its url empty instead" }}
{{- end }}
contentControl:
  url: {{ .url | toJson }}
  timeoutSeconds: {{ .timeoutSeconds }}
  onFailure: {{ .onFailure }}
  input: {{ .input }}
  output: {{ .output }}
  {{- if .secretName }}
  tokenFile: /etc/maas-gateway-control/token
  {{- end }}
  {{- with .caBundle }}
  caBundle: {{ toJson . }}
  {{- end }}
{{- end }}
{{- end }}
{{- if .Values.gateway.rateLimit.redis.address }}
rateLimitService: {{ include "maas-operator.limits.name" . }}.{{ .Release.Namespace }}.svc:8081
{{- end }}
{{- end -}}

{{/* Seconds that a leaving replica may take: what it holds has its whole time, and then an instance its own. */}}
{{- define "maas-operator.gateway.drainSeconds" -}}
{{- with .Values.gateway.settings.holding -}}
{{- add $.Values.settings.drainSeconds (ternary .seconds 0 (gt (int64 .requests) 0)) -}}
{{- end -}}
{{- end -}}

{{/* The ports that Envoy asks content control on: a NetworkPolicy sees those of its pods. */}}
{{- define "maas-operator.gateway.controlPorts" -}}
{{- with .Values.gateway.contentControl }}
{{- $port := regexFind ":[0-9]+$" (urlParse .url).host | trimPrefix ":" }}
{{- range .ports | default (list ($port | default (ternary 443 80 (hasPrefix "https:" .url)))) }}
- port: {{ . }}
  protocol: TCP
{{- end }}
{{- end }}
{{- end -}}

{{/* Who the process is, and where it may run: the same for the gateway's and the ledger's pods. */}}
{{- define "maas-operator.podSettings" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "maas-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* DNS and the API server. */}}
{{- define "maas-operator.egress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
- ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.networkPolicy.apiServer.cidrs }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "maas-operator.catalogueReaders" -}}
{{- range .Values.roles.catalogueReaders }}
{{- if and .apiGroup (eq .kind "ServiceAccount") }}
{{- fail (printf "roles.catalogueReaders: service account %s must have no apiGroup: it is of the core group" .name) }}
{{- end }}
- kind: {{ .kind }}
  name: {{ .name | quote }}
  {{- if eq .kind "ServiceAccount" }}
  namespace: {{ required (printf "roles.catalogueReaders: service account %s needs a namespace" .name) .namespace }}
  {{- else }}
  apiGroup: rbac.authorization.k8s.io
  {{- end }}
{{- end }}
{{- end -}}
