{{- define "image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* labels of every pod of a release */ -}}
{{- define "labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pod security" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- range . }}
  - {name: {{ . }}}
{{- end }}
{{- end }}
{{- with .Values.placement.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.placement.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.placement.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- /* the pods of a process on different nodes and zones, as far as possible; of (list . labels) */ -}}
{{- define "spreading" -}}
{{- $root := first . }}
{{- $labels := last . }}
affinity:
  {{- if $root.Values.placement.affinity }}
  {{- toYaml $root.Values.placement.affinity | nindent 2 }}
  {{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {{ $labels }}}}
  {{- end }}
{{- with $root.Values.placement.spread }}
topologySpreadConstraints:
  {{- range . }}
  - {maxSkew: 1, topologyKey: {{ . }}, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {{ $labels }}}}
  {{- end }}
{{- end }}
{{- end }}

{{- /* where Prometheus reads the metrics of a process; the labels are those of deploy/prometheus/prometheus.yml */ -}}
{{- define "metrics endpoint" -}}
- port: internal
  scheme: https
  tlsConfig:
    serverName: practitioner-portal # a name in the certificate of each
    ca: {secret: {name: {{ .Values.secretPrefix }}trust, key: ca.crt}}
  relabelings:
    - {targetLabel: job, replacement: processes}
    - {sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component], regex: alert.+, targetLabel: __scheme__, replacement: http}
    - {sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component], regex: alert.+, targetLabel: job, replacement: alerting}
    - {sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component], regex: server-exporter, targetLabel: job, replacement: servers}
    - {sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component], targetLabel: process}
{{- end }}

{{- /* labels of the objects that operators in the cluster look for: Prometheus' */ -}}
{{- define "monitoring labels" -}}
{{- include "labels" . }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "container security" -}}
securityContext:
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* the settings of a service: its own and those of every process; of (list . service) */ -}}
{{- define "environment" -}}
{{- $root := first . }}
{{- range $key, $value := merge (dict) (last .).env $root.Values.env }}
{{- with tpl (toString $value) $root }}
- {name: {{ $key }}, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: secrets, mountPath: {{ .Values.env.SECRETS_DIR }}, readOnly: true}
- {name: tls, mountPath: /run/tls, readOnly: true}
{{- end }}

{{- /* of (list . service role issued): the keys of the service, how this process logs in, and its certificate: issued by
cert-manager, or from the same Secret */ -}}
{{- define "volumes" -}}
{{- $root := first . }}
{{- $service := index . 1 }}
{{- $role := index . 2 }}
{{- $own := printf "%s%s-%s" $root.Values.secretPrefix $service $role }}
- {name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ $root.Values.secretPrefix }}{{ $service }}}
      - secret: {name: {{ $own }}}
{{- $certificate := ternary (printf "%s-%s-%s-tls" $root.Release.Name $service $role) $own (last .) }}
{{ include "certificate volume" $certificate }}
{{- end }}

{{- define "certificate volume" -}}
- {name: tls, secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}, {key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}}
{{- end }}

{{- /* the certificate of a process, if cert-manager issues them; of (list . name component) */ -}}
{{- define "certificate" -}}
{{- $root := first . }}
{{- $name := index . 1 }}
{{- with $root.Values.tls.issuer }}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ $name }}
  labels: {{- include "labels" $root | nindent 4 }}
spec:
  secretName: {{ $name }}-tls
  commonName: {{ last $ }}
  dnsNames: [{{ $name }}, {{ $name }}-internal, practitioner-portal, localhost]
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  usages: [server auth]
  issuerRef: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- /* for the portal: the addresses of the APIs that it calls, and the internal address of each process */ -}}
{{- define "services" -}}
{{- $found := dict }}
{{- range $service, $_ := omit .Values.services "portal" "subscriptions" }}
{{- $_ := set $found $service (printf "https://%s-%s-api:8000" $.Release.Name $service) }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- define "processes" -}}
{{- $found := dict }}
{{- range $service, $of := .Values.services }}
{{- range $role, $_ := pick $of "api" "worker" }}
{{- $_ := set $found (printf "%s-%s" $service $role) (printf "https://%s-%s-%s-internal:9000" $.Release.Name $service $role) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}
