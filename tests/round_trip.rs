//! Any request and any response that is written is read as the same value. Any other bytes give a result and no panic.

use std::collections::BTreeMap;
use std::time::Duration;

use hs_oauth_core::renewal::{GrantId, GrantState, HolderId, Lease, Record, Retry};
use hs_oauth_core::server::{Call, Received, Serve};
use hs_oauth_core::{
    AccessToken, AccessTokenInfo, AccountDetails, AccountType, ApiError, ApiVersion, App, AuthorizationCode,
    Authorize, ClientAssertion, ClientCredentials, ClientSecret, Code, CodeVerifier, Credential, Endpoint,
    ErrorDetail, ExchangeCode, HubSpotCode, IdToken, Introspect, Introspection, OAuthCode, Operation,
    PendingAuthorization, Random, Randomness, ReadAccountDetails, Refresh, RefreshToken, RefreshTokenInfo,
    Revoke, Scope, Scopes, Signature, SignedAccessToken, Timestamp, TokenSet, TokenUse, Uninstall,
};
use http::{Request, Response};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Returns the characters of RFC 6749 appendix A, VSCHAR. All that a form and a path must escape are among them.
fn printable() -> impl Strategy<Value = String> {
    "[ -~]{1,80}".prop_filter("a path would swallow it", |text| text != "." && text != "..")
}

fn visible() -> impl Strategy<Value = String> {
    "[!-~]{1,80}".prop_filter("a path would swallow it", |text| text != "." && text != "..")
}

fn access_token() -> impl Strategy<Value = AccessToken> {
    visible().prop_map(|text| AccessToken::new(text).unwrap())
}

fn refresh_token() -> impl Strategy<Value = RefreshToken> {
    printable().prop_map(|text| RefreshToken::new(text).unwrap())
}

fn scopes() -> impl Strategy<Value = Scopes> {
    vec("[!#-+\\--\\[\\]-~]{1,30}", 0..5)
        .prop_map(|names| names.into_iter().map(|name| Scope::new(name).unwrap()).collect())
}

fn version() -> impl Strategy<Value = ApiVersion> {
    prop_oneof![
        Just(ApiVersion::V1),
        Just(ApiVersion::V3),
        (2020u16..2100, 1u8..=12).prop_map(|(year, month)| format!("{year}-{month:02}").parse().unwrap()),
    ]
}

fn credential() -> impl Strategy<Value = Credential> {
    prop_oneof![
        printable().prop_map(|text| ClientSecret::new(text).unwrap().into()),
        visible().prop_map(|text| ClientAssertion::new(text).unwrap().into()),
        Just(Credential::Public),
    ]
}

fn app() -> impl Strategy<Value = App> {
    (
        printable(),
        credential(),
        version(),
        prop_oneof![Just("https://api.hubapi.com"), Just("http://[::1]:80")],
    )
        .prop_map(|(id, credential, version, base)| {
            App::hubspot(id, credential).with_version(version).with_api_base(base).build().unwrap()
        })
}

