//! Installs that begin on HubSpot's Marketplace, and the legs of them that come to the app's redirect URI.

mod return_url;
mod unconfirmed;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use return_url::ReturnUrl;
pub use unconfirmed::{ExchangeUnconfirmed, UnconfirmedInstall, UnconfirmedTokens};

use crate::app::App;
use crate::authorize::Randomness;
#[cfg(feature = "os-random")]
use crate::authorize::{BeginError, MAX_AGE};
use crate::callback::{
    AuthorizationCode, CallbackError, MAX_CALLBACK_SIZE, PendingAuthorization, parameter, state,
};
use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::pending_authorizations::PendingAuthorizations;
use crate::secret::{Code, State};
use crate::timestamp::Timestamp;

/// What a request to the app's redirect URI is a part of ("Install from the Marketplace" in HubSpot's documentation).
///
/// ```
/// # use hs_oauth_core::{App, CallbackError, CallbackLeg, ClientSecret, PendingAuthorizations, Timestamp};
/// # fn example(app: &App, now: Timestamp, session: &mut PendingAuthorizations, query: &str) -> Result<(), Box<dyn std::error::Error>> {
/// match CallbackLeg::read(app, now, query)? {
///     CallbackLeg::Authorized => {
///         let code = session.accept(now, query)?; // and install it
///     }
///     CallbackLeg::SignIn(sign_in) => {
///         // Keep `sign_in` in the session until the person is signed in, or has signed up. Then:
///         let begun = sign_in.begin(app, now)?;
///         session.insert(now, begun.pending); // and redirect the browser to `begun.url`
///     }
///     CallbackLeg::Finalize(finalize) => {
///         let code = finalize.accept(now, session)?; // and install it
///         finalize.return_url(); // and redirect the browser to that
///     }
///     CallbackLeg::Unconfirmed(install) => {
///         // Show the account to the person who is signed in, and let them confirm that it is theirs.
///         let exchange = install.exchange(now)?;
///     }
///     _ => return Err("a leg that this application does not know".into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackLeg<'q> {
    /// The end of an authorization that this application began: [`PendingAuthorizations::accept`] takes the query.
    Authorized,
    /// The beginning of an install from the Marketplace, for an app with sign-in: `step=authorize`.
    SignIn(MarketplaceSignIn),
    /// The end of one: `step=finalize`.
    Finalize(MarketplaceFinalize<'q>),
    /// An install from the Marketplace for an app without sign-in: a code without a `state`.
    Unconfirmed(UnconfirmedInstall),
}

/// The first leg of an install from the Marketplace with sign-in. The person has to sign in at the application, or sign up.
///
/// It can be serialized, for the time until they have. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an install from the Marketplace")]
pub struct MarketplaceSignIn {
    #[serde(rename = "return_url")]
    return_url: ReturnUrl,
}

/// An install from the Marketplace whose person has signed in.
#[derive(Clone, Debug)]
pub struct MarketplaceAuthorization {
    /// The address at HubSpot to send the browser to. It has the `state` in it.
    pub url: ReturnUrl,
    /// What the application stores in the session of the person who is signed in until the last leg, which finds it by its `state`.
    ///
    /// The session's cookie has to be `SameSite=None; Secure`, since the browser comes from HubSpot's pages. When somebody else signs in,
    /// or the person signs out, it must be gone.
    pub pending: PendingAuthorization,
}

/// The last leg of an install from the Marketplace with sign-in.
#[derive(Clone, PartialEq, Eq)]
pub struct MarketplaceFinalize<'q> {
    query: &'q str,
    return_url: ReturnUrl,
}

