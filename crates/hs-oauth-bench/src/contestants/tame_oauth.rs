//! The crate `tame-oauth`. It knows Google only: it sends to Google's address, and reads three of the fields.

use std::hint::black_box;

use http::{Response, StatusCode};
use tame_oauth::gcp::end_user::{EndUserCredentialsInfo, EndUserCredentialsInner};
use tame_oauth::gcp::{EndUserCredentials, TokenOrRequest, TokenProvider as _};

use crate::given;
use crate::work::{Failure, SharedWork, Task, Work, repeat, repeat_shared};

pub(crate) fn prepare(task: Task) -> Result<Option<Work>, Failure> {
    let provider = EndUserCredentialsInner::new(info());
    match task {
        Task::Build => repeat(move || provider.get_token(scopes())),
        Task::Parse => {
            repeat(move || provider.parse_token_response(0, Response::new(black_box(given::RESPONSE))))
        }
        Task::ParseError => repeat::<_, Failure>(move || {
            let mut response = Response::new(black_box(given::ERROR_RESPONSE));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            match provider.parse_token_response(0, response) {
                Ok(_) => Err("no error".into()),
                Err(error) => Ok(error),
            }
        }),
        Task::Call => repeat::<_, Failure>(move || match provider.get_token(scopes())? {
            TokenOrRequest::Request { request, scope_hash, .. } => {
                drop(black_box(request));
                Ok(provider.parse_token_response(scope_hash, given::response())?)
            }
            TokenOrRequest::Token(_) => Err("a token instead of a request".into()),
        }),
        _ => Ok(None),
    }
}

pub(crate) fn bearer() -> Result<SharedWork, Failure> {
    let credentials = EndUserCredentials::new(info());
    if let TokenOrRequest::Request { scope_hash, .. } = credentials.get_token(scopes())? {
        credentials.parse_token_response(scope_hash, given::response())?;
    }
    Ok(repeat_shared(move || match credentials.get_token(black_box(scopes()))? {
        TokenOrRequest::Token(token) => Ok(token),
        TokenOrRequest::Request { .. } => Err("the token has expired".into()),
    }))
}

fn info() -> EndUserCredentialsInfo {
    EndUserCredentialsInfo {
        client_id: given::CLIENT_ID.to_owned(),
        client_secret: given::CLIENT_SECRET.to_owned(),
        refresh_token: given::REFRESH_TOKEN.to_owned(),
        client_type: "authorized_user".to_owned(),
    }
}

fn scopes() -> &'static [&'static str] {
    &["oauth"]
}
