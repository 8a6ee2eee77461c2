{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* The rules of files/rules.yaml, with the values in the place of what is left open there. */ -}}

{{- /* The scrape jobs of the agents, as the monitors' jobLabel makes them. */ -}}
{{- define "inferometer.jobs" -}}
{{- .Values.prometheusRule.jobs | default (printf "(.*/)?%s" (include "inferometer.name" .)) -}}
{{- end -}}

{{- define "inferometer.ruleGroups" -}}
{{- $of := .Values.prometheusRule -}}
{{- $text := .Files.Get "files/rules.yaml" -}}
{{- range $open, $value := dict "<runbooks>" (trimSuffix "/" $of.runbooks) "<page>" $of.pageSeverity "<ticket>" $of.ticketSeverity "<jobs>" (include "inferometer.jobs" .) -}}
{{- $text = replace $open $value $text -}}
{{- end -}}
{{- $groups := (fromYaml $text).groups -}}
{{- with $of.objectives -}}
{{- $others := list -}}
{{- range $groups -}}
{{- if not (hasPrefix "slo/" .name) -}}{{- $others = append $others . -}}{{- end -}}
{{- end -}}
{{- $groups = concat (fromYaml .).groups $others -}}
{{- end -}}
{{- $kept := list -}}
{{- range concat $groups ($of.customRules | default list) -}}
{{- $rules := list -}}
{{- range .rules -}}
{{- with include "inferometer.rule" (list . ($of.alerts | default dict)) | fromJson -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $kept = append $kept (set (deepCopy .) "rules" $rules) -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}

{{- /*
One rule in JSON, {} where it is left out. Given: the rule, and the values of the alerts. A rule of a file's or of a user's own
has its numbers already: of the values only the switch is heard.
*/ -}}
{{- define "inferometer.rule" -}}
{{- $rule := deepCopy (first .) -}}
{{- $of := get (last .) ($rule.alert | default "") | default dict -}}
{{- if hasKey $rule "values" -}}
{{- if $of.enabled -}}
{{- with $rule.values -}}{{- $of = get $of . -}}{{- end -}}
{{- if has $of.for (list "0" "0s") -}}
{{- $rule = omit $rule "for" -}}
{{- else -}}
{{- $_ := set $rule "for" $of.for -}}
{{- end -}}
{{- if hasKey $of "threshold" -}}
{{- $number := toString $of.threshold -}}
{{- $_ := set $rule "expr" (replace "<limit>" $number $rule.expr) -}}
{{- $_ := set $rule.annotations "description" (replace "<limit>" $number $rule.annotations.description) -}}
{{- end -}}
{{- toJson (omit $rule "values") -}}
{{- else -}}
{}
{{- end -}}
{{- else if and $of (not $of.enabled) -}}
{}
{{- else -}}
{{- toJson $rule -}}
{{- end -}}
{{- end -}}
