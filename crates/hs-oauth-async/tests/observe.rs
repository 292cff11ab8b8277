//! The guide `observe` and its dashboard have the metrics that there are, and no others.

use std::collections::BTreeSet;

use hs_oauth_manager::{METRICS, Metric, MetricKind};

#[test]
fn the_guide_names_every_metric() {
    let guide = include_str!("../src/guide/observe.md");
    for Metric { name, labels, .. } in METRICS {
        assert!(guide.contains(&format!("| `{name}` |")), "{name}");
        assert!(labels.iter().all(|label| guide.contains(&format!("`{label}`"))), "{labels:?}");
    }
}

/// Returns the names of metrics in a query: words that begin as all metrics here do.
fn names(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| word.starts_with("hs_oauth_"))
}

#[test]
fn every_metric_in_the_dashboard_and_the_alerts_exists() {
    let dashboard = include_str!("../src/guide/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let queries: Vec<_> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(queries.len() >= 12, "{queries:?}");
    let guide = include_str!("../src/guide/observe.md");
    let shown: BTreeSet<_> = queries.iter().flat_map(|query| names(query)).collect();
    let alerts = guide.split("```yaml").nth(1).and_then(|after| after.split("```").next()).unwrap();
    assert_eq!(alerts.matches("- alert:").count(), 5);
    for name in shown.iter().copied().chain(names(alerts)) {
        let is_known = METRICS.iter().any(|metric| {
            let suffix = name.strip_prefix(metric.name);
            match metric.kind {
                MetricKind::Histogram => matches!(suffix, Some("" | "_bucket" | "_count" | "_sum")),
                _ => suffix == Some(""),
            }
        });
        assert!(is_known, "{name}");
    }
    let is_shown = |metric: &Metric| shown.iter().any(|name| name.starts_with(metric.name));
    let missing: Vec<_> =
        METRICS.iter().filter(|metric| !is_shown(metric)).map(|metric| metric.name).collect();
    assert!(missing.is_empty(), "not in the dashboard: {missing:?}");
}
