{{- define "maas-operator.catalogue.selectorLabels" -}}
app.kubernetes.io/name: maas-catalogue
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "maas-operator.catalogue.labels" -}}
{{- merge (include "maas-operator.catalogue.selectorLabels" . | fromYaml) (include "maas-operator.labels" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* The files of the catalogue's Models: those of files/catalogue as they are, those that catalogue.models changes, or
adds, as JSON (Helm writes a large number in YAML as 6.7e+11). kubectl sorts keys by their numbers, and finds no order for
"7b", "14b" and "72b": with "7_b" it does, and `kubectl diff` shows no difference where there is none. */}}
{{- define "maas-operator.catalogue.files" -}}
{{- $values := .Values.catalogue -}}
{{- $shipped := list -}}
{{- range $path, $_ := .Files.Glob "files/catalogue/*.yaml" -}}
{{- $shipped = append $shipped (base $path | trimSuffix ".yaml") -}}
{{- end -}}
{{- $all := concat $shipped (keys $values.models) | uniq | sortAlpha -}}
{{- range concat $values.include $values.exclude -}}
{{- if not (has . $all) -}}
{{- fail (printf "catalogue.include, catalogue.exclude: there is no model %s; there are %s" . (join ", " $all)) -}}
{{- end -}}
{{- end -}}
{{- range $name := $all -}}
{{- if and (or (not $values.include) (has $name $values.include)) (not (has $name $values.exclude)) }}
{{ regexReplaceAll "([0-9])([a-z])" $name "${1}_${2}" }}.yaml: |-
{{- $own := get $values.models $name }}
{{- $file := printf "files/catalogue/%s.yaml" $name }}
{{- if not $own }}
{{ $.Files.Get $file | trim | indent 2 }}
{{- else if has $name $shipped }}
{{ include "maas-operator.catalogue.merged" (list ($.Files.Get $file | fromYaml) $own) | indent 2 }}
{{- else }}
{{- if not (dig "spec" "versions" "" $own) }}
{{- fail (printf "catalogue.models: the chart brings no model %s (it brings %s): to add one, say all of it in spec, with its versions" $name (join ", " $shipped)) }}
{{- end }}
{{- $added := dict "apiVersion" "maas-operator.io/v1alpha1" "kind" "Model" "metadata" (dict "name" $name) "spec" dict }}
{{ include "maas-operator.catalogue.merged" (list $added $own) | indent 2 }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A Model, and what catalogue.models says of it: source for all versions, then spec, its versions by name. */}}
{{- define "maas-operator.catalogue.merged" -}}
{{- $model := index . 0 -}}
{{- $own := index . 1 -}}
{{- $versions := $model.spec.versions | default list -}}
{{- if $own.source -}}
{{- range $versions -}}
{{- $_ := set . "source" $own.source -}}
{{- end -}}
{{- end -}}
{{- $spec := $own.spec | default dict -}}
{{- range $said := $spec.versions -}}
{{- $known := false -}}
{{- range $version := $versions -}}
{{- if eq $version.name $said.name -}}
{{- $known = true -}}
{{- $_ := mergeOverwrite $version (deepCopy $said) -}}
{{- end -}}
{{- end -}}
{{- if not $known -}}
{{- $versions = append $versions (deepCopy $said) -}}
{{- end -}}
{{- end -}}
{{- $_ := mergeOverwrite $model.spec (omit (deepCopy $spec) "versions") -}}
{{- $_ := set $model.spec "versions" $versions -}}
{{- toPrettyJson $model -}}
{{- end -}}

{{- define "maas-operator.catalogue.pod" -}}
metadata:
  annotations:
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    checksum/catalogue: {{ include "maas-operator.catalogue.files" . | sha256sum }}
  labels:
    {{- merge (include "maas-operator.catalogue.labels" . | fromYaml) .Values.podLabels | toYaml | nindent 4 }}
spec:
  serviceAccountName: {{ include "maas-operator.fullname" . }}-catalogue
  automountServiceAccountToken: true
  enableServiceLinks: false
  restartPolicy: Never
  {{- include "maas-operator.podSettings" . | nindent 2 }}
  containers:
    - name: catalogue
      image: {{ include "maas-operator.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - catalogue
        - --models=/etc/maas-catalogue
        - --log-format={{ .Values.logging.format }}
        - --log-level={{ .Values.logging.level }}
      {{- with .Values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.catalogue.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "maas-operator.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - name: models
          mountPath: /etc/maas-catalogue
          readOnly: true
        - name: tmp
          mountPath: /tmp
  volumes:
    - name: models
      configMap:
        name: {{ include "maas-operator.fullname" . }}-catalogue
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
{{- end -}}
