//! What the tests of several files share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hs_oauth_core::renewal::{Demand, GrantId, Input, Record, Renewal, RenewalPolicy, Run, Step, Stored};
use hs_oauth_core::{
    AccessToken, Account, App, AppIdentity, ClientSecret, Random, RefreshToken, StoreError, StoreErrorKind,
    Timestamp, TokenSet,
};

use crate::outcome::FlightResult;
use crate::queue::Purpose;
use crate::received::Unsaved;
use crate::single_flight::{FlightGuard, Role, SingleFlight, Waiting};

pub(crate) const ACCOUNT: Account = Account::hub(1);
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_000_000);

/// Stores the results of flights, and counts how often nothing was under way any more.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) idle: AtomicU32,
}

impl Waiting for Recorder {
    type Flight = Arc<Mutex<Option<FlightResult>>>;
    type Waker = ();

    fn deliver(flight: &Self::Flight, result: FlightResult) {
        *flight.lock().unwrap() = Some(result);
    }

    fn queue_changed(&self, _: Option<&()>) {}

    fn idle(&self) {
        self.idle.fetch_add(1, Ordering::Relaxed);
    }

    fn closed(&self) {}

    fn sweep_changed(&self) {}
}

/// Starts the flight of [`ACCOUNT`].
pub(crate) fn lead(flights: &Arc<SingleFlight<Recorder>>, purpose: Purpose) -> FlightGuard<Recorder> {
    match flights.start_or_join(&mut flights.state(), ACCOUNT, purpose) {
        Ok(Role::Leader(guard)) => guard,
        other => panic!("{other:?}"),
    }
}

/// Returns the app whose tokens the tests hold.
pub(crate) fn app() -> AppIdentity {
    App::hubspot("client-id", ClientSecret::new("s3cret").unwrap()).build().unwrap().identity()
}

/// Returns tokens that HubSpot has just issued, for half an hour.
pub(crate) fn tokens(access_token: &str) -> TokenSet {
    let mut tokens = TokenSet::new(AccessToken::new(access_token).unwrap(), 1800, NOW);
    tokens.refresh_token = Some(RefreshToken::new(format!("refresh-{access_token}")).unwrap());
    tokens
}

/// Returns the tokens `new` of a run that could not save them.
pub(crate) fn unsaved() -> Unsaved {
    let record = Record::new(GrantId::generate(&mut Random::new([1; 32])), tokens("old"));
    let mut run = Renewal::new(RenewalPolicy::new(), app(), ACCOUNT, Random::new([2; 32]), Demand::Newer);
    let (mut now, mut has_sent) = (NOW, false);
    let mut step = run.start(now);
    loop {
        let input = match step {
            Step::Done(_) => return Unsaved::Renewal(run.into_unsaved().unwrap()),
            Step::Load { .. } | Step::Swap { .. } if has_sent => {
                Input::StoreFailed(StoreError::new(StoreErrorKind::Unavailable))
            }
            Step::Load { .. } => Input::Loaded(Some(Stored { version: 1, record: record.clone() })),
            Step::Swap { .. } => Input::Stored(2),
            Step::Send { .. } => {
                has_sent = true;
                Input::Refreshed { response: Ok(tokens("new")), is_mass_refusal: false }
            }
            Step::Admit { .. } => Input::Admit { waited: false },
            Step::Sleep(time) => {
                now = now.plus(time);
                Input::Slept
            }
            Step::Introspect(_) | Step::Revoke(_) => panic!("nothing is to be asked or revoked"),
        };
        step = run.resume(now, input);
    }
}
