//! HubSpot's own OpenAPI files. For each path there is a request, each parameter is sent or named here as one that is not, and a value
//! made from each schema is read without losing a property.

use std::collections::BTreeSet;

use hs_oauth_core::{
    AccessToken, ApiVersion, App, AuthorizationCode, ClientAssertion, ClientCredentials, ClientSecret, Code,
    CodeVerifier, Credential, Endpoint, Error, ExchangeCode, Introspect, Refresh, RefreshToken, Revoke,
    Timestamp,
};
use http::{Request, Response};
use serde_json::{Map, Value, json};

const FILES: [(&str, &str); 4] = [
    ("v1", include_str!("specifications/v1.json")),
    ("v3", include_str!("specifications/v3.json")),
    ("2026-03", include_str!("specifications/2026-03.json")),
    ("2026-09", include_str!("specifications/2026-09.json")),
];

fn files() -> impl Iterator<Item = (ApiVersion, Value)> {
    FILES.iter().map(|(version, text)| (version.parse().unwrap(), serde_json::from_str(text).unwrap()))
}

fn app(version: ApiVersion, credential: impl Into<Credential>) -> App {
    App::hubspot("client-id", credential).with_version(version).build().unwrap()
}

fn refresh_token() -> RefreshToken {
    RefreshToken::new("na1-refresh").unwrap()
}

fn access_token() -> AccessToken {
    AccessToken::new("access").unwrap()
}

/// Returns one request of every kind.
fn requests(version: ApiVersion) -> Vec<Request<Vec<u8>>> {
    let secret = app(version, ClientSecret::new("secret").unwrap());
    let assertion = app(version, ClientAssertion::new("a.b.c").unwrap());
    let code = AuthorizationCode::from_caller_who_checked_state(
        Code::new("code").unwrap(),
        "https://example.com/cb",
        Some(CodeVerifier::new("v".repeat(43)).unwrap()),
    );
    let refresh = Refresh::new(refresh_token()).with_scopes("oauth".parse().unwrap());
    vec![
        ExchangeCode::new(code).to_http(&secret),
        refresh.to_http(&secret),
        refresh.to_http(&assertion),
        ClientCredentials::new("oauth".parse().unwrap()).to_http(&secret),
        Introspect::new(access_token()).to_http(&secret),
        Introspect::new(refresh_token()).to_http(&secret),
        Revoke::new(refresh_token()).to_http(&secret),
    ]
}

fn names_in(request: &Request<Vec<u8>>) -> impl Iterator<Item = String> {
    let body = String::from_utf8(request.body().clone()).unwrap();
    let names: Vec<_> = body.split('&').map(|pair| pair.split('=').next().unwrap().to_owned()).collect();
    names.into_iter()
}

#[test]
fn every_path_and_method_of_the_files_is_built() {
    for (version, file) in files() {
        let built: BTreeSet<_> = requests(version)
            .iter()
            .map(|request| {
                let path = request.uri().path();
                let path = path
                    .replace("-tokens/access", "-tokens/{token}")
                    .replace("-tokens/na1-refresh", "-tokens/{token}");
                (path, request.method().as_str().to_lowercase())
            })
            .collect();
        let mut documented = BTreeSet::new();
        for (path, methods) in file["paths"].as_object().unwrap() {
            documented
                .extend(methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
        }
        assert_eq!(built, documented, "{version}");
    }
}

#[test]
fn every_form_parameter_of_the_files_is_sent_and_no_other() {
    for (version, file) in files() {
        let mut sent = BTreeSet::new();
        for request in requests(version) {
            let path = request.uri().path().to_owned();
            sent.extend(names_in(&request).filter(|name| !name.is_empty()).map(|name| (path.clone(), name)));
        }
        let mut documented = BTreeSet::new();
        for (path, methods) in file["paths"].as_object().unwrap() {
            let form =
                &methods["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
            for name in form["properties"].as_object().map(Map::keys).into_iter().flatten() {
                documented.insert((path.clone(), name.clone()));
            }
        }
        // The same struct is sent on every version. Only the files of v3 and 2026-03 name client assertions.
        if matches!(version.to_string().as_str(), "v1" | "2026-09") {
            sent.retain(|(_, name)| !name.starts_with("client_assertion"));
        }
        assert_eq!(sent, documented, "{version}");
    }
}

/// The file of v1 allows `client_secret` and `refresh_token` in the query. Secrets do not go into URLs.
#[test]
fn no_secret_is_sent_in_a_query() {
    for (version, _) in files() {
        for request in requests(version) {
            assert_eq!(request.uri().query(), None, "{version}");
        }
    }
}

/// Returns an example of a schema, with a different value for every property.
fn sample(file: &Value, schema: &Value, next: &mut i64) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return sample(file, &file["components"]["schemas"][name], next);
    }
    *next += 1;
    match (schema["type"].as_str().unwrap(), schema["enum"].get(0)) {
        (_, Some(first)) => first.clone(),
        ("string", _) => json!(format!("value-{next}")),
        ("integer", _) => json!(*next),
        ("boolean", _) => json!(true),
        ("array", _) => json!([sample(file, &schema["items"], next)]),
        ("object", _) => match schema["properties"].as_object() {
            Some(properties) => {
                properties.iter().map(|(name, schema)| (name.clone(), sample(file, schema, next))).collect()
            }
            None => json!({ "key": sample(file, &schema["additionalProperties"], next) }),
        },
        (other, _) => panic!("{other}"),
    }
}

