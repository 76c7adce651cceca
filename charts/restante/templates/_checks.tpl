{{/*
Checks that values.schema.json could express only as a pattern, without saying what to write instead.
*/}}
{{- define "restante.checks" -}}
{{- /* A definition that is being deleted accepts no objects, and deletes the objects of this release in the end. */ -}}
{{- if .Values.crds.install -}}
{{- range $name := list "messagechannels.restante.dev" "messagebrokers.restante.dev" -}}
{{- $definition := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name -}}
{{- if and $definition $definition.metadata.deletionTimestamp -}}
{{- fail (printf "the custom resource definition %s is being deleted, and waits for its objects: remove their finalizers as docs/install.md describes under \"Removing finalizers by hand\", wait until the definition is deleted, and install again" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.serviceAccount.name -}}
{{- if hasPrefix "restante-" . -}}
{{- fail (printf "serviceAccount.name: %s could be the ServiceAccount of a MessageBroker, which is named restante-<name>: choose a name without the prefix restante-" .) -}}
{{- end -}}
{{- end -}}
{{- if or (hasSuffix "-headless" .Values.broker.name) (hasSuffix "-control" .Values.broker.name) -}}
{{- fail (printf "broker.name: %s must not end with -headless or -control, like the objects of other MessageBrokers: choose another name" .Values.broker.name) -}}
{{- end -}}
{{- with .Values.broker.externalURL -}}
{{- if not (regexMatch `^(https?://([-A-Za-z0-9_.]{1,253}|\[[0-9A-Fa-f:.]+\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/\.{0,2}[-A-Za-z0-9_~][-A-Za-z0-9._~]*)*/?)?$` .) -}}
{{- fail (printf "broker.externalURL: %s is not a valid URL: write it like https://mq.example.com or http://example.com:8080/mq, without a query" .) -}}
{{- end -}}
{{- end -}}
{{- if kindIs "string" .Values.operator.logLevel -}}
{{- if not (regexMatch `^,*\s*([-:_\p{L}\p{N}][^=\[,]*(=([tT][rR][aA][cC][eE]|[dD][eE][bB][uU][gG]|[iI][nN][fF][oO]|[wW][aA][rR][nN]|[eE][rR][rR][oO][rR]|[oO][fF][fF]|[0-5])?)?|([-:_\p{L}\p{N}][^=\[,]*)?\[[^\]{,]*(\{[^},]+\})?\](=([tT][rR][aA][cC][eE]|[dD][eE][bB][uU][gG]|[iI][nN][fF][oO]|[wW][aA][rR][nN]|[eE][rR][rR][oO][rR]|[oO][fF][fF]|[0-5])?)?)\s*(,+\s*([-:_\p{L}\p{N}][^=\[,]*(=([tT][rR][aA][cC][eE]|[dD][eE][bB][uU][gG]|[iI][nN][fF][oO]|[wW][aA][rR][nN]|[eE][rR][rR][oO][rR]|[oO][fF][fF]|[0-5])?)?|([-:_\p{L}\p{N}][^=\[,]*)?\[[^\]{,]*(\{[^},]+\})?\](=([tT][rR][aA][cC][eE]|[dD][eE][bB][uU][gG]|[iI][nN][fF][oO]|[wW][aA][rR][nN]|[eE][rR][rR][oO][rR]|[oO][fF][fF]|[0-5])?)?)\s*)*,*$` .Values.operator.logLevel) -}}
{{- fail (printf "operator.logLevel: %q is not a valid filter: write a level (error, warn, info, debug, trace, off), or one per target, such as info,restante_operator=debug,kube=warn" .Values.operator.logLevel) -}}
{{- end -}}
{{- end -}}
{{- range $field := list "podLabels" "podAnnotations" "serviceAccountAnnotations" -}}
{{- range $name, $value := default dict (get $.Values.broker $field) -}}
{{- if or (hasPrefix "restante.dev/" $name) (and (eq $field "podLabels") (hasPrefix "app.kubernetes.io/" $name)) -}}
{{- fail (printf "broker.%s: %s is reserved for the operator: choose a name with another prefix" $field $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
