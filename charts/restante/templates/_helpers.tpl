{{/* The chart's name in labels. */}}
{{- define "restante.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A part of most names in the release's namespace. Short enough for the longest prefix, release-finalizers-. */}}
{{- define "restante.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else if contains (include "restante.name" .) .Release.Name -}}
{{- .Release.Name | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "restante.name" .) | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The operator's Deployment. */}}
{{- define "restante.operatorName" -}}
{{- printf "%s-operator" (include "restante.fullname" .) -}}
{{- end -}}

{{/*
Both the chart and each MessageBroker create ServiceAccounts. The MessageBrokers' are named restante-<broker>. The chart's
have another prefix, so that the names never collide.
*/}}
{{- define "restante.serviceAccountName" -}}
{{- default (printf "operator-%s" (include "restante.fullname" .)) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The uninstall job, its ServiceAccount and its roles. */}}
{{- define "restante.hookName" -}}
{{- printf "release-finalizers-%s" (include "restante.fullname" .) -}}
{{- end -}}

{{/*
The operator's Role in its namespace. It has the same name in every release, so that Helm refuses a second release in this
namespace, whose operator would serve the same MessageBrokers.
*/}}
{{- define "restante.roleName" -}}
restante-operator
{{- end -}}

{{/* The name of cluster-scoped objects, unique per namespace, which has only one release. No namespace contains a colon. */}}
{{- define "restante.clusterRoleName" -}}
{{- printf "restante-operator:%s" .Release.Namespace -}}
{{- end -}}

{{/* The ConfigMap of the default MessageBroker. It owns the MessageBroker, so its name must never change. */}}
{{- define "restante.defaultBrokerName" -}}
restante-default-broker
{{- end -}}

{{/* The full reference of an image. Argument: a list of the context and the image's values. */}}
{{- define "restante.image" -}}
{{- $context := index . 0 -}}
{{- with index . 1 -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $context.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "restante.brokerImage" -}}
{{- include "restante.image" (list . .Values.image.broker) -}}
{{- end -}}

{{- define "restante.operatorImage" -}}
{{- include "restante.image" (list . .Values.image.operator) -}}
{{- end -}}

{{/* The labels that select this release's pods. They must never change, because a Deployment's selector is immutable. */}}
{{- define "restante.selectorLabels" -}}
app.kubernetes.io/name: {{ include "restante.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/*
The labels of an object. Argument: a list of the context, the object's component and optional further labels. The chart's own
labels take precedence, because Helm, the Deployment's selector and the operator depend on them.
*/}}
{{- define "restante.labels" -}}
{{- $context := index . 0 -}}
{{- $labels := include "restante.selectorLabels" $context | fromYaml -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $labels "app.kubernetes.io/version" $context.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "restante" -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $context.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/component" (index . 1) -}}
{{- if gt (len .) 2 -}}
{{- $labels = merge $labels (default dict (index . 2)) -}}
{{- end -}}
{{- toYaml (merge $labels (default dict $context.Values.commonLabels)) -}}
{{- end -}}

{{/* The security context of a pod, for the restricted profile. */}}
{{- define "restante.podSecurityContext" -}}
runAsNonRoot: true
{{- if ne .Values.podSecurity.users "cluster" }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The security context of a container, for the restricted profile. */}}
{{- define "restante.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Scheduling and pull secrets of the operator and the uninstall job. */}}
{{- define "restante.scheduling" -}}
{{- $fields := dict "imagePullSecrets" .Values.imagePullSecrets -}}
{{- range list "priorityClassName" "nodeSelector" "tolerations" "affinity" -}}
{{- $_ := set $fields . (get $.Values.operator .) -}}
{{- end -}}
{{- include "restante.given" $fields -}}
{{- end -}}

{{/* The YAML of all fields that have a value. */}}
{{- define "restante.given" -}}
{{- $given := dict -}}
{{- range $field, $value := . -}}
{{- if $value -}}
{{- $_ := set $given $field $value -}}
{{- end -}}
{{- end -}}
{{- if $given -}}
{{- toYaml $given -}}
{{- end -}}
{{- end -}}

{{/*
A quantity as text. The API accepts cpu: 0.5 as a number, but a custom resource definition does not. A large number must not
be written as 1e+10.
*/}}
{{- define "restante.quantity" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- printf "%v" . -}}
{{- end -}}
{{- end -}}

{{/* Requests and limits in the form of the API, without values that null has unset. */}}
{{- define "restante.resources" -}}
{{- $resources := dict -}}
{{- range $kind, $quantities := . -}}
{{- $given := dict -}}
{{- range $name, $quantity := $quantities -}}
{{- if not (kindIs "invalid" $quantity) -}}
{{- $_ := set $given $name (include "restante.quantity" $quantity) -}}
{{- end -}}
{{- end -}}
{{- if $given -}}
{{- $_ := set $resources $kind $given -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/*
Whether the uninstall hook is rendered: "true", or empty. In `helm template`, `lookup` finds nothing. Tools that apply its
output do not know hooks, and would run the job at once. Every cluster with RBAC has the role cluster-admin.
*/}}
{{- define "restante.uninstallHook" -}}
{{- $enabled := toString .Values.uninstallHook.enabled -}}
{{- if eq $enabled "true" -}}
true
{{- else if and (ne $enabled "false") (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "cluster-admin") -}}
true
{{- end -}}
{{- end -}}

{{/*
The job runs after all other objects of the release are deleted, so that a job that cannot run does not block the uninstall.
If the definitions are deleted too, it runs before: otherwise they would wait for the finalizers of the channels.
*/}}
{{- define "restante.hookAnnotations" -}}
helm.sh/hook: {{ ternary "post-delete" "pre-delete" .Values.crds.keep }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}
