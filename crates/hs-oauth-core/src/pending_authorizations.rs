//! The authorizations that one browser has under way.

use serde::{Deserialize, Serialize};

use crate::callback::{self, AuthorizationCode, CallbackError, PendingAuthorization};
use crate::timestamp::Timestamp;

/// What an application stores in a browser's session: the authorizations that are under way, one for each tab with the consent page.
///
/// A callback finds its own by the `state`. It is taken out before its code is exchanged. So a page that is loaded again sends no code a
/// second time, for which HubSpot may take back the tokens (RFC 6749 §4.1.2), but gets [`CallbackError::NotPending`].
///
/// ```
/// use std::time::SystemTime;
/// use hs_oauth_core::{App, Authorize, ClientSecret, PendingAuthorizations, Scopes};
///
/// let app = App::hubspot("client-id", ClientSecret::new("s3cret")?)
///     .with_redirect_uri("https://myapp.example.com/oauth/callback")
///     .build()?;
/// let mut session = PendingAuthorizations::new();
///
/// let now = SystemTime::now().into();
/// let authorization = Authorize::new(Scopes::from_names(["oauth"])?).begin(&app, now)?;
/// session.insert(now, authorization.pending); // and redirect the browser to `authorization.url`
///
/// let query = "code=abc&state=from-somewhere-else"; // the callback's
/// assert!(session.accept(now, query).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It is serialized as the array of its authorizations, the oldest first. It has secrets in it, so the browser must not be able to read
/// the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PendingAuthorizations(Vec<PendingAuthorization>);

/// The most authorizations that a browser has under way.
const MAX_PENDING: usize = 10;

/// The most bytes that several authorizations take as JSON, so that a session fits into a cookie.
const MAX_SIZE: usize = 3 * 1024;

impl PendingAuthorizations {
    /// Returns the authorizations of a browser that has none under way.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts in an authorization that has begun. `now` is the time.
    ///
    /// Those that have become too old are taken out. If there are more than ten, or if they take more than 3 KiB as JSON, which the names
    /// of many scopes may, the oldest are, too. The one that is put in always stays.
    pub fn insert(&mut self, now: Timestamp, pending: PendingAuthorization) {
        self.0.retain(|pending| now < pending.expires_at());
        self.0.push(pending);
        let newest_first = self.0.iter().rev().take(MAX_PENDING);
        let sizes = newest_first.scan(0, |size, pending| {
            *size += pending.stored_size();
            Some(*size)
        });
        let kept = sizes.take_while(|size| *size < MAX_SIZE).count().max(1);
        let surplus = self.0.len().saturating_sub(kept);
        self.0.drain(..surplus);
    }

    /// Reads the query of a callback (`code=…&state=…`, with or without the `?`). Returns the code if the callback belongs to one of the
    /// authorizations, and takes that one out. `now` is the time of the callback.
    ///
    /// Store the session before you exchange the code.
    ///
    /// # Errors
    /// [`CallbackError::NotPending`] if none has the callback's `state`. Otherwise the errors of [`PendingAuthorization::accept`]. After
    /// them the authorization stays in and can still be completed, unless it is too old.
    pub fn accept(&mut self, now: Timestamp, query: &str) -> Result<AuthorizationCode, CallbackError> {
        let state = callback::state(query)?;
        // States are compared in constant time. That one matches, and which, is no secret from somebody who knows it.
        let at = self.0.iter().position(|pending| *pending.state() == state);
        let (at, pending) = at.and_then(|at| Some((at, self.0.get(at)?))).ok_or(CallbackError::NotPending)?;
        let accepted = pending.accept(now, query);
        if matches!(accepted, Ok(_) | Err(CallbackError::Expired)) {
            self.0.remove(at);
        }
        accepted
    }

    /// Returns whether no authorization is under way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of authorizations under way.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::{NextStep, OAuthCode};
    use crate::secret::{CodeVerifier, State};

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn begin(number: u8, now: Timestamp) -> PendingAuthorization {
        let redirect_uri = format!("https://myapp.example.com/{number}");
        let verifier = Some(CodeVerifier::from_random(&[number; 32]));
        PendingAuthorization::new(State::from_random(&[number; 32]), verifier, redirect_uri, now, HOUR)
    }

