//! The metrics of a token manager, by the facade `metrics`. Their labels hold no secret and no account: an application with a hundred
//! thousand accounts has as many time series as one with ten.
//!
//! Without the feature `metrics`, nothing here does anything.

#![cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing is recorded"))]

use std::time::{Duration, Instant};

use hs_oauth_core::renewal::{CurrentTokens, TokenError};
use hs_oauth_core::{Error, Operation, StoreError};
use hs_oauth_store::Swapped;

use crate::health::Health;

/// A metric: its name, what it counts or measures, and its labels.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// Whether it is a counter, a gauge or a histogram.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub description: &'static str,
}

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows while the process runs.
    Counter,
    /// A number that grows and falls.
    Gauge,
    /// The distribution of a time in seconds.
    Histogram,
}

/// All metrics of a token manager.
pub const METRICS: [Metric; 17] = [
    counter(EVENTS, &["event"], "What became of accounts: the events of the callback, by name"),
    counter(RENEWALS, &["outcome"], "Renewals that ended: renewed, found, kept, or the name of the error"),
    counter(AFTER_401, &[], "Renewals because an API rejected a token with 401"),
    histogram(RENEWAL, &["outcome"], "How long a renewal took, with all its waits"),
    histogram(REQUEST, &["operation", "outcome"], "How long a request to HubSpot took"),
    histogram(STORE_CALL, &["call", "outcome"], "How long a call to the store took"),
    gauge(HELD, "Accounts with a token in memory"),
    gauge(FLIGHTS, "Renewals under way, with those that wait"),
    gauge(WAITING, "Renewals that wait for the rate, for their turn or for the end of a pause"),
    gauge(UNSAVED, "Accounts with new tokens that are not known to be saved"),
    gauge(GONE, "Accounts that were gone when the process saw them last"),
    gauge(BACKING_OFF, "Accounts that failed to renew and may not be tried again yet"),
    gauge(SWEEP_ACCOUNTS, "Accounts that the sweep looks after"),
    gauge(SWEEP_DUE, "Accounts whose turn in the sweep has come and that wait"),
    gauge(SWEEP_LATE, "How many seconds the account waits whose turn came first"),
    counter(SWEEP_LOOKED_AT, &[], "Accounts that the sweep has looked at"),
    counter(SWEEP_RENEWED, &[], "Accounts that the sweep has renewed"),
];

const EVENTS: &str = "hs_oauth_events_total";
const RENEWALS: &str = "hs_oauth_renewals_total";
const AFTER_401: &str = "hs_oauth_renewals_after_401_total";
const RENEWAL: &str = "hs_oauth_renewal_duration_seconds";
const REQUEST: &str = "hs_oauth_request_duration_seconds";
const STORE_CALL: &str = "hs_oauth_store_call_duration_seconds";
const HELD: &str = "hs_oauth_accounts_held";
const FLIGHTS: &str = "hs_oauth_renewals_under_way";
const WAITING: &str = "hs_oauth_renewals_waiting";
const UNSAVED: &str = "hs_oauth_accounts_unsaved";
const GONE: &str = "hs_oauth_accounts_gone";
const BACKING_OFF: &str = "hs_oauth_accounts_backing_off";
const SWEEP_ACCOUNTS: &str = "hs_oauth_sweep_accounts";
const SWEEP_DUE: &str = "hs_oauth_sweep_due";
const SWEEP_LATE: &str = "hs_oauth_sweep_late_seconds";
const SWEEP_LOOKED_AT: &str = "hs_oauth_sweep_looked_at_total";
const SWEEP_RENEWED: &str = "hs_oauth_sweep_renewed_total";

