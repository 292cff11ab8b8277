//! Target `success_body`: the body of a response with status 200, read by every endpoint on every version.

use std::fmt::Debug;
use std::sync::LazyLock;

use hs_oauth_core::server::Serve;
use hs_oauth_core::{
    AccessToken, App, AuthorizationCode, ClientCredentials, ClientSecret, Code, CodeVerifier, Endpoint,
    Error, ExchangeCode, IdToken, Introspect, Introspection, NextStep, Operation, Problem, Refresh,
    RefreshToken, ResponseError, Revoke, Scopes, Signature, Token, TokenSet, TransportError,
    TransportErrorKind,
};
use http::{HeaderValue, Response};
use serde_json::{Map, Value};

use crate::{SENT_AT, VERSIONS, json};

const CLIENT_SECRET: &str = "canary-client-secret-5d0c";
const REFRESH_TOKEN: &str = "na1-canary-refresh-token-77ab";
const MAX_LIFE: u64 = 24 * 60 * 60;

struct Requests {
    apps: [App; 4],
    exchange: ExchangeCode,
    refresh: Refresh,
    client_credentials: ClientCredentials,
    of_access: Introspect,
    of_refresh: Introspect,
    revoke: Revoke,
}

static REQUESTS: LazyLock<Requests> = LazyLock::new(|| {
    let app = |version: &str| {
        App::hubspot("client-id", ClientSecret::new(CLIENT_SECRET).expect("a secret"))
            .with_version(version.parse().expect("a version"))
            .build()
            .expect("an app")
    };
    let verifier = CodeVerifier::new("canary-code-verifier-".repeat(3)).expect("a verifier");
    let code = Code::new("canary-code-19f2").expect("a code");
    let code =
        AuthorizationCode::from_caller_who_checked_state(code, "https://example.com/cb", Some(verifier));
    let refresh_token = || RefreshToken::new(REFRESH_TOKEN).expect("a token");
    Requests {
        apps: VERSIONS.map(app),
        exchange: ExchangeCode::new(code),
        refresh: Refresh::new(refresh_token()),
        client_credentials: ClientCredentials::new(Scopes::NONE),
        of_access: Introspect::new(AccessToken::new("canary-access-token-c8e1").expect("a token")),
        of_refresh: Introspect::new(refresh_token()),
        revoke: Revoke::new(refresh_token()),
    }
});

/// Checks that any body becomes a result that is complete and agrees with serde_json, or an error that names what is wrong. Neither
/// may show a secret. From a body that was truncated no part of a token may be rescued.
pub fn check(body: &[u8]) {
    let requests = &*REQUESTS;
    let object = json::object(body);
    // The versions after `v1` are read alike, so one of them is enough at a time.
    let [v1, later @ ..] = &requests.apps;
    for app in [v1].into_iter().chain(later.iter().cycle().skip(body.len() % 3).take(1)) {
        tokens(&requests.exchange, app, body, object.as_ref());
        tokens(&requests.refresh, app, body, object.as_ref());
        tokens(&requests.client_credentials, app, body, object.as_ref());
        introspection(&requests.of_access, app, body, object.as_ref());
        introspection(&requests.of_refresh, app, body, object.as_ref());
        requests.revoke.read_response(app, SENT_AT, &Response::new(body)).expect("only the status matters");
        truncated(&requests.refresh, app, body);
    }
}