fn response_of(body: &Value, status: u16) -> Response<Vec<u8>> {
    Response::builder().status(status).body(body.to_string().into_bytes()).unwrap()
}

/// Reads `body` as the endpoint of the schema does, and writes what was read.
fn read_back(version: ApiVersion, schema: &str, body: &Value) -> Result<Value, Error> {
    let app = app(version, ClientSecret::new("secret").unwrap());
    let now = Timestamp::from_secs(0);
    let response = response_of(body, 200);
    let written = match schema {
        "AccessTokenResponse" => {
            serde_json::to_value(Refresh::new(refresh_token()).read_response(&app, now, &response)?).unwrap()
        }
        "ClientCredentialsTokenResponse" => {
            let grant = ClientCredentials::new("oauth".parse().unwrap());
            serde_json::to_value(grant.read_response(&app, now, &response)?).unwrap()
        }
        "PublicAccessTokenInfoResponse" | "AccessTokenInfoResponse" | "TokenInfoResponseBaseIF" => {
            serde_json::to_value(Introspect::new(access_token()).read_response(&app, now, &response)?)
                .unwrap()
        }
        "PublicRefreshTokenInfoResponse" | "RefreshTokenInfoResponse" => {
            serde_json::to_value(Introspect::new(refresh_token()).read_response(&app, now, &response)?)
                .unwrap()
        }
        "Error" => {
            let error =
                Refresh::new(refresh_token()).read_response(&app, now, &response_of(body, 400)).unwrap_err();
            serde_json::from_slice(error.as_api().unwrap().to_response().body()).unwrap()
        }
        other => panic!("the files have a schema of a new name: {other}"),
    };
    Ok(written)
}

#[test]
fn every_property_of_every_schema_is_read() {
    // Schemas that are parts of others. A schema without a type is a choice between others.
    let parts = ["ErrorDetail", "SignedAccessToken"];
    let mut rows = 0;
    for (version, file) in files() {
        for (name, schema) in file["components"]["schemas"].as_object().unwrap() {
            if parts.contains(&name.as_str()) || schema.get("type").is_none() {
                continue;
            }
            let mut body = sample(&file, schema, &mut 0);
            match name.as_str() {
                "AccessTokenResponse" | "ClientCredentialsTokenResponse" => {
                    body["token_type"] = json!("bearer")
                }
                "TokenInfoResponseBaseIF" => body["active"] = json!(false),
                _ => {}
            }
            let written =
                read_back(version, name, &body).unwrap_or_else(|error| panic!("{version} {name}: {error}"));
            for (property, value) in body.as_object().unwrap() {
                assert_eq!(&written[property], value, "{version} {name}.{property}");
                rows += 1;
            }
        }
    }
    assert!(rows > 140, "the files were read: {rows}");
}

/// Some properties are needed: without them a token cannot be used, or its account not be named. All others may be absent, even where
/// the files call them required.
#[test]
fn a_missing_property_is_an_error_only_if_it_is_needed() {
    let needed = |schema: &str| -> &[&str] {
        match schema {
            "AccessTokenResponse" => &["access_token", "expires_in", "token_type"],
            "ClientCredentialsTokenResponse" => &["access_token", "expires_in", "token_type"],
            "PublicAccessTokenInfoResponse" => &["active", "app_id", "expires_in", "hub_id", "scopes"],
            "AccessTokenInfoResponse" => &["app_id", "expires_in", "hub_id", "scopes"],
            "PublicRefreshTokenInfoResponse" => &["active", "client_id", "hub_id", "scopes"],
            "RefreshTokenInfoResponse" => &["client_id", "hub_id", "scopes"],
            "TokenInfoResponseBaseIF" => &["active"],
            _ => &[],
        }
    };
    for (version, file) in files() {
        for (name, schema) in file["components"]["schemas"].as_object().unwrap() {
            if matches!(name.as_str(), "Error" | "ErrorDetail" | "SignedAccessToken")
                || schema.get("type").is_none()
            {
                continue;
            }
            for property in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let mut body = sample(&file, schema, &mut 0);
                if name.ends_with("TokenResponse") {
                    body["token_type"] = json!("bearer");
                }
                body.as_object_mut().unwrap().remove(property);
                match read_back(version, name, &body) {
                    Err(Error::Response(error)) => {
                        let named: Vec<_> =
                            error.problems.iter().filter_map(|problem| problem.field()).collect();
                        assert_eq!(named, [property], "{version} {name}");
                        assert!(
                            needed(name).contains(&property),
                            "{version} {name}.{property} is not needed"
                        );
                    }
                    Err(error) => panic!("{version} {name}.{property}: {error}"),
                    Ok(_) => {
                        assert!(!needed(name).contains(&property), "{version} {name}.{property} is needed")
                    }
                }
            }
        }
    }
}
