{{/* The chart's name in labels. */}}
{{- define "restante.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What names in the release's namespace begin with; short enough for the longest suffix, -release-finalizers. */}}
{{- define "restante.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else if contains (include "restante.name" .) .Release.Name -}}
{{- .Release.Name | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "restante.name" .) | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What cluster-scoped names begin with: two releases of one name in two namespaces must not meet. */}}
{{- define "restante.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "restante.fullname" .) -}}
{{- end -}}

{{/* The operator's Deployment. */}}
{{- define "restante.operatorName" -}}
{{- printf "%s-operator" (include "restante.fullname" .) -}}
{{- end -}}

{{- define "restante.serviceAccountName" -}}
{{- default (include "restante.operatorName" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The pre-delete job, its ServiceAccount and its roles. */}}
{{- define "restante.hookName" -}}
{{- printf "%s-release-finalizers" (include "restante.fullname" .) -}}
{{- end -}}

{{/* The ConfigMap that the operator makes the default MessageBroker from. */}}
{{- define "restante.defaultBrokerName" -}}
{{- printf "%s-default-broker" (include "restante.fullname" .) -}}
{{- end -}}

{{- define "restante.brokerImage" -}}
{{- printf "%s:%s" .Values.image.broker.repository (default .Chart.AppVersion .Values.image.broker.tag) -}}
{{- end -}}

{{- define "restante.operatorImage" -}}
{{- printf "%s:%s" .Values.image.operator.repository (default .Chart.AppVersion .Values.image.operator.tag) -}}
{{- end -}}

{{/* What tells this release's pods from others; never changes, as a Deployment's selector may not. */}}
{{- define "restante.selectorLabels" -}}
app.kubernetes.io/name: {{ include "restante.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "restante.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "restante.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: restante
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Restricted pod security: of the pod. */}}
{{- define "restante.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Restricted pod security: of the container. */}}
{{- define "restante.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