fn tokens<E>(endpoint: &E, app: &App, body: &[u8], object: Option<&Map<String, Value>>)
where
    E: Serve<Output = TokenSet>,
{
    let read = endpoint.read_response(app, SENT_AT, &Response::new(body));
    if let Some(object) = object {
        assert_eq!(read.is_ok(), are_tokens(E::OPERATION, object), "{read:?}");
    }
    let tokens = match read {
        Ok(tokens) => tokens,
        Err(Error::Response(error)) => return check_response_error(E::OPERATION, *error),
        Err(error) => panic!("{error:?}"),
    };
    assert!(json::is_json(body));
    let bearer = format!("Bearer {}", tokens.access_token.expose());
    assert!(HeaderValue::try_from(bearer).is_ok_and(|bearer| bearer.to_str().is_ok()));
    let life = tokens.expires_at.since(SENT_AT).as_secs();
    assert_eq!(life, tokens.expires_in.min(MAX_LIFE));
    assert!(tokens.expires_in > 0 && tokens.expires_at > SENT_AT);

    let written = serde_json::to_string(&tokens).expect("tokens can be written");
    assert_eq!(serde_json::from_str::<TokenSet>(&written).expect("and read back"), tokens);
    let served = E::to_response(&tokens, app.version());
    assert_eq!(endpoint.read_response(app, SENT_AT, &served).expect("and served"), tokens);

    let mut other = tokens.clone();
    other.access_token = AccessToken::new("x").expect("a token");
    other.refresh_token = other.refresh_token.map(|_| RefreshToken::new("y").expect("a token"));
    other.id_token = other.id_token.map(|_| IdToken::new("z").expect("a token"));
    shows_the_same(&tokens, &other);

    if let Some(object) = object {
        agrees(E::OPERATION, &tokens, object);
    }
}

/// Returns whether an object is a response with tokens.
fn are_tokens(operation: Operation, object: &Map<String, Value>) -> bool {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let is_secret = |text: &str, allowed: fn(&u8) -> bool| {
        (1..=16 * 1024).contains(&text.len())
            && text != "."
            && text != ".."
            && text.as_bytes().iter().all(allowed)
    };
    let may_lack = matches!(operation, Operation::Refresh | Operation::ClientCredentials);
    let refresh_token = match object.get("refresh_token") {
        None | Some(Value::Null) => may_lack,
        Some(Value::String(text)) => is_secret(text, |byte| (b' '..=b'~').contains(byte)),
        Some(_) => false,
    };
    text("access_token").is_some_and(|text| is_secret(text, |byte| (b'!'..=b'~').contains(byte)))
        && refresh_token
        && object.get("expires_in").and_then(Value::as_i64).is_some_and(|seconds| seconds > 0)
        && text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
}

fn agrees(operation: Operation, tokens: &TokenSet, object: &Map<String, Value>) {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let integer = |name: &str| object.get(name).and_then(Value::as_i64);
    assert_eq!(Some(tokens.access_token.expose()), text("access_token"));
    assert_eq!(i64::try_from(tokens.expires_in).ok(), integer("expires_in"));
    let sent = (operation == Operation::Refresh).then_some(REFRESH_TOKEN);
    assert_eq!(tokens.refresh_token.as_ref().map(RefreshToken::expose), text("refresh_token").or(sent));
    assert_eq!(tokens.hub_id, integer("hub_id"));
    assert_eq!(tokens.user_id, integer("user_id"));
    assert_eq!(tokens.token_use.as_ref().map(|token_use| token_use.as_str()), text("token_use"));
    let is_list = |list: &&Vec<Value>| list.iter().all(Value::is_string);
    let scopes: Option<Vec<&str>> = match object.get("scopes").and_then(Value::as_array).filter(is_list) {
        Some(list) => Some(list.iter().filter_map(Value::as_str).collect()),
        None => text("scope").map(|scope| scope.split_ascii_whitespace().collect()),
    };
    let read: Option<Vec<&str>> =
        tokens.scopes.as_ref().map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect());
    assert_eq!(read, scopes);
}

