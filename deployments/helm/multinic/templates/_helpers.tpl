{{/* The name of the earlier agent's chart: with it, an upgrade from there replaces its pods one by one. */}}
{{- define "multinic.name" -}}
{{- default "multinic-agent" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "multinic.fullname" -}}
{{- $name := include "multinic.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* A name of the release with something behind it: (list . "-test") */}}
{{- define "multinic.named" -}}
{{- $end := index . 1 }}
{{- printf "%s%s" (include "multinic.fullname" (index . 0) | trunc (int (sub 63 (len $end))) | trimSuffix "-") $end }}
{{- end }}

{{- define "multinic.selectorLabels" -}}
app.kubernetes.io/name: {{ include "multinic.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of objects without those that select the agent's pods. */}}
{{- define "multinic.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "multinic.labels" -}}
{{ include "multinic.selectorLabels" . }}
{{ include "multinic.commonLabels" . }}
{{- end }}

{{- define "multinic.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "multinic.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The name of an image: (list . IMAGE), where IMAGE has repository, tag and digest. */}}
{{- define "multinic.imageOf" -}}
{{- $top := index . 0 }}
{{- $image := index . 1 }}
{{- $registry := default $top.Values.image.registry $top.Values.global.imageRegistry }}
{{- $name := ternary $image.repository (printf "%s/%s" $registry $image.repository) (empty $registry) }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default $top.Chart.AppVersion $image.tag | toString) }}
{{- end }}
{{- end }}

{{/* Refuse to pull what is in no registry: (list . IMAGE). podman and buildah call what they build localhost/NAME. */}}
{{- define "multinic.checkRegistry" -}}
{{- $top := index . 0 }}
{{- $name := (index . 1).repository }}
{{- if and (eq $top.Values.image.pullPolicy "Always") (not $top.Values.global.imageRegistry) (not $top.Values.image.registry) (regexMatch "^([^/]*$|localhost/)" $name) }}
{{- fail (printf "image.pullPolicy Always asks a registry at every start, and none is known for %q: give image.registry, or use IfNotPresent with an image that is on every node" $name) }}
{{- end }}
{{- end }}

{{- define "multinic.image" -}}
{{- include "multinic.imageOf" (list . .Values.image) }}
{{- end }}

{{- define "multinic.pullSecrets" -}}
{{- $secrets := list }}
{{- range concat .Values.imagePullSecrets .Values.global.imagePullSecrets }}
{{- $secrets = append $secrets (ternary . (dict "name" .) (kindIs "map" .)) }}
{{- end }}
{{- with uniq $secrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "multinic.secretName" -}}
{{- default (include "multinic.named" (list . "-db")) .Values.database.existingSecret }}
{{- end }}

{{/* Text of a part of a URL. */}}
{{- define "multinic.quoted" -}}
{{- . | urlquery | replace "+" "%20" }}
{{- end }}

{{/* The setting database.url: (list . "USER" CERTIFICATE), CERTIFICATE for whether the client has one. */}}
{{- define "multinic.databaseURL" -}}
{{- $user := index . 1 }}
{{- $certificate := index . 2 }}
{{- with index . 0 }}
{{- $given := .Values.database.host }}
{{- if not (kindIs "slice" $given) }}{{ $given = splitList "," ($given | replace " " "") }}{{ end }}
{{- $hosts := list }}
{{- range $given }}
{{- $hosts = append $hosts (ternary (printf "[%s]" .) . (and (not (hasPrefix "[" .)) (gt (len (splitList ":" .)) 2))) }}
{{- end }}
{{- $tls := .Values.database.tls }}
{{- $query := list }}
{{- if $tls.existingSecret }}
{{- $query = append $query "ssl_ca=/etc/multinic/secrets/ca.crt" }}
{{- if ne $tls.verify "full" }}{{ $query = append $query (printf "ssl_verify=%s" $tls.verify) }}{{ end }}
{{- if $certificate }}
{{- $query = concat $query (list "ssl_cert=/etc/multinic/secrets/client.crt" "ssl_key=/etc/multinic/secrets/client.key") }}
{{- end }}
{{- end }}
{{- printf "mysql://%s@%s:%d/%s" (include "multinic.quoted" $user) (join "," $hosts) (int .Values.database.port) .Values.database.name }}
{{- with $query }}?{{ join "&" . }}{{ end }}
{{- end }}
{{- end }}

{{/* multinic.toml. JSON's strings, numbers, booleans and lists are TOML's, too. */}}
{{- define "multinic.settings" -}}
{{- $url := include "multinic.databaseURL" (list . .Values.database.user (not (empty .Values.database.tls.certificate))) }}
{{- $database := dict "url" $url }}
{{- if or .Values.database.password .Values.database.existingSecret }}
{{- $_ := set $database "password_file" "/etc/multinic/secrets/password" }}
{{- end }}
{{- $agent := dict "poll_interval" .Values.agent.pollInterval "listen" (printf "127.0.0.1:%d" (int .Values.agent.port)) }}
{{- if .Values.agent.metrics.enabled }}
{{- $host := .Values.agent.metrics.host }}
{{- $_ := set $agent "metrics_listen" (printf "%s:%d" (ternary (printf "[%s]" $host) $host (contains ":" $host)) (int .Values.agent.metrics.port)) }}
{{- end }}
{{- $own := dict "log_level" .Values.agent.logLevel "log_format" .Values.agent.logFormat "backend" .Values.agent.backend
  "max_interfaces" (int .Values.agent.maxInterfaces) "database" $database "agent" $agent }}
{{- include "multinic.asTOML" (mergeOverwrite $own (deepCopy .Values.settings)) }}
{{- end }}

{{/* The settings of a file. */}}
{{- define "multinic.asTOML" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "map" $value) }}
{{ $key }} = {{ include "multinic.toml" $value }}
{{- end }}
{{- end }}
{{- range $table, $keys := . }}
{{- if kindIs "map" $keys }}

[{{ $table }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ include "multinic.toml" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A value of TOML. helm reads every number as a float. */}}
{{- define "multinic.toml" -}}
{{- if kindIs "float64" . }}{{ toString (int64 .) }}{{ else }}{{ toRawJson . }}{{ end }}
{{- end }}

{{/* The environment of a container that works on its node. */}}
{{- define "multinic.env" -}}
{{- if or (eq .Values.agent.nodeName "kubernetes") .Values.extraEnv -}}
env:
  {{- if eq .Values.agent.nodeName "kubernetes" }}
  - name: NODE_NAME
    valueFrom:
      fieldRef:
        fieldPath: spec.nodeName
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What a container may do that touches no node. */}}
{{- define "multinic.unprivileged" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65534
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Pods of the purge are none of the agent's. */}}
{{- define "multinic.purgeSelector" -}}
app.kubernetes.io/name: {{ include "multinic.name" . | trunc 57 | trimSuffix "-" }}-purge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "multinic.purgeLabels" -}}
{{ include "multinic.purgeSelector" . }}
{{ include "multinic.commonLabels" . }}
{{- end }}

{{/* A hook that runs when the release is gone: its weight, a text. */}}
{{- define "multinic.hook" -}}
helm.sh/hook: post-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- define "multinic.securityContext" -}}
{{- if .Values.securityContext.privileged }}
privileged: true
readOnlyRootFilesystem: {{ .Values.securityContext.readOnlyRootFilesystem }}
{{- else }}
{{- toYaml (omit .Values.securityContext "privileged") }}
{{- if and .Values.appArmorProfile (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) }}
appArmorProfile:
  {{- if hasPrefix "Localhost/" .Values.appArmorProfile }}
  type: Localhost
  localhostProfile: {{ trimPrefix "Localhost/" .Values.appArmorProfile | quote }}
  {{- else }}
  type: {{ .Values.appArmorProfile }}
  {{- end }}
{{- end }}
{{- end }}
{{- with .Values.seLinuxOptions }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Before Kubernetes 1.30 the profile of AppArmor was an annotation of the pod: (list . "CONTAINER") */}}
{{- define "multinic.appArmorAnnotation" -}}
{{- $top := index . 0 }}
{{- $profile := $top.Values.appArmorProfile }}
{{- if and $profile (not $top.Values.securityContext.privileged) (semverCompare "<1.30-0" $top.Capabilities.KubeVersion.Version) }}
container.apparmor.security.beta.kubernetes.io/{{ index . 1 }}: {{ get (dict "Unconfined" "unconfined" "RuntimeDefault" "runtime/default") $profile | default (replace "Localhost/" "localhost/" $profile) }}
{{- end }}
{{- end }}