    fn query(number: u8) -> String {
        format!("code=code-{number}&state={}", State::from_random(&[number; 32]).expose())
    }

    fn with(numbers: impl IntoIterator<Item = u8>) -> PendingAuthorizations {
        let mut session = PendingAuthorizations::new();
        numbers.into_iter().for_each(|number| session.insert(NOW, begin(number, NOW)));
        session
    }

    #[test]
    fn tabs_are_finished_in_any_order_and_each_gets_its_own_code() {
        let mut session = with([1, 2, 3]);
        for number in [2, 3, 1] {
            let code = session.accept(NOW, &query(number)).unwrap();
            assert_eq!(code.code().expose(), format!("code-{number}"));
            assert_eq!(code.redirect_uri(), format!("https://myapp.example.com/{number}"));
        }
        assert!(session.is_empty());
    }

    /// RFC 6749 §4.1.2: a code used twice may cost all tokens issued for it.
    #[test]
    fn a_callback_that_is_loaded_again_gives_no_code_and_says_so() {
        let mut session = with([1, 2]);
        session.accept(NOW, &query(1)).unwrap();
        let again = session.accept(NOW, &query(1)).unwrap_err();
        assert_eq!((&again, again.next_step()), (&CallbackError::NotPending, NextStep::RestartAuthorization));
        assert!(again.to_string().contains("may have been completed already"), "{again}");
        assert_eq!(session, with([2]));
    }

    #[test]
    fn a_callback_that_gives_no_code_leaves_the_authorization_for_the_right_one() {
        let mut session = with([1]);
        let state = State::from_random(&[1; 32]);
        let state = state.expose();
        for (query, error) in [
            (String::new(), CallbackError::Missing("state")),
            (format!("state={state}&state={state}&code=a"), CallbackError::Repeated("state")),
            (format!("state={state}"), CallbackError::Missing("code")),
            (
                format!("state={state}&error=access_denied"),
                CallbackError::Refused { error: OAuthCode::AccessDenied, description: None },
            ),
            (query(2), CallbackError::NotPending),
            ("a=".repeat(callback::MAX_CALLBACK_SIZE), CallbackError::TooLong),
        ] {
            assert_eq!(session.accept(NOW, &query), Err(error));
        }
        assert!(session.accept(NOW, &query(1)).is_ok());
    }

    #[test]
    fn an_authorization_that_is_too_old_is_refused_and_taken_out() {
        let mut session = with([1, 2]);
        assert_eq!(session.accept(NOW.plus(HOUR), &query(1)), Err(CallbackError::Expired));
        assert_eq!(session.len(), 1);
        session.insert(NOW.plus(HOUR), begin(3, NOW.plus(HOUR)));
        assert_eq!(session.len(), 1, "the other one has gone as well");
        assert!(session.accept(NOW.plus(HOUR), &query(3)).is_ok());
    }

    #[test]
    fn a_browser_that_begins_again_and_again_fits_into_its_session() {
        let session = with(0..200);
        assert_eq!(session, with(190..200));
        let stored = serde_json::to_string(&session).unwrap();
        assert!(stored.starts_with('[') && stored.len() < 3 * 1024, "{}", stored.len());
        assert_eq!(serde_json::from_str::<PendingAuthorizations>(&stored).unwrap(), session);
    }

    /// RFC 6265 §6.1: a browser may drop a cookie that is longer than 4096 bytes, and the callback would find nothing that is pending.
    #[test]
    fn a_browser_that_begins_again_with_many_scopes_fits_into_its_session_too() {
        let scope = "crm.objects.contacts.read ".repeat(30);
        for (length, kept) in [(26, 10), (260, 5), (780, 2), (4000, 1)] {
            let scope = scope.repeat(6).get(..length).unwrap().trim_end().to_owned();
            let mut session = PendingAuthorizations::new();
            for number in 0..20 {
                session.insert(NOW, begin(number, NOW).asking_for(scope.clone(), String::new()));
            }
            let size = serde_json::to_string(&session).unwrap().len();
            assert_eq!(session.len(), kept, "{length} {size}");
            assert!(size < MAX_SIZE || kept == 1, "{size}");
            assert!(session.accept(NOW, &query(19)).is_ok(), "the newest one stays");
        }
    }
}
