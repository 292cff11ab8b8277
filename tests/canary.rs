//! Every secret here has a mark, and everything that is shown is searched for it.

use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex};

use hs_oauth_core::{
    ApiVersion, App, AuthorizationCode, Authorize, ClientAssertion, ClientCredentials, ClientSecret, Code,
    CodeVerifier, Endpoint, Error, ExchangeCode, Introspect, PendingAuthorization, Randomness,
    ReadAccountDetails, Refresh, RefreshToken, RequestVerifier, RetryPolicy, Revoke, Timestamp, Token,
    Uninstall,
};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::both::Client;
use crate::raw_server::{RawServer, Reply, refused_port};

/// Part of every secret, at its beginning and at its end. No other text here has it.
const CANARY: &str = "qZx7";

fn secret() -> ClientSecret {
    ClientSecret::new(format!("{CANARY}-client-secret-{CANARY}")).unwrap()
}

fn app(base: &str, version: ApiVersion) -> App {
    App::hubspot("client-id", secret())
        .with_redirect_uri("https://example.com/cb")
        .with_api_base(base)
        .with_version(version)
        .build()
        .unwrap()
}

fn refresh_token() -> RefreshToken {
    RefreshToken::new(format!("na1-{CANARY}-refresh-{CANARY}")).unwrap()
}

fn access_token() -> hs_oauth_core::AccessToken {
    hs_oauth_core::AccessToken::new(format!("{CANARY}-access-{CANARY}")).unwrap()
}

fn code() -> AuthorizationCode {
    AuthorizationCode::from_caller_who_checked_state(
        Code::new(format!("{CANARY}-code-{CANARY}")).unwrap(),
        "https://example.com/cb",
        Some(CodeVerifier::new(format!("{CANARY}-verifier-{}", "v".repeat(40))).unwrap()),
    )
}

#[track_caller]
fn assert_no_secret_in(shown: &str) {
    assert!(!shown.contains(CANARY), "{shown}");
}

#[track_caller]
fn assert_no_secret_in_error(error: &Error) {
    assert_no_secret_in(&format!("{error} {error:?} {error:#?}"));
    let mut source = error.source();
    while let Some(error) = source {
        assert_no_secret_in(&format!("{error} {error:?}"));
        source = error.source();
    }
}

#[test]
fn no_debug_or_display_form_shows_a_secret() {
    let app = app("https://api.hubapi.com", ApiVersion::LATEST);
    let pending: PendingAuthorization = serde_json::from_str(&format!(
        r#"{{"state":"{CANARY}","code_verifier":"{CANARY}{}","redirect_uri":"https://example.com/cb","begun_at":0,"expires_at":1}}"#,
        "v".repeat(43)
    ))
    .unwrap();
    let body = format!(
        r#"{{"access_token":"{CANARY}","refresh_token":"{CANARY}","id_token":"{CANARY}","token_type":"bearer","expires_in":1,
            "active":true,"hub_id":1,"app_id":1,"client_id":"c","scopes":[],"token":"{CANARY}","signed_access_token":{{"signature":"{CANARY}","newSignature":"{CANARY}"}}}}"#
    );
    let response = http::Response::new(body.into_bytes());
    let now = Timestamp::from_secs(0);
    let shown: Vec<Box<dyn std::fmt::Debug>> = vec![
        Box::new(Refresh::new(refresh_token()).read_response(&app, now, &response).unwrap()),
        Box::new(Introspect::new(access_token()).read_response(&app, now, &response).unwrap()),
        Box::new(Introspect::new(refresh_token()).read_response(&app, now, &response).unwrap()),
        Box::new(App::hubspot("id", secret())),
        Box::new(App::hubspot("id", ClientAssertion::new(CANARY).unwrap()).build().unwrap()),
        Box::new(hs_oauth_async::Client::new(app.clone()).unwrap()),
        Box::new(hs_oauth_blocking::Client::new(app.clone())),
        Box::new(pending.accept(now, &format!("code={CANARY}&state={CANARY}")).unwrap()),
        Box::new(pending),
        Box::new(Randomness::new([b'q'; 32], [b'q'; 32])),
        Box::new(Authorize::new("oauth".parse().unwrap()).begin(&app, now).unwrap()),
        Box::new(ExchangeCode::new(code())),
        Box::new(Refresh::new(refresh_token())),
        Box::new(Introspect::new(access_token())),
        Box::new(Revoke::new(refresh_token())),
        Box::new(Uninstall::new(access_token())),
        Box::new(Uninstall::new(access_token()).to_http(&app)),
        Box::new(ReadAccountDetails::new(access_token())),
        Box::new(RequestVerifier::new(secret())),
        Box::new(Token::from(access_token())),
        Box::new(secret()),
        Box::new(app),
    ];
    for value in shown {
        assert_no_secret_in(&format!("{value:?} {value:#?}"));
    }
}

