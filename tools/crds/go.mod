// The schemas of other operators' kinds are files of these modules; nothing is compiled, so `go mod tidy` would empty this.
module inferometer.invalid/tools/crds

go 1.26.0

require (
	github.com/grafana/grafana-operator/v5 v5.18.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
