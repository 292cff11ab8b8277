//! The crate `reqwest`: as in its readme, and with the bodies encoded and read by hand.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use super::floor::{Form, tokens};
use crate::given;
use crate::work::{Failure, Task, Work, repeat_async, runtime};

/// The eight fields of a response with tokens.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "they are read, and that is what is measured")]
pub(super) struct Tokens {
    token_type: String,
    refresh_token: String,
    access_token: String,
    hub_id: i64,
    user_id: i64,
    scopes: Vec<String>,
    expires_in: u64,
    token_use: String,
}

pub(crate) fn prepare(task: Task, server: &str) -> Result<Option<Work>, Failure> {
    let (http, url) = (client()?, format!("{server}{}", given::TOKEN_PATH));
    match task {
        Task::Async => repeat_async(runtime()?, async move || {
            Ok(http.post(&url).form(&FORM).send().await?.error_for_status()?.json::<Tokens>().await?)
        }),
        _ => Ok(None),
    }
}

pub(crate) fn prepare_lean(task: Task, server: &str) -> Result<Option<Work>, Failure> {
    let (http, form) = (client()?, Form::new(server)?);
    let url: reqwest::Url = form.uri().to_string().parse()?;
    match task {
        Task::Async => repeat_async(runtime()?, async move || {
            let mut request = reqwest::Request::new(reqwest::Method::POST, url.clone());
            *request.body_mut() = Some(form.body(given::REFRESH_TOKEN).into());
            let headers = request.headers_mut();
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            tokens(&http.execute(request).await?.error_for_status()?.bytes().await?)
        }),
        _ => Ok(None),
    }
}

pub(super) const FORM: [(&str, &str); 4] = [
    ("grant_type", "refresh_token"),
    ("client_id", given::CLIENT_ID),
    ("client_secret", given::CLIENT_SECRET),
    ("refresh_token", given::REFRESH_TOKEN),
];

fn client() -> Result<reqwest::Client, Failure> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}
