//! Webhooks from HubSpot: the check of their signature, and what they bring.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, OriginalUri, Request, State};
use axum::http::StatusCode;
use hs_oauth_async::Account;
use serde::Deserialize;

use crate::log::log;
use crate::site::Site;

/// The most bytes that the body of a webhook may have. HubSpot's have a hundred events at most.
const MAX_BODY: usize = 1024 * 1024;

/// The body of a request that HubSpot has signed, as it came.
pub(crate) struct Signed(Bytes);

impl FromRequest<Arc<Site>> for Signed {
    type Rejection = StatusCode;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, StatusCode> {
        let now = SystemTime::now().into();
        let (parts, body) = request.into_parts();
        // A router inside another one changes the address. HubSpot signed the original one, at the public address.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{path_and_query}", site.public_url);
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        match site.verifier.verify(now, &parts, &url, &body) {
            Ok(_) => Ok(Self(body)),
            Err(error) => {
                log(format_args!("a webhook was refused: {error}"));
                Err(StatusCode::UNAUTHORIZED)
            }
        }
    }
}

/// An event of a webhook, as far as this service uses it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    portal_id: i64,
    pub(crate) subscription_type: String,
    pub(crate) object_id: Option<i64>,
}

pub(crate) async fn receive(State(site): State<Arc<Site>>, Signed(body): Signed) -> StatusCode {
    match serde_json::from_slice::<Vec<Event>>(&body) {
        Ok(events) => {
            site.news.add(events);
            StatusCode::NO_CONTENT
        }
        Err(error) => {
            log(format_args!("a webhook was not understood: {error}"));
            StatusCode::BAD_REQUEST
        }
    }
}

/// The newest events of all accounts, the newest first.
#[derive(Default)]
pub(crate) struct News(Mutex<VecDeque<Event>>);

impl News {
    const MAX: usize = 1000;

    fn add(&self, events: Vec<Event>) {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.into_iter().for_each(|event| news.push_front(event));
        news.truncate(Self::MAX);
    }

    /// Returns the newest ten events of an account.
    pub(crate) fn of(&self, account: Account) -> Vec<Event> {
        let news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        news.iter().filter(|event| event.portal_id == account.hub_id).take(10).cloned().collect()
    }
}