impl<'q> CallbackLeg<'q> {
    /// Reads the query of a request to the redirect URI of `app`, with or without the `?`. `now` is the time of the request.
    ///
    /// Nothing is used up by that, and no `state` is checked yet.
    ///
    /// # Errors
    /// - [`CallbackError::ForgedReturnUrl`] if it would send the browser anywhere but to HubSpot. Redirect nowhere then, and install
    ///   nothing.
    /// - [`CallbackError::Missing`], [`Repeated`](CallbackError::Repeated) or [`Malformed`](CallbackError::Malformed) if the query is
    ///   none of the legs: `step` is neither `authorize` nor `finalize`, a step has no `returnUrl`, or there is neither a code nor a
    ///   `state`.
    /// - [`CallbackError::TooLong`] if it has more than [`MAX_CALLBACK_SIZE`] bytes.
    /// - [`CallbackError::App`] if the app has no redirect URI.
    pub fn read(app: &App, now: Timestamp, query: &'q str) -> Result<Self, CallbackError> {
        if query.len() > MAX_CALLBACK_SIZE {
            return Err(CallbackError::TooLong);
        }
        let step = parameter(query, "step")?;
        match step.as_deref() {
            None => {}
            Some("authorize") => {
                return Ok(Self::SignIn(MarketplaceSignIn { return_url: required_return_url(app, query)? }));
            }
            Some("finalize") => {
                state(query)?;
                let return_url = required_return_url(app, query)?;
                return Ok(Self::Finalize(MarketplaceFinalize { query, return_url }));
            }
            Some(_) => return Err(CallbackError::Malformed("step")),
        }
        if parameter(query, "state")?.is_some() {
            return Ok(Self::Authorized);
        }
        // Without a code, it is a callback whose `state` was lost.
        let code = parameter(query, "code")?.ok_or(CallbackError::Missing("state"))?;
        let return_url = return_url(app, query)?;
        let code = Code::new(code).map_err(|_| CallbackError::Malformed("code"))?;
        let redirect_uri = redirect_uri(app).map_err(CallbackError::App)?;
        Ok(Self::Unconfirmed(UnconfirmedInstall::new(code, redirect_uri, return_url, now)))
    }
}

impl MarketplaceSignIn {
    /// Begins the authorization of the person who has signed in, with random bytes from the operating system. `now` is the time, from
    /// which its age counts: it is accepted for an hour.
    ///
    /// # Errors
    /// [`BeginError`] if the app has no redirect URI, or if the operating system gives no random bytes.
    #[cfg(feature = "os-random")]
    pub fn begin(&self, app: &App, now: Timestamp) -> Result<MarketplaceAuthorization, BeginError> {
        Ok(self.begin_with(app, now, MAX_AGE, Randomness::from_os()?)?)
    }

    /// Begins the authorization of the person who has signed in, with these random bytes, of which it uses the first 32. `now` is the
    /// time, and it is accepted until `max_age` later.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `redirect_uri` if the app has none.
    pub fn begin_with(
        &self,
        app: &App,
        now: Timestamp,
        max_age: Duration,
        randomness: Randomness,
    ) -> Result<MarketplaceAuthorization, InvalidArgument> {
        let state = State::from_random(randomness.state());
        let url = self.return_url.with_state(&state);
        // HubSpot made the code's authorization, so there is no PKCE.
        let pending = PendingAuthorization::new(state, None, redirect_uri(app)?, now, max_age);
        Ok(MarketplaceAuthorization { url, pending })
    }

    /// Returns the address that HubSpot named.
    pub const fn return_url(&self) -> &ReturnUrl {
        &self.return_url
    }
}

impl MarketplaceFinalize<'_> {
    /// Returns the code, if one of the authorizations in the session of the person who is signed in has the callback's `state`, and
    /// takes that one out. `now` is the time of the callback.
    ///
    /// Store the session before you exchange the code. After the install, redirect the browser to [`return_url`](Self::return_url).
    ///
    /// # Errors
    /// Those of [`PendingAuthorizations::accept`].
    pub fn accept(
        &self,
        now: Timestamp,
        session: &mut PendingAuthorizations,
    ) -> Result<AuthorizationCode, CallbackError> {
        session.accept(now, self.query)
    }

    /// Returns the address to which the browser has to go after the install. If it does not go there, HubSpot begins again.
    pub const fn return_url(&self) -> &ReturnUrl {
        &self.return_url
    }
}

impl std::fmt::Debug for MarketplaceFinalize<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MarketplaceFinalize").field("return_url", &self.return_url).finish_non_exhaustive()
    }
}

