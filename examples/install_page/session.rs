//! The session of a browser. The browser has a random name for it in a cookie, and everything else is in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hs_oauth_async::PendingAuthorizations;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use crate::marketplace::Unconfirmed;
use crate::problem::Problem;
use crate::site::Site;

/// How long a session lasts that nobody uses.
const MAX_IDLE: Duration = Duration::from_secs(8 * 60 * 60);
/// The most sessions that are kept. One more ends the one that nobody has used for longest.
const MAX_SESSIONS: usize = 10_000;

pub(crate) struct Sessions {
    by_name: Mutex<HashMap<String, Visitor>>,
    https: bool,
}

/// The session of the browser that sent the request.
#[derive(Clone)]
pub(crate) struct Visitor(Arc<Mutex<Session>>);

pub(crate) struct Session {
    /// Who has signed in.
    pub(crate) person: Option<String>,
    /// The page that was asked for without having signed in.
    pub(crate) next_page: Option<String>,
    pub(crate) pending: PendingAuthorizations,
    pub(crate) unconfirmed: Option<Unconfirmed>,
    /// In every form of this session, so that no other site can send one.
    csrf_token: String,
    needs_name: bool,
    last_used: Instant,
}

/// A form of this session: it has the session's token in it.
pub(crate) struct SafeForm<T>(pub(crate) T);

/// A form without fields but the token.
#[derive(Deserialize)]
pub(crate) struct NoFields {}

/// The person who has signed in. Without one, the browser goes to the start page.
pub(crate) struct SignedIn(pub(crate) String);

impl Sessions {
    pub(crate) fn new(https: bool) -> Self {
        Self { by_name: Mutex::default(), https }
    }

    fn find(&self, name: &str) -> Option<Visitor> {
        let visitor = self.lock().get(name).cloned()?;
        let is_live = visitor.session().touch();
        is_live.then_some(visitor)
    }

    fn replace(&self, old: Option<&str>, new: String, visitor: Visitor) {
        let mut by_name = self.lock();
        old.and_then(|old| by_name.remove(old));
        by_name.retain(|_, visitor| visitor.session().last_used.elapsed() <= MAX_IDLE);
        if by_name.len() >= MAX_SESSIONS {
            let oldest = by_name.iter().min_by_key(|(_, visitor)| visitor.session().last_used);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|oldest| by_name.remove(&oldest));
        }
        by_name.insert(new, visitor);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Visitor>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Browsers send a `Lax` cookie with a page that HubSpot leads to. The Marketplace may open the install in a window of its own, for
    /// which HubSpot asks for `None`. Browsers take that over https only. Forms are safe all the same, by their token.
    fn cookie(&self, name: String) -> Cookie<'static> {
        let same_site = if self.https { SameSite::None } else { SameSite::Lax };
        Cookie::build((self.cookie_name(), name))
            .path("/")
            .http_only(true)
            .secure(self.https)
            .same_site(same_site)
            .build()
    }

    /// Browsers take a `__Host-` cookie from this very host only, and over https.
    fn cookie_name(&self) -> &'static str {
        if self.https { "__Host-install-page" } else { "install-page" }
    }
}

impl Visitor {
    fn new() -> Result<Self, Problem> {
        Ok(Self(Arc::new(Mutex::new(Session::new()?))))
    }

    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn csrf_token(&self) -> String {
        self.session().csrf_token.clone()
    }

    /// Signs the person in. The session gets a new name, which nobody can have planted in this browser before. What it has of another
    /// person is gone.
    pub(crate) fn sign_in(&self, person: String) -> Result<(), Problem> {
        let mut new = Session::new()?;
        new.person = Some(person);
        let mut session = self.session();
        if session.person.is_none() || session.person == new.person {
            new.next_page = session.next_page.take();
            new.pending = std::mem::take(&mut session.pending);
            new.unconfirmed = session.unconfirmed.take();
        }
        *session = new;
        Ok(())
    }

    /// Forgets everything that the session has.
    pub(crate) fn sign_out(&self) -> Result<(), Problem> {
        *self.session() = Session::new()?;
        Ok(())
    }
}