{{/* What the pods of the agent and of the purge have in common: (list . "SERVICE-ACCOUNT") */}}
{{- define "multinic.pod" -}}
serviceAccountName: {{ index . 1 }}
{{- with index . 0 }}
automountServiceAccountToken: false
{{- include "multinic.pullSecrets" . }}
hostNetwork: true
hostPID: true
dnsPolicy: {{ .Values.dnsPolicy }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Settings and secrets as one directory, so that new contents are seen without a new pod: (list . "NAMES-END") */}}
{{- define "multinic.volumes" -}}
{{- $top := index . 0 }}
{{- $end := index . 1 }}
{{- $database := $top.Values.database }}
- name: settings
  projected:
    defaultMode: 0400
    sources:
      - configMap:
          name: {{ include "multinic.named" (list $top $end) }}
          items: [{key: multinic.toml, path: multinic.toml}]
      {{- if or $database.password $database.existingSecret }}
      - secret:
          name: {{ $database.existingSecret | default (include "multinic.named" (list $top (printf "%s-db" $end))) }}
          items: [{key: {{ ternary $database.existingSecretKey "password" (not (empty $database.existingSecret)) | quote }}, path: secrets/password}]
      {{- end }}
      {{- with $database.tls.existingSecret }}
      - secret:
          name: {{ . }}
          items:
            - {key: {{ $database.tls.ca | quote }}, path: secrets/ca.crt}
            {{- if $database.tls.certificate }}
            - {key: {{ $database.tls.certificate | quote }}, path: secrets/client.crt}
            - {key: {{ $database.tls.key | quote }}, path: secrets/client.key}
            {{- end }}
      {{- end }}
- name: host
  hostPath:
    path: /
    type: Directory
{{- end }}

{{- define "multinic.volumeMounts" -}}
- name: settings
  mountPath: /etc/multinic
  readOnly: true
- name: host
  mountPath: /host
  mountPropagation: HostToContainer
{{- end }}
