{{/* Names are those of the Go controllers, so that roles which users have bound to their account count for ours. */}}
{{- define "ocm-controllers.name" -}}
{{- default "ocm-k8s-toolkit" .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* So long that the longest name that is made of it, that of the service, has 63 characters. */}}
{{- define "ocm-controllers.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 36 | trimSuffix "-" -}}
{{- else if contains (include "ocm-controllers.name" .) .Release.Name -}}
{{- .Release.Name | trunc 36 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "ocm-controllers.name" .) | trunc 36 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ocm-controllers.account" -}}
{{ include "ocm-controllers.fullname" . }}-controller-manager
{{- end -}}

{{- define "ocm-controllers.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ocm-controllers.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
control-plane: controller-manager
{{- end -}}

{{- define "ocm-controllers.labels" -}}
{{ include "ocm-controllers.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "ocm-controllers.servesMetrics" -}}
{{- if not (has (toString .Values.manager.metricsServer.bindAddress) (list "0" "")) -}}true{{- end -}}
{{- end -}}

{{/* What the chart of the Go controllers calls these ports, too. */}}
{{- define "ocm-controllers.metricsPort" -}}
{{- ternary "https" "http" .Values.manager.metricsServer.secure -}}
{{- end -}}

{{/* The secret that cert-manager puts the certificate of the metrics into, if it is asked to. */}}
{{- define "ocm-controllers.metricsCertificate" -}}
{{- if and .Values.certManager.enable .Values.manager.metricsServer.secure (include "ocm-controllers.servesMetrics" .) -}}
{{ include "ocm-controllers.fullname" . }}-metrics-cert
{{- end -}}
{{- end -}}

{{- define "ocm-controllers.metricsHost" -}}
{{ include "ocm-controllers.account" . }}-metrics.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "ocm-controllers.check" -}}
{{- if and (gt (int .Values.manager.replicas) 1) (not .Values.manager.leaderElection.enabled) -}}
{{- fail "manager.replicas above 1 needs manager.leaderElection.enabled" -}}
{{- end -}}
{{- if .Values.webhook.enable -}}
{{- fail "webhook.enable is not offered: there is one version, so nothing is converted" -}}
{{- end -}}
{{- if and .Values.prometheus.enable (not (include "ocm-controllers.servesMetrics" .)) -}}
{{- fail "prometheus.enable needs manager.metricsServer.bindAddress" -}}
{{- end -}}
{{- end -}}
