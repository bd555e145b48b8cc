{{- define "multinic.dashboardName" -}}
{{- include "multinic.named" (list . "-dashboard") }}
{{- end }}

{{/* Its pods are none of the agent's. */}}
{{- define "multinic.dashboardSelector" -}}
app.kubernetes.io/name: {{ include "multinic.name" . | trunc 53 | trimSuffix "-" }}-dashboard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "multinic.dashboardLabels" -}}
{{ include "multinic.dashboardSelector" . }}
app.kubernetes.io/component: dashboard
{{ include "multinic.commonLabels" . }}
{{- end }}

{{/* Its multinic.toml. The names under which it answers are those of the Service, of the Ingress, and more. */}}
{{- define "multinic.dashboardSettings" -}}
{{- $given := .Values.dashboard }}
{{- $database := dict "url" (include "multinic.databaseURL" (list . $given.database.user false))
  "password_file" "/etc/multinic/secrets/password" }}
{{- $name := include "multinic.dashboardName" . }}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) }}
{{- if $given.ingress.enabled }}{{ $hosts = concat $hosts $given.ingress.hosts }}{{ end }}
{{- $own := dict "listen" (printf "%s:%d" (ternary (printf "[%s]" $given.host) $given.host (contains ":" $given.host)) (int $given.port))
  "hosts" (concat $hosts $given.hosts | uniq | join ",") }}
{{- with $given.prefix }}{{ $_ := set $own "prefix" . }}{{ end }}
{{- with $given.proxies }}{{ $_ := set $own "proxies" (join "," .) }}{{ end }}
{{- with $given.userHeader }}{{ $_ := set $own "user_header" . }}{{ end }}
{{- if $given.token.existingSecret }}{{ $_ := set $own "token_file" "/etc/multinic/secrets/token" }}{{ end }}
{{- include "multinic.asTOML" (dict "log_level" .Values.agent.logLevel "log_format" .Values.agent.logFormat
  "database" $database "dashboard" (mergeOverwrite $own (deepCopy $given.settings))) }}
{{- end }}