fn exchange() -> impl Strategy<Value = ExchangeCode> {
    (printable(), "[ -~]{1,80}", option::of("[A-Za-z0-9._~-]{43,128}")).prop_map(
        |(code, redirect_uri, verifier)| {
            ExchangeCode::new(AuthorizationCode::from_caller_who_checked_state(
                Code::new(code).unwrap(),
                redirect_uri,
                verifier.map(|text| CodeVerifier::new(text).unwrap()),
            ))
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        exchange().prop_map(Call::ExchangeCode),
        (refresh_token(), scopes())
            .prop_map(|(token, scopes)| Call::Refresh(Refresh::new(token).with_scopes(scopes))),
        scopes().prop_map(|scopes| Call::ClientCredentials(ClientCredentials::new(scopes))),
        access_token().prop_map(|token| Call::Introspect(Introspect::new(token))),
        refresh_token().prop_map(|token| Call::Introspect(Introspect::new(token))),
        refresh_token().prop_map(|token| Call::Revoke(Revoke::new(token))),
        access_token().prop_map(|token| Call::Uninstall(Uninstall::new(token))),
        access_token().prop_map(|token| Call::AccountDetails(ReadAccountDetails::new(token))),
    ]
}

fn built(call: &Call, app: &App) -> Request<Vec<u8>> {
    match call {
        Call::ExchangeCode(endpoint) => endpoint.to_http(app),
        Call::Refresh(endpoint) => endpoint.to_http(app),
        Call::ClientCredentials(endpoint) => endpoint.to_http(app),
        Call::Introspect(endpoint) => endpoint.to_http(app),
        Call::Revoke(endpoint) => endpoint.to_http(app),
        Call::Uninstall(endpoint) => endpoint.to_http(app),
        Call::AccountDetails(endpoint) => endpoint.to_http(app),
        other => panic!("{other:?}"),
    }
}

fn tokens(sent_at: Timestamp) -> impl Strategy<Value = TokenSet> {
    let whose = (option::of(any::<i64>()), option::of(any::<i64>()), option::of(scopes()));
    let token_use = option::of(prop_oneof!["[a-z_]{1,20}", Just("access_token".to_owned())]);
    (access_token(), refresh_token(), 1..=i64::MAX as u64, whose, token_use, option::of(printable()))
        .prop_map(
            move |(
                access_token,
                refresh_token,
                expires_in,
                (hub_id, user_id, scopes),
                token_use,
                id_token,
            )| {
                let mut tokens = TokenSet::new(access_token, expires_in, sent_at);
                tokens.refresh_token = Some(refresh_token);
                tokens.hub_id = hub_id;
                tokens.user_id = user_id;
                tokens.scopes = scopes;
                tokens.token_use = token_use.map(|name| TokenUse::from(std::borrow::Cow::Owned(name)));
                tokens.id_token = id_token.map(|text| IdToken::new(text).unwrap());
                tokens
            },
        )
}

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

proptest! {
    // A failing input is printed. A file of old failures beside the sources is not needed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_read_as_the_value_it_was_built_from(call in call(), app in app()) {
        let request = built(&call, &app);
        let received = Received::read_request(&request).unwrap();
        let version = match (&call, app.version()) {
            // They have no v1.
            (Call::Uninstall(_) | Call::AccountDetails(_), ApiVersion::V1) => ApiVersion::V3,
            (_, version) => version,
        };
        prop_assert_eq!(received.version, version);
        prop_assert_eq!(received.call, call);
        // The lookups of v1 name no client, and neither do the calls with an access token. All others do, in their bodies.
        if !request.body().is_empty() {
            prop_assert_eq!(received.client.client_id.as_deref(), Some(app.client_id()));
            prop_assert_eq!(&received.client.credential, app.credential());
        }
    }

    /// Secrets are sent in bodies, or as a bearer. The lookups of v1 have no body and send their token in the path.
    #[test]
    fn no_secret_is_in_the_url_of_any_version_but_v1(call in call(), app in app()) {
        let request = built(&call, &app);
        if app.version() != ApiVersion::V1 {
            let path = request.uri().path();
            let ends = ["/token", "/introspect", "/revoke", "/external-install", "/details"];
            prop_assert!(ends.iter().any(|end| path.ends_with(end)), "{}", path);
        }
        prop_assert_eq!(request.uri().query(), None);
        for (name, value) in request.headers() {
            let is_bearer = name == "authorization" && value.is_sensitive() && request.body().is_empty();
            prop_assert!(is_bearer || ["accept", "content-type"].contains(&name.as_str()), "{}: {:?}", name, value);
        }
    }

    #[test]
    fn any_token_response_is_read_as_the_tokens_it_was_written_from(tokens in tokens(NOW), app in app(), sent in refresh_token()) {
        let response = Refresh::to_response(&tokens, app.version());
        prop_assert_eq!(Refresh::new(sent).read_response(&app, NOW, &response).unwrap(), tokens);
    }

    #[test]
    fn any_introspection_is_read_as_it_was_written(info in introspection(), app in app()) {
        let response = Introspect::to_response(&info, app.version());
        let asked = match &info {
            Introspection::RefreshToken(info) => Introspect::new(info.token.clone()),
            _ => Introspect::new(AccessToken::new("other").unwrap()),
        };
        prop_assert_eq!(asked.read_response(&app, NOW, &response).unwrap(), info);
    }

    #[test]
    fn any_revocation_is_read_as_it_was_written(app in app(), token in refresh_token()) {
        let response = Revoke::to_response(&(), app.version());
        prop_assert!(Revoke::new(token).read_response(&app, NOW, &response).is_ok());
    }

    #[test]
    fn any_uninstallation_and_any_account_is_read_as_it_was_written(details in account_details(), app in app(), token in access_token()) {
        let response = Uninstall::to_response(&(), app.version());
        prop_assert_eq!(response.status(), 204);
        prop_assert!(Uninstall::new(token.clone()).read_response(&app, NOW, &response).is_ok());
        let response = ReadAccountDetails::to_response(&details, app.version());
        prop_assert_eq!(ReadAccountDetails::new(token).read_response(&app, NOW, &response).unwrap(), details);
    }

    #[test]
    fn any_error_response_is_read_as_it_was_written(written in api_error()) {
        let app = App::hubspot("id", ClientSecret::new("~").unwrap()).build().unwrap();
        let response = written.to_response();
        let error = Refresh::new(RefreshToken::new("~").unwrap()).read_response(&app, NOW, &response).unwrap_err();
        prop_assert_eq!(error.as_api(), Some(&written));
    }

    #[test]
    fn any_record_is_read_as_it_was_written(record in record()) {
        let text = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Record>(&text).unwrap(), &record);
        prop_assert_eq!(&serde_json::from_value::<Record>(serde_json::to_value(&record).unwrap()).unwrap(), &record);
    }

    /// Sessions are stored in JSON and in formats without field names.
    #[test]
    fn any_pending_authorization_is_read_as_it_was_written(pending in pending()) {
        let text = serde_json::to_string(&pending).unwrap();
        prop_assert_eq!(&serde_json::from_str::<PendingAuthorization>(&text).unwrap(), &pending);
        let bytes = postcard::to_allocvec(&pending).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<PendingAuthorization>(&bytes).unwrap(), &pending);
    }

    #[test]
    fn any_bytes_as_a_response_give_a_result(status in 100u16..1000, body in body(), retry_after in "[ -~]{0,30}", app in app(), call in call()) {
        let response = Response::builder().status(status).header("retry-after", retry_after).body(body).unwrap();
        let error = match &call {
            Call::ExchangeCode(endpoint) => endpoint.read_response(&app, NOW, &response).err(),
            Call::Refresh(endpoint) => endpoint.read_response(&app, NOW, &response).err(),
            Call::ClientCredentials(endpoint) => endpoint.read_response(&app, NOW, &response).err(),
            Call::Introspect(endpoint) => endpoint.read_response(&app, NOW, &response).err(),
            Call::Revoke(endpoint) => endpoint.read_response(&app, NOW, &response).err(),
            Call::Uninstall(endpoint) => endpoint.read_response(&app, NOW, &response).err(),
            Call::AccountDetails(endpoint) => endpoint.read_response(&app, NOW, &response).err(),
            other => panic!("{other:?}"),
        };
        if let Some(error) = error {
            prop_assert_eq!(error.status().unwrap().as_u16(), status);
            prop_assert!(error.to_string().contains("; next: "));
        }
    }

    #[test]
    fn any_bytes_as_a_request_give_a_result(
        path in prop_oneof!["/[ -~&&[^ \"<>`{}|^\\\\]]{0,40}", Just("/oauth/v1/token".to_owned()), Just("/oauth/2026-09/token/revoke".to_owned())],
        form in any::<bool>(),
        body in body(),
    ) {
        let content_type = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        if let Ok(request) = Request::post(path).header("content-type", content_type).body(body) {
            let _ = Received::read_request(&request);
        }
    }

    #[test]
    fn any_text_as_a_callback_gives_no_code_without_the_state(query in "(state|code|error|[ -~]){0,4}=?\\PC{0,60}") {
        let pending: PendingAuthorization =
            serde_json::from_str(r#"{"state":"a state that is secret","code_verifier":null,"redirect_uri":"https://example.com","begun_at":0,"expires_at":9999999999999}"#).unwrap();
        prop_assert!(pending.accept(NOW, &query).is_err());
    }
}

