{{- define "tandem.name" -}}
{{- .Values.nameOverride | default "tandem-operator" | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- /* The release's own name when that already says tandem. */ -}}
{{- define "tandem.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains "tandem" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-tandem" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tandem.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "tandem.fullname" .) -}}
{{- end -}}

{{- /* What never changes over a release's life: the Deployment's selector. */ -}}
{{- define "tandem.selector" -}}
app.kubernetes.io/name: {{ include "tandem.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tandem.labels" -}}
{{ include "tandem.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tandem
app.kubernetes.io/component: operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tandem.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- /* Labels by which the operator marks the pods of its instances. */ -}}
{{- define "tandem.instances" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/managed-by: tandem
{{- end -}}