const fn counter(name: &'static str, labels: &'static [&'static str], description: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, labels, description }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], description: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, labels, description }
}

const fn gauge(name: &'static str, description: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, labels: &[], description }
}

/// Tells the recorder what the metrics mean.
pub(crate) fn describe() {
    #[cfg(feature = "metrics")]
    for metric in &METRICS {
        let Metric { name, kind, description, .. } = *metric;
        match kind {
            MetricKind::Counter => metrics::describe_counter!(name, description),
            MetricKind::Gauge => metrics::describe_gauge!(name, description),
            MetricKind::Histogram => {
                metrics::describe_histogram!(name, metrics::Unit::Seconds, description);
            }
        }
    }
}

/// Counts an event by its name.
pub(crate) fn event(name: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(EVENTS, "event" => name).increment(1);
}

/// Records the end of a renewal. `after_401` says that it was made because an API rejected a token.
pub(crate) fn renewal(result: &Result<CurrentTokens, TokenError>, after_401: bool, took: Duration) {
    #[cfg(feature = "metrics")]
    {
        let outcome = match result {
            Ok(CurrentTokens { renewed: true, .. }) => "renewed",
            Ok(CurrentTokens { refresh_error: Some(_), .. }) => "kept",
            Ok(_) => "found",
            Err(error) => error.name(),
        };
        metrics::counter!(RENEWALS, "outcome" => outcome).increment(1);
        metrics::histogram!(RENEWAL, "outcome" => outcome).record(took);
        if after_401 && outcome == "renewed" {
            metrics::counter!(AFTER_401).increment(1);
        }
    }
}

/// Records a request to HubSpot. Its outcome is `ok`, or what the error asks for.
pub fn request<T>(operation: Operation, result: &Result<T, Error>, took: Duration) {
    #[cfg(feature = "metrics")]
    {
        let outcome = result.as_ref().err().map_or("ok", |error| error.next_step().name());
        metrics::histogram!(REQUEST, "operation" => operation.name(), "outcome" => outcome).record(took);
    }
}

/// Records the numbers of the process that grow and fall.
pub(crate) fn numbers(health: &Health) {
    #[cfg(feature = "metrics")]
    {
        let gauge = |name: &'static str, number: usize| metrics::gauge!(name).set(number as f64);
        gauge(HELD, health.held);
        gauge(FLIGHTS, health.flights);
        gauge(WAITING, health.waiting);
        gauge(UNSAVED, health.unsaved);
        gauge(GONE, health.gone);
        gauge(BACKING_OFF, health.backing_off);
        if let Some(sweep) = &health.sweep {
            gauge(SWEEP_ACCOUNTS, sweep.accounts);
            gauge(SWEEP_DUE, sweep.due);
            metrics::gauge!(SWEEP_LATE).set(sweep.late_secs as f64);
            metrics::counter!(SWEEP_LOOKED_AT).absolute(sweep.looked_at);
            metrics::counter!(SWEEP_RENEWED).absolute(sweep.renewed);
        }
    }
}

/// A call to the store that is under way.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "nothing is recorded"))]
#[must_use = "its end is to be recorded"]
pub struct StoreCall {
    call: &'static str,
    began: Instant,
}

impl StoreCall {
    /// Begins a call: `load`, `swap`, `page` or `check`.
    pub fn begin(call: &'static str) -> Self {
        Self { call, began: Instant::now() }
    }

    /// Records the end of the call, and returns its result. The outcome is `ok`, or the kind of the error.
    ///
    /// # Errors
    /// The error of the call.
    pub fn end<T>(self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.record(result.as_ref().err().map_or("ok", |error| error.kind().name()));
        result
    }

    /// Records the end of a swap, as [`end`](Self::end) does. The outcome can also be `conflict`.
    ///
    /// # Errors
    /// The error of the call.
    pub fn end_swap(self, result: Result<Swapped, StoreError>) -> Result<Swapped, StoreError> {
        match result {
            Ok(Swapped::Conflict) => {
                self.record("conflict");
                result
            }
            result => self.end(result),
        }
    }

    fn record(self, outcome: &'static str) {
        #[cfg(feature = "metrics")]
        metrics::histogram!(STORE_CALL, "call" => self.call, "outcome" => outcome)
            .record(self.began.elapsed());
    }
}

#[cfg(test)]
#[cfg(feature = "metrics")]
mod tests;
