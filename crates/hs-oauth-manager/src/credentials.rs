//! The credential with which requests are sent, while it is replaced.
//!
//! HubSpot accepts the old client secret for a while after a new one was made. The fleet's processes learn of the new one one by one, and
//! HubSpot's own servers may, too. So for a while both are accepted here: whichever HubSpot refuses, the request is sent once more with the
//! other. A request whose credential was refused has changed nothing at HubSpot.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hs_oauth_core::renewal::RetryCause;
use hs_oauth_core::{App, AppIdentity, Credential, Error};

/// The app with its credential, which may be replaced. It is shared by a client and its clones.
pub struct Credentials(Mutex<State>);

struct State {
    app: Arc<App>,
    identity: AppIdentity,
    previous: Option<Previous>,
    /// Whether HubSpot refused the credential, and no event has been emitted for it.
    has_unreported_refusal: bool,
}

/// The app with the credential that was replaced.
struct Previous {
    app: Arc<App>,
    until: Instant,
    /// When HubSpot last refused the credential that replaced it.
    refused_at: Option<Instant>,
}

/// How long a credential that was replaced is still used if HubSpot refuses the new one.
const OVERLAP: Duration = Duration::from_secs(60 * 60);

/// How long the old credential is used after a refusal, before the new one is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

impl Credentials {
    /// Returns the credential of this app, which nothing has replaced yet.
    pub fn new(app: &Arc<App>) -> Self {
        Self(Mutex::new(State {
            app: Arc::clone(app),
            identity: app.identity(),
            previous: None,
            has_unreported_refusal: false,
        }))
    }

    /// Returns the app with the credential for a request that begins now: the new one, unless HubSpot has just refused it.
    pub fn app(&self, now: Instant) -> Arc<App> {
        let mut state = self.lock();
        state.previous.take_if(|previous| previous.until <= now);
        let is_refused = |previous: &&Previous| {
            previous.refused_at.is_some_and(|at| now.saturating_duration_since(at) < REFUSED_PAUSE)
        };
        let previous = state.previous.as_ref().filter(is_refused);
        Arc::clone(previous.map_or(&state.app, |previous| &previous.app))
    }

    /// Returns what a renewal has to know of the app, with the fingerprint of the new credential.
    pub fn identity(&self) -> AppIdentity {
        self.lock().identity.clone()
    }

    /// Replaces the credential. The one before it is used for an hour if HubSpot refuses the new one.
    pub fn replace(&self, credential: Credential, now: Instant) {
        let mut state = self.lock();
        if *state.app.credential() == credential {
            return;
        }
        let app = Arc::new(state.app.with_credential(credential));
        state.identity = app.identity();
        let old = std::mem::replace(&mut state.app, app);
        // A credential that HubSpot refuses is not worth keeping: the one that works is that before it.
        let last_accepted = match state.previous.take() {
            Some(previous) if previous.refused_at.is_some() && previous.until > now => previous.app,
            _ => old,
        };
        state.previous = Some(Previous { app: last_accepted, until: now + OVERLAP, refused_at: None });
        state.has_unreported_refusal = false;
    }

    /// Notes the response to a request that was sent with `used`. Returns the app with the other credential if HubSpot refused this one and
    /// may accept the other: the request is then to be sent once more.
    pub fn other<T>(&self, used: &Arc<App>, result: &Result<T, Error>, now: Instant) -> Option<Arc<App>> {
        let is_refused =
            result.as_ref().is_err_and(|error| RetryCause::of(error) == RetryCause::ClientRefused);
        let mut state = self.lock();
        let State { app, previous, has_unreported_refusal, .. } = &mut *state;
        let is_current = Arc::ptr_eq(used, app);
        match previous {
            Some(before) if is_current && !is_refused => {
                if result.is_ok() {
                    before.refused_at = None;
                }
                None
            }
            Some(before) if is_current && before.until > now => {
                *has_unreported_refusal |= before.refused_at.is_none();
                before.refused_at = Some(now);
                Some(Arc::clone(&before.app))
            }
            _ if is_current || !is_refused => None,
            // It was sent with a credential that has been replaced, and HubSpot accepts that no more.
            _ => {
                let was_tried = previous.take().is_some_and(|before| before.refused_at.is_some());
                (!was_tried).then(|| Arc::clone(app))
            }
        }
    }