#[test]
fn no_error_of_a_constructor_quotes_the_argument() {
    let bad = format!("{CANARY}\n{CANARY}");
    assert_no_secret_in(&format!(
        "{:?}",
        ClientSecret::new(&bad).map_err(|error| format!("{error} {error:?}"))
    ));
    assert_no_secret_in(&format!(
        "{:?}",
        CodeVerifier::new(&bad).map_err(|error| format!("{error} {error:?}"))
    ));
    let url = format!("http://{CANARY}:{CANARY}@example.com");
    let error = App::hubspot("id", secret()).with_api_base(url).build().unwrap_err();
    assert_no_secret_in(&format!("{error} {error:?}"));
    let error = serde_json::from_str::<RefreshToken>(&format!("\"{CANARY}\\n\"")).unwrap_err();
    assert_no_secret_in(&error.to_string());
}

#[test]
fn no_url_header_or_error_of_a_dated_version_holds_a_secret() {
    for version in [ApiVersion::V3, ApiVersion::LATEST] {
        let app = app("https://api.hubapi.com", version);
        for request in [
            ExchangeCode::new(code()).to_http(&app),
            Refresh::new(refresh_token()).to_http(&app),
            ClientCredentials::new("oauth".parse().unwrap()).to_http(&app),
            Introspect::new(access_token()).to_http(&app),
            Introspect::new(refresh_token()).to_http(&app),
            Revoke::new(refresh_token()).to_http(&app),
        ] {
            assert_no_secret_in(&format!("{} {:?}", request.uri(), request.headers()));
            assert!(String::from_utf8(request.into_body()).unwrap().contains(CANARY));
        }
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Returns all that `work` writes to `tracing` on this thread.
pub(crate) fn logged(work: impl FnOnce()) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .finish();
    // While there is only one subscriber, tracing remembers for each log line whether the first thread to reach it has one. Another
    // test's thread has none.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
    tracing::subscriber::with_default(subscriber, work);
    let logged = log.0.lock().unwrap().clone();
    String::from_utf8(logged).unwrap()
}

/// Calls end in every way, one server sends the request back in its error response, and everything is logged at TRACE.
#[test]
fn no_log_line_and_no_error_chain_shows_a_secret_whatever_the_server_does() {
    let tokens = format!(
        r#"{{"access_token":"{CANARY}-new","refresh_token":"{CANARY}-new","token_type":"bearer","expires_in":1800}}"#
    );
    let broken = format!(
        r#"{{"access_token":"{CANARY}","refresh_token":"{CANARY}","token_type":"mac","expires_in":"{CANARY}"}}"#
    );
    let replies: [&dyn Fn() -> Reply; 5] = [
        &|| Reply::response(200, "", &tokens),
        &|| Reply::response(200, "", &broken),
        &|| Reply::Echo,
        &|| Reply::Bytes(b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{".to_vec()),
        &|| Reply::response(307, "location: http://127.0.0.1:1/\r\n", ""),
    ];
    // Both HTTP clients and their dependencies write to `log` or to `tracing`.
    tracing_log::LogTracer::init().unwrap();
    let logged = logged(|| {
        for version in [ApiVersion::V1, ApiVersion::LATEST] {
            for (reply, index) in replies.iter().flat_map(|reply| [(reply, 0), (reply, 1)]) {
                let server = RawServer::start((0..4).map(|_| reply()).collect());
                let client = Client::both(&app(&server.url, version)).into_iter().nth(index).unwrap();
                let client = client.with_retry_policy(RetryPolicy::NEVER);
                let errors = [
                    client.call(&ExchangeCode::new(code())).err(),
                    client.call(&Refresh::new(refresh_token())).err(),
                    client.call(&Introspect::new(access_token())).err(),
                    client.call(&Revoke::new(refresh_token())).err(),
                ];
                errors.iter().flatten().for_each(assert_no_secret_in_error);
                assert!(server.requests().concat().contains(CANARY));
            }
            let (nowhere, _port) = refused_port();
            for client in Client::both(&app(&nowhere, version)) {
                let client = client.with_retry_policy(RetryPolicy::NEVER);
                assert_no_secret_in_error(&client.call(&Introspect::new(access_token())).unwrap_err());
                assert_no_secret_in_error(&client.call(&Refresh::new(refresh_token())).unwrap_err());
            }
        }
    });
    assert!(
        logged.contains("hubspot_oauth") && logged.contains("failed") && logged.contains("answered"),
        "{logged}"
    );
    assert_no_secret_in(&logged);
}