fn redirect_uri(app: &App) -> Result<String, InvalidArgument> {
    let missing = InvalidArgument::new("redirect_uri", InvalidArgumentKind::Missing);
    app.redirect_uri().map(str::to_owned).ok_or(missing)
}

fn required_return_url(app: &App, query: &str) -> Result<ReturnUrl, CallbackError> {
    return_url(app, query)?.ok_or(CallbackError::Missing("returnUrl"))
}

fn return_url(app: &App, query: &str) -> Result<Option<ReturnUrl>, CallbackError> {
    let Some(url) = parameter(query, "returnUrl")? else { return Ok(None) };
    let secret = |name| parameter(query, name).ok().flatten().unwrap_or_default();
    ReturnUrl::read(app, &url, [&secret("code"), &secret("state")]).map(Some)
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;
    use crate::endpoint::Endpoint as _;
    use crate::error::NextStep;
    use crate::secret::ClientSecret;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
    const REDIRECT_URI: &str = "https://myapp.example.com/cb";
    const RETURN: &str = "returnUrl=https%3A%2F%2Fapp-eu1.hubspot.com%2Finstall%3Fapp%3D7";
    const HOUR: Duration = Duration::from_secs(3600);

    fn app() -> App {
        App::hubspot("id", ClientSecret::new("s3cret").unwrap())
            .with_redirect_uri(REDIRECT_URI)
            .build()
            .unwrap()
    }

    fn read(query: &str) -> Result<CallbackLeg<'_>, CallbackError> {
        CallbackLeg::read(&app(), NOW, query)
    }

    fn begin(seed: u8) -> MarketplaceAuthorization {
        let query = format!("?step=authorize&{RETURN}");
        let Ok(CallbackLeg::SignIn(sign_in)) = read(&query) else { panic!("{query}") };
        // The session is stored while the person signs up.
        let stored = serde_json::to_string(&sign_in).unwrap();
        let sign_in: MarketplaceSignIn = serde_json::from_str(&stored).unwrap();
        sign_in.begin_with(&app(), NOW, HOUR, Randomness::new([seed; 32], [0; 32])).unwrap()
    }

    fn unconfirmed(query: &str) -> UnconfirmedInstall {
        let Ok(CallbackLeg::Unconfirmed(install)) = read(query) else { panic!("{query}") };
        install
    }

    /// "With partner sign-in": authorize, sign in, state, finalize, back to HubSpot.
    #[test]
    fn an_install_with_sign_in_goes_through_all_its_legs() {
        let begun = begin(7);
        let state = begun.pending.state().expose().to_owned();
        assert_eq!(begun.url.as_str(), format!("https://app-eu1.hubspot.com/install?app=7&state={state}"));

        let mut session = PendingAuthorizations::new();
        session.insert(NOW, begun.pending);
        let query = format!("step=finalize&code=c-1&state={state}&{RETURN}");
        let Ok(CallbackLeg::Finalize(finalize)) = read(&query) else { panic!("{query}") };
        let code = finalize.accept(NOW, &mut session).unwrap();
        assert_eq!((code.code().expose(), code.redirect_uri()), ("c-1", REDIRECT_URI));
        assert_eq!(code.code_verifier(), None);
        assert_eq!(finalize.return_url().as_str(), "https://app-eu1.hubspot.com/install?app=7");
        // The page is loaded again.
        assert_eq!(finalize.accept(NOW, &mut session), Err(CallbackError::NotPending));
    }

    /// RFC 6749 §10.12.
    #[test]
    fn the_last_leg_gives_no_code_without_the_state_of_the_session_or_after_its_time() {
        let other = begin(8).pending.state().expose().to_owned();
        let begun = begin(7);
        let mut session = PendingAuthorizations::new();
        let mine = begun.pending.state().expose().to_owned();
        session.insert(NOW, begun.pending);
        let finalize = |session: &mut PendingAuthorizations, now, state: &str| {
            let query = format!("step=finalize&code=c-1&state={state}&{RETURN}");
            let Ok(CallbackLeg::Finalize(finalize)) = CallbackLeg::read(&app(), now, &query) else {
                panic!()
            };
            finalize.accept(now, session)
        };
        assert_eq!(finalize(&mut session, NOW, &other), Err(CallbackError::NotPending));
        let mut nobody = PendingAuthorizations::new();
        assert_eq!(finalize(&mut nobody, NOW, &mine), Err(CallbackError::NotPending));
        assert_eq!(finalize(&mut session, NOW.plus(HOUR), &mine), Err(CallbackError::Expired));
        assert!(
            read(&format!("step=finalize&code=c-1&{RETURN}"))
                .is_err_and(|error| { error == CallbackError::Missing("state") })
        );
    }

    #[test]
    fn each_query_is_the_leg_that_it_says_and_any_other_one_is_an_error() {
        let leg = |query: &str| {
            read(query).map(|leg| match leg {
                CallbackLeg::Authorized => "authorized",
                CallbackLeg::SignIn(_) => "sign in",
                CallbackLeg::Finalize(_) => "finalize",
                CallbackLeg::Unconfirmed(_) => "unconfirmed",
            })
        };
        let missing = |name| Err(CallbackError::Missing(name));
        for (query, expected) in [
            ("code=c&state=s".to_owned(), Ok("authorized")),
            ("?error=access_denied&state=s".to_owned(), Ok("authorized")),
            (format!("code=c&state=s&{RETURN}"), Ok("authorized")),
            (format!("step=authorize&{RETURN}"), Ok("sign in")),
            (format!("{RETURN}&code=c&step=authorize"), Ok("sign in")),
            (format!("step=finalize&code=c&state=s&{RETURN}"), Ok("finalize")),
            (format!("step=finalize&error=access_denied&state=s&{RETURN}"), Ok("finalize")),
            (format!("code=c&{RETURN}"), Ok("unconfirmed")),
            ("code=c".to_owned(), Ok("unconfirmed")),
            (format!("code=c&state=&{RETURN}"), Ok("unconfirmed")),
            (String::new(), missing("state")),
            (RETURN.to_owned(), missing("state")),
            ("error=access_denied".to_owned(), missing("state")),
            ("step=authorize".to_owned(), missing("returnUrl")),
            ("step=authorize&returnUrl=".to_owned(), missing("returnUrl")),
            ("step=finalize&code=c&state=s".to_owned(), missing("returnUrl")),
            (format!("step=finalize&code=c&{RETURN}"), missing("state")),
            (format!("step=other&code=c&state=s&{RETURN}"), Err(CallbackError::Malformed("step"))),
            (format!("step=authorize&step=finalize&{RETURN}"), Err(CallbackError::Repeated("step"))),
            (format!("step=authorize&{RETURN}&{RETURN}"), Err(CallbackError::Repeated("returnUrl"))),
            (format!("code=c&code=d&{RETURN}"), Err(CallbackError::Repeated("code"))),
            ("code=c&state=s&state=t".to_owned(), Err(CallbackError::Repeated("state"))),
            ("code=c%0a".to_owned(), Err(CallbackError::Malformed("code"))),
            ("a=".repeat(MAX_CALLBACK_SIZE), Err(CallbackError::TooLong)),
        ] {
            assert_eq!(leg(&query), expected, "{query}");
        }
    }

    /// Open redirects, and installs that would never come back to HubSpot.
    #[test]
    fn a_forged_return_url_ends_every_leg() {
        let forged = "returnUrl=https%3A%2F%2Fevil.example%2F%3Fc%3Dthe-code";
        for leg in ["step=authorize", "step=finalize&code=the-code&state=the-state", "code=the-code"] {
            let error = read(&format!("{leg}&{forged}")).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("https://evil.example/?c="), "{text}");
            assert_eq!(text.contains("the-code"), leg == "step=authorize", "{text}");
            assert_eq!(error.next_step(), NextStep::RestartAuthorization);
        }
    }

    /// RFC 6749 §10.12: a planted link would join the attacker's account to the session of whoever follows it.
    #[test]
    fn a_code_without_a_state_is_given_up_only_after_it_was_confirmed_and_in_its_time() {
        let install = unconfirmed(&format!("code=the-code&{RETURN}"));
        assert!(!format!("{install:?}").contains("the-code"));
        let stored = serde_json::to_string(&install).unwrap();
        let install: UnconfirmedInstall = serde_json::from_str(&stored).unwrap();
        assert_eq!(install.return_url().unwrap().as_str(), "https://app-eu1.hubspot.com/install?app=7");
        assert_eq!(install.expires_at(), NOW.plus(HOUR));

        let late = install.expires_at();
        assert_eq!(install.clone().code_confirmed_by_signed_in_person(late), Err(CallbackError::Expired));
        assert_eq!(install.exchange(late), Err(CallbackError::Expired));
        let code = install.code_confirmed_by_signed_in_person(NOW).unwrap();
        assert_eq!((code.code().expose(), code.redirect_uri()), ("the-code", REDIRECT_URI));
    }

    #[test]
    fn the_account_of_an_unconfirmed_install_can_be_shown_and_kept_or_revoked() {
        let exchange = unconfirmed(&format!("code=the-code&{RETURN}")).exchange(NOW).unwrap();
        let request = exchange.to_http(&app());
        let body = String::from_utf8(request.body().clone()).unwrap();
        assert!(body.contains("grant_type=authorization_code") && body.contains("code=the-code"), "{body}");
        let response = Response::new(
            br#"{"access_token":"CK-1","refresh_token":"na1-2","token_type":"bearer","expires_in":1800,"hub_id":7,"scopes":["oauth"]}"#,
        );
        let tokens = exchange.read_response(&app(), NOW, &response).unwrap();
        assert!(!format!("{tokens:?}").contains("na1-2"));
        let stored = serde_json::to_string(&tokens).unwrap();
        let tokens: UnconfirmedTokens = serde_json::from_str(&stored).unwrap();
        assert_eq!((tokens.hub_id(), tokens.scopes().unwrap().to_string()), (Some(7), "oauth".to_owned()));
        assert_eq!(tokens.introspect().token().expose(), "CK-1");
        assert_eq!(tokens.revoke().unwrap().refresh_token().expose(), "na1-2");
        assert_eq!(tokens.tokens_confirmed_by_signed_in_person().refresh_token.unwrap().expose(), "na1-2");

        let refused = Response::builder().status(400).body(br#"{"status":"BAD_AUTH_CODE"}"#).unwrap();
        let error = exchange.read_response(&app(), NOW, &refused).unwrap_err();
        assert_eq!(error.next_step(), NextStep::RestartAuthorization);
    }

    #[test]
    fn an_app_without_a_redirect_uri_cannot_install_from_the_marketplace() {
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let error = CallbackLeg::read(&app, NOW, "code=c").unwrap_err();
        assert_eq!(error.to_string(), "`redirect_uri` is missing or empty");
        assert_eq!(error.next_step(), NextStep::FixConfiguration);
        let query = format!("step=authorize&{RETURN}");
        let Ok(CallbackLeg::SignIn(sign_in)) = CallbackLeg::read(&app, NOW, &query) else { panic!() };
        let begun = sign_in.begin_with(&app, NOW, HOUR, Randomness::new([1; 32], [0; 32]));
        assert_eq!(begun.unwrap_err().argument, "redirect_uri");
    }

    #[test]
    fn nothing_of_a_marketplace_install_shows_a_secret() {
        let begun = begin(7);
        let state = begun.pending.state().expose();
        let query = format!("step=finalize&code=the-code&state={state}&{RETURN}");
        let shown = format!("{:?} {begun:?}", read(&query).unwrap());
        assert!(!shown.contains("the-code") && !shown.contains(state), "{shown}");
    }

    #[cfg(feature = "os-random")]
    #[test]
    fn two_installs_do_not_share_their_state() {
        let sign_in = || {
            let Ok(CallbackLeg::SignIn(sign_in)) = read("step=authorize&returnUrl=https://app.hubspot.com/")
            else {
                panic!()
            };
            sign_in.begin(&app(), NOW).unwrap()
        };
        assert_ne!(sign_in().pending.state(), sign_in().pending.state());
    }
}