fn introspection(endpoint: &Introspect, app: &App, body: &[u8], object: Option<&Map<String, Value>>) {
    let read = endpoint.read_response(app, SENT_AT, &Response::new(body));
    let active = object.and_then(|object| object.get("active"));
    if active == Some(&Value::Bool(false)) {
        assert!(matches!(read, Ok(Introspection::Inactive)), "{read:?}");
    }
    let introspection = match read {
        Ok(introspection) => introspection,
        Err(Error::Response(error)) => return check_response_error(Operation::Introspect, *error),
        Err(error) => panic!("{error:?}"),
    };
    assert!(json::is_json(body));
    let mut other = introspection.clone();
    let again = match &mut other {
        Introspection::AccessToken(info) => {
            let token = std::mem::replace(&mut info.token, AccessToken::new("x").expect("a token"));
            if let Some(signed) = &mut info.signed_access_token {
                let signature = || Signature::new("y").expect("a signature");
                signed.signature = signed.signature.as_ref().map(|_| signature());
                signed.new_signature = signed.new_signature.as_ref().map(|_| signature());
            }
            Token::Access(token)
        }
        Introspection::RefreshToken(info) => {
            Token::Refresh(std::mem::replace(&mut info.token, RefreshToken::new("x").expect("a token")))
        }
        _ => return,
    };
    shows_the_same(&introspection, &other);
    if let Some(object) = object {
        let integer = |name: &str| object.get(name).and_then(Value::as_i64);
        let (hub_id, app_id, life) = match &introspection {
            Introspection::AccessToken(info) => (info.hub_id, Some(info.app_id), Some(info.expires_in)),
            Introspection::RefreshToken(info) => (info.hub_id, info.app_id, None),
            _ => return,
        };
        assert_eq!((Some(hub_id), app_id), (integer("hub_id"), integer("app_id")));
        if let Some(life) = life {
            assert_eq!(
                Some(i64::try_from(life).expect("it was one")),
                integer("expires_in").map(|life| life.max(0))
            );
        }
        let sent = endpoint.token().expose();
        assert_eq!(again.expose(), object.get("token").and_then(Value::as_str).unwrap_or(sent));
    }
    let served = Introspect::to_response(&introspection, app.version());
    let again = Introspect::new(again).read_response(app, SENT_AT, &served);
    assert_eq!(again.expect("an introspection can be served"), introspection);
}

fn truncated(refresh: &Refresh, app: &App, body: &[u8]) {
    let at = body.last().map_or(0, |last| usize::from(*last) * (body.len() + 1) / 256);
    let received = body.get(..at).unwrap_or(body);
    let failure = TransportError::new(TransportErrorKind::Interrupted);
    let error = match refresh.read_partial_response(app, SENT_AT, &Response::new(received), failure) {
        Err(Error::Response(error)) => *error,
        Err(Error::Transport(_)) => return,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (error.problems.as_slice(), error.next_step()),
        (&[Problem::Truncated][..], NextStep::RetryAfter(None))
    );
    if let Ok(whole) = refresh.read_response(app, SENT_AT, &Response::new(body)) {
        let rescued = &error.rescued;
        assert!(
            rescued.access_token.as_ref().is_none_or(|token| *token == whole.access_token),
            "part of a token"
        );
        assert!(
            rescued.refresh_token.is_none() || rescued.refresh_token == whole.refresh_token,
            "part of a token"
        );
    }
    check_response_error(Operation::Refresh, error);
}

fn check_response_error(operation: Operation, error: ResponseError) {
    assert_eq!((error.operation, error.status.as_u16()), (operation, 200));
    assert!(!error.problems.is_empty());
    let mut other = error.clone();
    other.rescued.access_token = other.rescued.access_token.map(|_| AccessToken::new("x").expect("a token"));
    other.rescued.refresh_token =
        other.rescued.refresh_token.map(|_| RefreshToken::new("y").expect("a token"));
    shows_the_same(&error, &other);
    assert_eq!(error.to_string(), other.to_string());
    let error = Error::from(error);
    assert!(matches!(error.next_step(), NextStep::ReportBug | NextStep::RetryAfter(None)));
}

/// Checks that two values that differ only in secrets are shown alike.
fn shows_the_same<T: Debug>(one: &T, other: &T) {
    let shown = format!("{one:?}");
    assert_eq!(shown, format!("{other:?}"), "a secret is shown");
    assert!(
        !shown.contains(CLIENT_SECRET) && !shown.contains(REFRESH_TOKEN),
        "a secret of the request is shown"
    );
}
