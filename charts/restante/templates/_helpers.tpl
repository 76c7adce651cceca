{{/* The chart's name in labels. */}}
{{- define "restante.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A part of most names in the release's namespace; short enough for the longest addition, release-finalizers-. */}}
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
ServiceAccounts are the one kind that both the chart and each MessageBroker make, and those of MessageBrokers are called
restante-<broker>: the chart's begin with another word, so that no release and no MessageBroker takes the other's.
*/}}
{{- define "restante.serviceAccountName" -}}
{{- default (printf "operator-%s" (include "restante.fullname" .)) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The uninstall job, its ServiceAccount and its roles. */}}
{{- define "restante.hookName" -}}
{{- printf "release-finalizers-%s" (include "restante.fullname" .) -}}
{{- end -}}

{{/*
What the operator may do in its namespace, under one name for every release: Helm refuses a second release in this
namespace, whose operator would serve the same MessageBrokers.
*/}}
{{- define "restante.roleName" -}}
restante-operator
{{- end -}}

{{/* Names of cluster-scoped objects, called after the one release of their namespace. No namespace has a colon. */}}
{{- define "restante.clusterRoleName" -}}
{{- printf "restante-operator:%s" .Release.Namespace -}}
{{- end -}}

{{/* The ConfigMap that the operator makes the default MessageBroker from: it owns it, so its name must never change. */}}
{{- define "restante.defaultBrokerName" -}}
restante-default-broker
{{- end -}}

{{/* An image's whole reference, of a list of the context and the image's values. */}}
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

{{/* What tells this release's pods from others; never changes, as a Deployment's selector may not. */}}
{{- define "restante.selectorLabels" -}}
app.kubernetes.io/name: {{ include "restante.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/*
The labels of an object, of a list of the context, the object's component and, if it has any, further labels. The chart's
own win: Helm, the Deployment's selector and the operator go by them.
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

{{/* Restricted pod security: of the pod. */}}
{{- define "restante.podSecurityContext" -}}
runAsNonRoot: true
{{- if ne .Values.podSecurity.users "cluster" }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
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

{{/* Where the pods of operator and uninstall job run, and what pulls their image. */}}
{{- define "restante.scheduling" -}}
{{- $fields := dict "imagePullSecrets" .Values.imagePullSecrets -}}
{{- range list "priorityClassName" "nodeSelector" "tolerations" "affinity" -}}
{{- $_ := set $fields . (get $.Values.operator .) -}}
{{- end -}}
{{- include "restante.given" $fields -}}
{{- end -}}

{{/* The YAML of those fields that have a value. */}}
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
A quantity as text, however it was written: the API takes cpu: 0.5, a custom resource definition does not, and a large
number must not come out as 1e+10.
*/}}
{{- define "restante.quantity" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- printf "%v" . -}}
{{- end -}}
{{- end -}}

{{/* Requests and limits as the API takes them, without those that null has unset. */}}
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
Whether the uninstall hook is rendered: "true", or nothing. `lookup` finds nothing where `helm template` renders, and
whoever applies the result knows no hooks: the job would run at once. Every cluster with RBAC has the role cluster-admin.
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
After everything else of the release is deleted: then a job that cannot run stops no uninstall. But before, where the
definitions are deleted too: they would wait for channels that nobody lets go.
*/}}
{{- define "restante.hookAnnotations" -}}
helm.sh/hook: {{ ternary "post-delete" "pre-delete" .Values.crds.keep }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}
