//! The crate `oauth2`, with HubSpot's fields as its extra fields.

use std::hint::black_box;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RefreshToken, Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};

use crate::given;
use crate::work::{Failure, Task, Work, repeat, repeat_async, runtime};

/// HubSpot's fields beyond RFC 6749.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Extra {
    hub_id: i64,
    user_id: i64,
    scopes: Vec<String>,
    token_use: String,
}

impl ExtraTokenFields for Extra {}

type HubSpot = Client<
    BasicErrorResponse,
    StandardTokenResponse<Extra, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

pub(crate) fn prepare(task: Task, server: &str) -> Result<Option<Work>, Failure> {
    let client = client(if task.is_over_loopback() { server } else { "https://api.hubapi.com" })?;
    let token = RefreshToken::new(given::REFRESH_TOKEN.to_owned());
    match task {
        // The crate builds a request only when it sends one.
        Task::Build => repeat::<_, Failure>(move || {
            let send = |request: HttpRequest| {
                drop(black_box(request));
                Err::<HttpResponse, _>(io::Error::from(io::ErrorKind::Other))
            };
            Ok(client.exchange_refresh_token(black_box(&token)).request(&send).is_err())
        }),
        Task::Call => repeat::<_, Failure>(move || {
            let send = |request: HttpRequest| {
                drop(black_box(request));
                Ok::<_, io::Error>(given::response())
            };
            Ok(client.exchange_refresh_token(black_box(&token)).request(&send)?)
        }),
        Task::FailedCall => repeat::<_, Failure>(move || {
            let send = |request: HttpRequest| {
                drop(black_box(request));
                Ok::<_, io::Error>(given::error_response())
            };
            match client.exchange_refresh_token(black_box(&token)).request(&send) {
                Ok(_) => Err("no error".into()),
                Err(error) => Ok(error),
            }
        }),
        Task::Authorize => repeat::<_, Failure>(move || {
            let verifier = PkceCodeVerifier::new(URL_SAFE_NO_PAD.encode(black_box(given::VERIFIER_BYTES)));
            let (url, state) = client
                .authorize_url(|| CsrfToken::new(URL_SAFE_NO_PAD.encode(black_box(given::STATE_BYTES))))
                .add_scopes(given::SCOPES.split(' ').map(|scope| Scope::new(scope.to_owned())))
                .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
                .url();
            Ok((url.to_string(), state, verifier))
        }),
        Task::Async => {
            let http = oauth2::reqwest::Client::builder()
                .redirect(oauth2::reqwest::redirect::Policy::none())
                .no_proxy()
                .build()?;
            repeat_async(runtime()?, async move || {
                Ok(client.exchange_refresh_token(&token).request_async(&http).await?)
            })
        }
        Task::Blocking => {
            let http = oauth2::ureq::AgentBuilder::new().redirects(0).build();
            repeat(move || client.exchange_refresh_token(&token).request(&http))
        }
        _ => Ok(None),
    }
}

/// Prepares the reading of a response with this body. The crate reads one only after it has built a request.
pub(crate) fn parse(body: Vec<u8>) -> Result<Option<Work>, Failure> {
    let client = client("https://api.hubapi.com")?;
    let token = RefreshToken::new(given::REFRESH_TOKEN.to_owned());
    repeat::<_, Failure>(move || {
        let send = |request: HttpRequest| {
            drop(black_box(request));
            Ok::<_, io::Error>(HttpResponse::new(body.clone()))
        };
        Ok(client.exchange_refresh_token(black_box(&token)).request(&send)?)
    })
}

fn client(server: &str) -> Result<HubSpot, Failure> {
    Ok(Client::new(ClientId::new(given::CLIENT_ID.to_owned()))
        .set_client_secret(ClientSecret::new(given::CLIENT_SECRET.to_owned()))
        .set_auth_uri(AuthUrl::new(given::AUTHORIZE_URL.to_owned())?)
        .set_token_uri(TokenUrl::new(format!("{server}{}", given::TOKEN_PATH))?)
        .set_redirect_uri(RedirectUrl::new(given::REDIRECT_URI.to_owned())?)
        .set_auth_type(AuthType::RequestBody))
}
