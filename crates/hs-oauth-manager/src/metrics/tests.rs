use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use hs_oauth_core::renewal::{Demand, GrantId, Input, Record, Run, Step, Stored};
use hs_oauth_core::{ApiError, App, ClientSecret, Random};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

use super::*;
use crate::credentials::Credentials;
use crate::queue::Purpose;
use crate::settings::TokenManagerBuilder;
use crate::shared::Shared;
use crate::sweep::Sweep;
use crate::tests::{ACCOUNT, NOW, Recorder, lead, tokens};

/// What was recorded: the names of the metrics with their kinds and their labels' names, and the values of all labels.
#[derive(Default)]
struct Seen {
    metrics: Mutex<BTreeMap<String, (MetricKind, BTreeSet<String>)>>,
    label_values: Mutex<BTreeSet<String>>,
    described: Mutex<BTreeSet<String>>,
}

impl Seen {
    fn note(&self, key: &Key, kind: MetricKind) {
        let labels = key.labels().map(|label| label.key().to_owned()).collect();
        self.metrics.lock().unwrap().insert(key.name().to_owned(), (kind, labels));
        self.label_values.lock().unwrap().extend(key.labels().map(|label| label.value().to_owned()));
    }

    fn describe(&self, name: &KeyName) {
        self.described.lock().unwrap().insert(name.as_str().to_owned());
    }
}

impl metrics::Recorder for Seen {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key, MetricKind::Counter);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key, MetricKind::Gauge);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key, MetricKind::Histogram);
        Histogram::noop()
    }
}

/// Renews an account after a 401, with a response that has tokens or refuses the grant.
fn renew(shared: &Shared<Recorder>, response: Result<hs_oauth_core::TokenSet, Error>) {
    let record = Record::new(GrantId::generate(&mut Random::new([1; 32])), tokens("old"));
    let demand = Demand::OtherThan(tokens("old").access_token);
    let mut flight = shared.begin_flight(ACCOUNT, demand, Purpose::Caller, NOW, Random::new([2; 32]));
    let mut step = flight.start(NOW);
    let result = loop {
        let input = match step {
            Step::Load { .. } => Input::Loaded(Some(Stored { version: 1, record: record.clone() })),
            Step::Swap { .. } => Input::Stored(2),
            Step::Admit { .. } => Input::Admit { waited: false },
            Step::Send { .. } => {
                request(Operation::Refresh, &response, Duration::from_millis(3));
                shared.refreshed(ACCOUNT, false, NOW, response.clone())
            }
            Step::Done(result) => break result,
            other => panic!("{other:?}"),
        };
        step = flight.resume(NOW, input);
    };
    let mut guard = lead(&shared.flights, Purpose::Caller);
    let end = shared.finish_flight(&mut guard, flight, result, NOW, 0);
    drop(guard);
    shared.emit_end(&end, Purpose::Caller);
}

#[test]
fn every_metric_is_recorded_with_its_labels_and_no_label_has_an_account_or_a_token() {
    let seen = Seen::default();
    metrics::with_local_recorder(&seen, || {
        let settings = TokenManagerBuilder::<_, ()>::new(|settings, _| settings);
        let settings = settings.with_sweep(Sweep::check_daily()).build();
        let app = App::hubspot("client-id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let shared = Shared::new(settings, Arc::new(Credentials::new(&Arc::new(app))));
        renew(&shared, Ok(tokens("new")));
        let mut refused = ApiError::new(Operation::Refresh, hs_oauth_core::http::StatusCode::BAD_REQUEST);
        refused.error = Some("invalid_grant".into());
        renew(&shared, Err(refused.into()));
        let _ = StoreCall::begin("load").end(Ok(()));
        let _ = StoreCall::begin("swap").end_swap(Ok(Swapped::Conflict));
    });
    let recorded = seen.metrics.into_inner().unwrap();
    for Metric { name, kind, labels, .. } in METRICS {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(recorded.get(name), Some(&(kind, labels)), "{name}");
    }
    assert_eq!(recorded.len(), METRICS.len(), "{recorded:?}");
    assert_eq!(seen.described.into_inner().unwrap().len(), METRICS.len());
    let values = seen.label_values.into_inner().unwrap();
    let expected = ["conflict", "failed", "gone", "load", "ok", "reauthorize", "refresh", "renewed", "swap"];
    assert!(values.iter().all(|value| expected.contains(&&**value)), "{values:?}");
}
