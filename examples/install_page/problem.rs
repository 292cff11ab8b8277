//! Pages that say why something did not work, and what the person can do.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hs_oauth_async::{BeginError, CallbackError, Error, InvalidArgument, NextStep, OAuthCode, TokenError};
use maud::html;

use crate::layout::document;
use crate::log::log;

#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    text: Cow<'static, str>,
}

impl Problem {
    const fn new(status: StatusCode, title: &'static str, text: &'static str) -> Self {
        Self { status, title, text: Cow::Borrowed(text) }
    }

    pub(crate) const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", "There is no such page, or it is not yours.")
    }

    pub(crate) const fn invalid(text: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Something is missing", text)
    }

    pub(crate) const fn expired_form() -> Self {
        let text = "The form is not from this session, or the session is over. Nothing was changed. Open the page again.";
        Self::new(StatusCode::FORBIDDEN, "This form has expired", text)
    }

    pub(crate) const fn nothing_left() -> Self {
        let text = "This page was used already, or your session is over. If your account is not on the start page, connect it again.";
        Self::new(StatusCode::OK, "Nothing left to do here", text)
    }

    /// A problem that the person can do nothing about. The cause goes into the log only.
    pub(crate) fn internal(cause: &dyn Display) -> Self {
        log(format_args!("error: {cause}"));
        let text = "We were told about it. Your connections are kept. Please try again later.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong on our side", text)
    }
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        Self::internal(&error)
    }
}

impl From<InvalidArgument> for Problem {
    fn from(error: InvalidArgument) -> Self {
        Self::internal(&error)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<CallbackError> for Problem {
    fn from(error: CallbackError) -> Self {
        match &error {
            CallbackError::Refused { error: OAuthCode::AccessDenied, .. } => {
                let text = "You did not let the app into your HubSpot account. Nothing was changed. You can start again at any time.";
                Self::new(StatusCode::OK, "Not connected", text)
            }
            CallbackError::NotPending => Self::nothing_left(),
            CallbackError::ForgedReturnUrl { url } => {
                log(format_args!("not connected: {error}"));
                let text = format!(
                    "The link wants to send you to {url}, which is not HubSpot. Nothing was connected."
                );
                Self {
                    text: text.into(),
                    ..Self::new(StatusCode::BAD_REQUEST, "This link is not from HubSpot", "")
                }
            }
            _ => by_next_step(error.next_step(), &error),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        by_next_step(error.next_step(), &error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        by_next_step(error.next_step(), &error)
    }
}

fn by_next_step(next: NextStep, error: &dyn Display) -> Problem {
    match next {
        NextStep::Reauthorize => {
            let text = "HubSpot no longer lets the app into this account. Connect the account again.";
            Problem::new(StatusCode::FORBIDDEN, "The connection has ended", text)
        }
        NextStep::RestartAuthorization => {
            log(format_args!("not connected: {error}"));
            let text = "This took too long, or the link was used before. Nothing was changed. Start again.";
            Problem::new(StatusCode::FORBIDDEN, "Not connected", text)
        }
        NextStep::RetryAfter(_) => {
            log(format_args!("busy: {error}"));
            let text = "HubSpot or this service is busy. Nothing was lost. Please try again in a minute.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Please try again", text)
        }
        NextStep::FixConfiguration | NextStep::ReportBug => Problem::internal(error),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let content = html! {
            p { (self.text) }
            p.buttons { a.button href="/" { "Go to the start page" } }
        };
        (self.status, document(self.title, &content)).into_response()
    }
}
