{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* What cannot be meant of monitors, rules and dashboards: lists of sentences in JSON, for _contradictions.tpl. */ -}}

{{- define "inferometer.milliseconds" -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit) -}}
{{- end -}}

{{- define "inferometer.monitorContradictions" -}}
{{- $found := list -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- $found = append $found "podMonitor.enabled and serviceMonitor.enabled are both set: every agent would be scraped twice. Keep one." -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) -}}
{{- $found = append $found "serviceMonitor.enabled is true and service.enabled is false: it finds the agents by their Service. Set podMonitor.enabled in its place, or service.enabled." -}}
{{- end -}}
{{- $tls := include "inferometer.tls" . -}}
{{- range $name := list "podMonitor" "serviceMonitor" -}}
{{- $of := get $.Values $name -}}
{{- if and $of.interval $of.scrapeTimeout -}}
{{- if gt (include "inferometer.milliseconds" $of.scrapeTimeout | int64) (include "inferometer.milliseconds" $of.interval | int64) -}}
{{- $found = append $found (printf "%s.scrapeTimeout is %s and %s.interval is %s: Prometheus refuses a scrape that may outlast its interval. Shorten the one or lengthen the other." $name $of.scrapeTimeout $name $of.interval) -}}
{{- end -}}
{{- end -}}
{{- if and $of.enabled $of.tlsConfig (not $tls) -}}
{{- $found = append $found (printf "%s.tlsConfig is set and config.server.tls.certificate is not: the agents would be asked in the clear all the same. Set both or neither." $name) -}}
{{- end -}}
{{- $shown := list -}}
{{- range list "authorization" "basicAuth" "bearerTokenFile" -}}
{{- if get $of . -}}{{- $shown = append $shown (printf "%s.%s" $name .) -}}{{- end -}}
{{- end -}}
{{- if gt (len $shown) 1 -}}
{{- $found = append $found (printf "%s are set together: the Prometheus operator takes one of them. Keep one." (join " and " $shown)) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "inferometer.ruleContradictions" -}}
{{- $found := list -}}
{{- $of := .Values.prometheusRule -}}
{{- $groups := list -}}
{{- with $of.objectives -}}
{{- $groups = (fromYaml .).groups -}}
{{- $sound := kindIs "slice" $groups -}}
{{- if $sound -}}
{{- range $groups -}}
{{- if not (kindIs "map" .) -}}{{- $sound = false -}}{{- else if not (and (kindIs "string" .name) (kindIs "slice" .rules)) -}}{{- $sound = false -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $sound -}}
{{- $groups = list -}}
{{- $found = append $found "prometheusRule.objectives is no rule file: give the slo.rules.yaml that `python -m alerts` writes, by --set-file." -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range concat (fromYaml (.Files.Get "files/rules.yaml")).groups $groups ($of.customRules | default list) -}}
{{- if and (has .name $names) (not (and $of.objectives (hasPrefix "slo/" .name))) -}}
{{- $found = append $found (printf "prometheusRule.customRules has a group %s and so have the rules that it stands beside: Prometheus refuses a file in which a name stands twice. Rename it." .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range $of.customRules -}}
{{- $group := . -}}
{{- range .rules -}}
{{- if eq (empty .alert) (empty .record) -}}
{{- $found = append $found (printf "prometheusRule.customRules has a rule in %s that is not one of the two, alert or record: give one of these keys." $group.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- /*
Kinds that are asked for and that this cluster does not know. Only a real cluster is asked: without one Helm knows of API groups
alone, and what is rendered may be for any.
*/ -}}
{{- define "inferometer.refuseMissingKinds" -}}
{{- if .Capabilities.APIVersions.Has "apps/v1/DaemonSet" -}}
{{- $found := list -}}
{{- range include "inferometer.kinds" . | fromJsonArray -}}
{{- if not ($.Capabilities.APIVersions.Has .kind) -}}
{{- $found = append $found (printf "%s and this cluster has no %s: install %s first, or leave it out." .value .kind .whose) -}}
{{- end -}}
{{- end -}}
{{- if $found -}}
{{- printf "\n\nThe cluster lacks what the values ask for:\n- %s\n" (join "\n- " $found) | fail -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The kinds of others that are asked for: by which value, and who brings them. */ -}}
{{- define "inferometer.kinds" -}}
{{- $asked := list -}}
{{- $prometheus := "the Prometheus operator" -}}
{{- if .Values.podMonitor.enabled -}}
{{- $asked = append $asked (dict "value" "podMonitor.enabled is true" "kind" "monitoring.coreos.com/v1/PodMonitor" "whose" $prometheus) -}}
{{- end -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- $asked = append $asked (dict "value" "serviceMonitor.enabled is true" "kind" "monitoring.coreos.com/v1/ServiceMonitor" "whose" $prometheus) -}}
{{- end -}}
{{- if .Values.prometheusRule.enabled -}}
{{- $asked = append $asked (dict "value" "prometheusRule.enabled is true" "kind" "monitoring.coreos.com/v1/PrometheusRule" "whose" $prometheus) -}}
{{- end -}}
{{- if and .Values.dashboards.enabled (eq .Values.dashboards.kind "GrafanaDashboard") -}}
{{- $asked = append $asked (dict "value" "dashboards.kind is GrafanaDashboard" "kind" "grafana.integreatly.org/v1beta1/GrafanaDashboard" "whose" "the Grafana operator") -}}
{{- end -}}
{{- toJson $asked -}}
{{- end -}}
