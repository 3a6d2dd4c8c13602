"""Grafana's dashboards as code: what they ask (`boards`), how that becomes JSON (`dashboard`), and the JSON itself."""