impl Session {
    fn new() -> Result<Self, Problem> {
        Ok(Self {
            person: None,
            next_page: None,
            pending: PendingAuthorizations::new(),
            unconfirmed: None,
            csrf_token: random_text()?,
            needs_name: true,
            last_used: Instant::now(),
        })
    }

    /// Notes that the session is used. Returns false if that was too long ago for it to be used again.
    fn touch(&mut self) -> bool {
        let is_live = self.last_used.elapsed() <= MAX_IDLE;
        if is_live {
            self.last_used = Instant::now();
        }
        is_live
    }
}

/// Finds the session of the request, or begins one, and gives it to the handlers as an extension.
pub(crate) async fn with_session(
    State(site): State<Arc<Site>>,
    jar: CookieJar,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let name = jar.get(site.sessions.cookie_name()).map(Cookie::value);
    let visitor = match name.and_then(|name| site.sessions.find(name)) {
        Some(visitor) => visitor,
        None => Visitor::new()?,
    };
    request.extensions_mut().insert(visitor.clone());
    let response = next.run(request).await;
    if !std::mem::take(&mut visitor.session().needs_name) {
        return Ok(response);
    }
    let new = random_text()?;
    site.sessions.replace(name, new.clone(), visitor);
    Ok((CookieJar::new().add(site.sessions.cookie(new)), response).into_response())
}

fn random_text() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for SafeForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct WithToken<T> {
            csrf_token: String,
            #[serde(flatten)]
            form: T,
        }
        let visitor = request.extensions().get::<Visitor>().cloned().ok_or_else(Problem::expired_form)?;
        let form = Form::<WithToken<T>>::from_request(request, state).await;
        let Form(WithToken { csrf_token, form }) = form.map_err(|_| Problem::expired_form())?;
        match bool::from(visitor.csrf_token().as_bytes().ct_eq(csrf_token.as_bytes())) {
            true => Ok(Self(form)),
            false => Err(Problem::expired_form()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Redirect;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Redirect> {
        let home = || Redirect::to("/");
        let visitor = parts.extensions.get::<Visitor>().ok_or_else(home)?;
        let mut session = visitor.session();
        match &session.person {
            Some(person) => Ok(Self(person.clone())),
            None => {
                if parts.method == Method::GET {
                    session.next_page = Some(parts.uri.path().to_owned());
                }
                Err(home())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6265bis §4.1.2 and §4.1.3.
    #[test]
    fn the_cookie_survives_the_way_back_from_hubspot_and_no_script_reads_it() {
        let cookie = Sessions::new(true).cookie("abc".to_owned()).to_string();
        assert_eq!(cookie, "__Host-install-page=abc; HttpOnly; SameSite=None; Secure; Path=/");
        let cookie = Sessions::new(false).cookie("abc".to_owned()).to_string();
        assert_eq!(cookie, "install-page=abc; HttpOnly; SameSite=Lax; Path=/");
    }

    #[test]
    fn a_session_that_nobody_uses_ends() {
        let sessions = Sessions::new(true);
        let visitor = Visitor::new().unwrap();
        sessions.replace(None, "abc".to_owned(), visitor.clone());
        assert!(sessions.find("abc").is_some() && sessions.find("abd").is_none());
        let long_ago = Instant::now().checked_sub(MAX_IDLE + Duration::from_secs(1)).unwrap();
        visitor.session().last_used = long_ago;
        assert!(sessions.find("abc").is_none() && sessions.find("abc").is_none());
        sessions.replace(None, "abe".to_owned(), Visitor::new().unwrap());
        assert_eq!(sessions.lock().len(), 1);
    }

    #[test]
    fn whoever_signs_in_gets_nothing_of_the_person_before() {
        let visitor = Visitor::new().unwrap();
        visitor.session().next_page = Some("/confirm".to_owned());
        visitor.sign_in("Ada".to_owned()).unwrap();
        assert_eq!(visitor.session().next_page.as_deref(), Some("/confirm"), "asked for without a person");
        let token = visitor.csrf_token();
        visitor.sign_in("Bob".to_owned()).unwrap();
        let session = visitor.session();
        assert_eq!((session.person.as_deref(), session.next_page.as_deref()), (Some("Bob"), None));
        assert_ne!(session.csrf_token, token);
    }
}