    /// Returns whether HubSpot has refused a new credential, once for each.
    pub(crate) fn take_refusal(&self) -> bool {
        std::mem::take(&mut self.lock().has_unreported_refusal)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("app", &self.lock().app).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::http::StatusCode;
    use hs_oauth_core::{ApiError, ClientSecret, HubSpotCode, Operation};

    use super::*;

    fn secret(text: &str) -> Credential {
        ClientSecret::new(text).unwrap().into()
    }

    /// Returns credentials that were replaced at that moment.
    fn replaced() -> (Credentials, Instant) {
        let app = App::hubspot("id", secret("old")).build().unwrap();
        let (credentials, now) = (Credentials::new(&Arc::new(app)), Instant::now());
        credentials.replace(secret("new"), now);
        (credentials, now)
    }

    fn refused() -> Result<(), Error> {
        let mut error = ApiError::new(Operation::Refresh, StatusCode::UNAUTHORIZED);
        error.code = Some(HubSpotCode::BadClientSecret);
        Err(error.into())
    }

    #[track_caller]
    fn assert_used(app: &App, text: &str) {
        assert!(*app.credential() == secret(text), "not {text}");
    }

    #[test]
    fn new_requests_are_sent_with_the_new_credential_and_back_offs_count_for_it() {
        let (credentials, now) = replaced();
        let app = credentials.app(now);
        assert_used(&app, "new");
        assert_eq!(credentials.identity(), app.identity());
        assert!(credentials.other(&app, &Ok(()), now).is_none());
        assert!(!credentials.take_refusal());
    }

    #[test]
    fn while_hubspot_refuses_the_new_one_the_old_one_is_used_and_the_new_one_tried_once_a_minute() {
        let (credentials, now) = replaced();
        let new = credentials.app(now);
        assert_used(&credentials.other(&new, &refused(), now).unwrap(), "old");
        assert!(credentials.take_refusal() && !credentials.take_refusal(), "it is reported once");
        assert_used(&credentials.app(now + REFUSED_PAUSE / 2), "old");
        let later = now + REFUSED_PAUSE;
        assert_used(&credentials.app(later), "new");
        assert_used(&credentials.other(&new, &refused(), later).unwrap(), "old");
        assert!(!credentials.take_refusal(), "it has been reported");
        credentials.other(&new, &Ok(()), later);
        assert_used(&credentials.app(later), "new");
    }

    #[test]
    fn a_request_that_was_under_way_with_the_old_one_is_sent_again_with_the_new_one_if_the_old_one_has_ended()
    {
        let app = App::hubspot("id", secret("old")).build().unwrap();
        let (credentials, now) = (Credentials::new(&Arc::new(app)), Instant::now());
        let old = credentials.app(now);
        credentials.replace(secret("new"), now);
        assert_used(&credentials.other(&old, &refused(), now).unwrap(), "new");
        let new = credentials.app(now);
        assert!(credentials.other(&new, &refused(), now).is_none(), "the old one has ended");
    }

    #[test]
    fn if_both_are_refused_the_request_is_sent_twice_and_no_more() {
        let (credentials, now) = replaced();
        let new = credentials.app(now);
        let old = credentials.other(&new, &refused(), now).unwrap();
        assert!(credentials.other(&old, &refused(), now).is_none());
        assert_used(&credentials.app(now), "new");
    }

    #[test]
    fn an_hour_after_it_was_replaced_the_old_one_is_forgotten() {
        let (credentials, now) = replaced();
        let new = credentials.app(now);
        let later = now + OVERLAP;
        assert!(credentials.other(&new, &refused(), later).is_none());
        assert_used(&credentials.app(later), "new");
    }

    /// HUBSPOT.md §6: no other error says that the credential is wrong.
    #[test]
    fn only_a_refusal_of_the_client_leads_to_the_old_one() {
        let (credentials, now) = replaced();
        let new = credentials.app(now);
        for status in [400, 401, 403, 429, 503] {
            let error = ApiError::new(Operation::Refresh, StatusCode::from_u16(status).unwrap());
            assert!(credentials.other(&new, &Err::<(), _>(error.into()), now).is_none(), "{status}");
        }
    }

    #[test]
    fn after_a_wrong_one_was_set_the_one_that_works_is_kept() {
        let (credentials, now) = replaced();
        let new = credentials.app(now);
        assert!(credentials.other(&new, &refused(), now).is_some());
        credentials.replace(secret("corrected"), now);
        let corrected = credentials.app(now);
        assert_used(&corrected, "corrected");
        assert_used(&credentials.other(&corrected, &refused(), now).unwrap(), "old");
    }

    #[test]
    fn the_same_one_again_changes_nothing() {
        let (credentials, now) = replaced();
        let new = credentials.app(now);
        credentials.replace(secret("new"), now);
        assert_used(&credentials.other(&new, &refused(), now).unwrap(), "old");
    }
}