/// It takes its own fields only. If it left one to the session, a secret in it would be in the open.
#[test]
fn a_pending_authorization_can_be_flattened_into_a_session() {
    #[derive(Serialize, Deserialize)]
    struct Session {
        user: String,
        #[serde(flatten)]
        pending: PendingAuthorization,
        #[serde(flatten)]
        more: BTreeMap<String, serde_json::Value>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        user: String,
        #[serde(flatten)]
        pending: PendingAuthorization,
    }

    let text = r#"{"user":"u","state":"s","code_verifier":null,"redirect_uri":"https://example.com/cb","begun_at":1790000000000,"expires_at":1790003600000,"theme":"dark"}"#;
    let session: Session = serde_json::from_str(text).unwrap();
    assert_eq!(session.user, "u");
    assert!(session.more.keys().eq(["theme"]), "{:?}", session.more);
    let again: Session = serde_json::from_str(&serde_json::to_string(&session).unwrap()).unwrap();
    assert_eq!(again.pending, session.pending);
    let strict: Strict = serde_json::from_str(&text.replace(r#","theme":"dark""#, "")).unwrap();
    assert_eq!((strict.user.as_str(), strict.pending), ("u", session.pending));
}

/// The fields of the session beside it may have any value.
#[test]
fn a_pending_authorization_ignores_all_other_fields() {
    for other in ["1e400", r#""\ud800""#, &format!("{}{}", "[".repeat(1000), "]".repeat(1000))] {
        let text = format!(r#"{{"other":{other},"state":"s","redirect_uri":"https://example.com/cb"}}"#);
        assert!(serde_json::from_str::<PendingAuthorization>(&text).is_ok(), "{other}");
    }
}

/// Only `expires_at` is left out, which each side computes for itself.
#[test]
fn a_response_has_the_fields_that_a_later_version_put_into_the_set() {
    let text =
        r#"{"access_token":"a","token_type":"bearer","expires_in":1800,"expires_at":1,"audience":["b"]}"#;
    let tokens: TokenSet = serde_json::from_str(text).unwrap();
    let response = Refresh::to_response(&tokens, ApiVersion::LATEST);
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    let expected = r#"{"access_token":"a","token_type":"bearer","expires_in":1800,"audience":["b"]}"#;
    assert_eq!(body, serde_json::from_str::<serde_json::Value>(expected).unwrap());
}

fn record() -> impl Strategy<Value = Record> {
    let times = (0u64.., 0u64.., any::<u32>(), any::<bool>());
    (any::<[u8; 32]>(), option::of(tokens(NOW)), option::of(refresh_token()), option::of(times), 0usize..3)
        .prop_map(|(seed, tokens, revoke, times, state)| {
            let mut random = Random::new(seed);
            let states = [GrantState::Live, GrantState::Gone, GrantState::Disconnected];
            let mut record = Record::without_tokens(GrantId::generate(&mut random), states[state]);
            (record.tokens, record.revoke) = (tokens, revoke);
            if let Some((until, at, failures, unsettled)) = times {
                record.lease =
                    Some(Lease::new(HolderId::generate(&mut random), Timestamp::from_millis(until)));
                record.retry = Some(Retry::new(Timestamp::from_millis(at), failures));
                record.unsettled = unsettled;
            }
            record
        })
}

fn account_details() -> impl Strategy<Value = AccountDetails> {
    let some = || option::of("[ -~]{1,30}");
    let texts = (some(), some(), some(), some(), some());
    let kind = option::of(prop_oneof!["[A-Z_]{1,20}", Just("SANDBOX".to_owned())]);
    (any::<i64>(), kind, option::of(any::<i64>()), texts).prop_map(|(portal_id, kind, offset, texts)| {
        let mut details = AccountDetails::new(portal_id);
        details.account_type = kind.map(|name| AccountType::from(std::borrow::Cow::Owned(name)));
        details.utc_offset_milliseconds = offset;
        (
            details.time_zone,
            details.company_currency,
            details.utc_offset,
            details.ui_domain,
            details.data_hosting_location,
        ) = texts;
        details
    })
}

fn pending() -> impl Strategy<Value = PendingAuthorization> {
    (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<bool>(), scopes()).prop_map(
        |(state, verifier, pkce, scopes)| {
            let app = App::hubspot("id", Credential::Public)
                .with_redirect_uri("https://example.com/cb")
                .build()
                .unwrap();
            let authorize = Authorize::new("oauth".parse().unwrap())
                .with_optional_scopes(scopes.without(&"oauth".parse().unwrap()));
            let authorize = if pkce { authorize } else { authorize.without_pkce() };
            authorize.begin_with(&app, NOW, Randomness::new(state, verifier)).unwrap().pending
        },
    )
}

/// Returns an error from which nothing is taken out when it is read: it has no `~`, which is the secret of the request, and no `%`, with
/// which that could be escaped.
fn api_error() -> impl Strategy<Value = ApiError> {
    let plain = || "[ !#$&-}]{0,40}";
    let some = move || option::of(plain());
    let code = || option::of("x[A-Z_]{1,20}");
    let lists = move || btree_map(plain(), vec(plain(), 0..3), 0..3);
    let detail = (some(), some(), some(), some(), lists()).prop_map(|fields| {
        let mut detail = ErrorDetail::default();
        (detail.message, detail.code, detail.sub_category, detail.location, detail.context) = fields;
        detail
    });
    let codes = (400u16..600, code(), code(), code(), option::of(0u64..86_400));
    let texts = (some(), some(), some(), some(), some(), some(), some(), some());
    (codes, texts, lists(), btree_map(plain(), plain(), 0..3), vec(detail, 0..3)).prop_map(
        |((status, oauth_code, code, sub_category, wait), texts, context, links, errors)| {
            let mut error = ApiError::new(Operation::Refresh, status.try_into().unwrap());
            error.error = oauth_code.map(OAuthCode::Other);
            error.code = code.map(HubSpotCode::Other);
            error.sub_category = sub_category.map(HubSpotCode::Other);
            error.retry_after = wait.map(Duration::from_secs);
            (error.error_description, error.category, error.message, error.correlation_id, ..) =
                texts.clone();
            (.., error.request_id, error.error_type, error.policy_name, error.group_name) = texts;
            (error.context, error.links, error.errors) = (context, links, errors);
            error
        },
    )
}

fn introspection() -> impl Strategy<Value = Introspection> {
    prop_oneof![
        Just(Introspection::Inactive),
        access_token_info().prop_map(|info| Introspection::AccessToken(Box::new(info))),
        refresh_token_info().prop_map(|info| Introspection::RefreshToken(Box::new(info))),
    ]
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of("\\PC{0,40}")
}

fn id() -> impl Strategy<Value = Option<i64>> {
    option::of(any::<i64>())
}

fn flag() -> impl Strategy<Value = Option<bool>> {
    option::of(any::<bool>())
}

fn access_token_info() -> impl Strategy<Value = AccessTokenInfo> {
    let needed = (access_token(), any::<i64>(), any::<i64>(), scopes(), 0..=i64::MAX as u64);
    let more = (id(), text(), text(), flag(), text(), text(), option::of(signed_access_token()));
    (needed, more).prop_map(|((token, hub_id, app_id, scopes, expires_in), more)| {
        let mut info = AccessTokenInfo::new(token, hub_id, app_id, scopes, expires_in);
        (info.user_id, info.client_id, info.token_type, info.is_private_distribution, ..) = more.clone();
        (.., info.user, info.hub_domain, _) = more.clone();
        info.signed_access_token = more.6.map(Box::new);
        info
    })
}

fn refresh_token_info() -> impl Strategy<Value = RefreshTokenInfo> {
    let needed = (refresh_token(), any::<i64>(), "\\PC{0,40}", scopes());
    let more = (id(), id(), text(), text(), text());
    (needed, more).prop_map(|((token, hub_id, client_id, scopes), more)| {
        let mut info = RefreshTokenInfo::new(token, hub_id, client_id, scopes);
        (info.user_id, info.app_id, info.token_type, info.user, info.hub_domain) = more;
        info
    })
}

fn signed_access_token() -> impl Strategy<Value = SignedAccessToken> {
    let ids = (id(), id(), id(), id(), id());
    let flags = (flag(), flag(), flag());
    let texts = (text(), text(), text(), text(), text(), text(), text());
    let signature = || option::of(printable().prop_map(|text| Signature::new(text).unwrap()));
    (ids, flags, texts, signature(), signature()).prop_map(|(ids, flags, texts, signature, new_signature)| {
        let mut signed = SignedAccessToken::default();
        (signed.app_id, signed.expires_at, signed.hub_id, signed.installing_user_id, signed.user_id) = ids;
        (signed.is_private_distribution, signed.is_service_account, signed.is_user_level) = flags;
        (signed.app_install_id, signed.audience, signed.hublet, signed.scopes, ..) = texts.clone();
        (.., signed.scope_to_scope_group_pks, signed.trial_scope_to_scope_group_pks, signed.trial_scopes) =
            texts;
        (signed.signature, signed.new_signature) = (signature, new_signature);
        signed
    })
}

/// Returns random bytes, text like JSON, and responses that are almost right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let almost = r#"{"active":true,"access_token":"a","refresh_token":"r","token_type":"bearer","expires_in":1800,"scopes":["a"],"signed_access_token":{},"errors":[{}],"context":{"a":[]}}"#;
    prop_oneof![
        vec(any::<u8>(), 0..200),
        "[{}\\[\\]\":,0-9a-z]{0,200}".prop_map(String::into_bytes),
        (0..almost.len(), any::<u8>()).prop_map(move |(at, byte)| {
            let mut bytes = almost.as_bytes().to_vec();
            bytes[at] = byte;
            bytes
        }),
        (0..almost.len()).prop_map(move |end| almost.as_bytes()[..end].to_vec()),
    ]
}
