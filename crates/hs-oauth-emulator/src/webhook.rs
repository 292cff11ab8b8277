//! Webhooks: requests to the application, signed as HubSpot signs them (HubSpot's documentation, "Validating requests").

use hs_oauth_core::{ClientSecret, RequestSignatureVersion, Timestamp};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::loopback::is_loopback;
use crate::settings::Settings;

/// A request to an application on this machine, to be signed as HubSpot does.
///
/// A webhook is made with these functions or read from JSON. [`Emulator::sign_webhook`](crate::Emulator::sign_webhook) signs it.
///
/// ```
/// use hs_oauth_core::{ClientSecret, RequestVerifier, Timestamp};
/// use hs_oauth_emulator::{Emulator, Settings, Webhook};
///
/// let settings = Settings::new([7; 32]);
/// let verifier = RequestVerifier::new(ClientSecret::new(&settings.client_secret)?);
/// let emulator = Emulator::new(settings);
///
/// let now = Timestamp::from_secs(1_790_000_000);
/// let webhook = Webhook::new("http://localhost:3000/webhooks").with_body(r#"[{"subscriptionType":"contact.creation"}]"#);
/// let (request, body) = emulator.sign_webhook(now, &webhook)?.into_parts();
/// verifier.verify(now, &request, "http://localhost:3000/webhooks", &body)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    url: String,
    /// The app that it is for; `None` if it is for the first one.
    client_id: Option<String>,
    #[serde(default = "v3", deserialize_with = "version")]
    version: RequestSignatureVersion,
    #[serde(default = "post", deserialize_with = "method")]
    method: Method,
    #[serde(default, deserialize_with = "text_or_json")]
    body: Vec<u8>,
}

impl Webhook {
    /// Returns a `POST` without a body, to be signed in version 3. `url` begins with `http://`, and its host is an address of
    /// 127.0.0.0/8, `[::1]`, `localhost` or a name under `localhost`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), client_id: None, version: v3(), method: post(), body: Vec::new() }
    }

    /// Sets the app that it is for, whose client secret signs it. Without this, it is the first one.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets the version of the signature.
    #[must_use]
    pub fn with_version(mut self, version: RequestSignatureVersion) -> Self {
        self.version = version;
        self
    }

    /// Sets the method.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets the body, which is sent and signed as it is.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the signed request.
    pub(crate) fn to_request(&self, settings: &Settings, now: Timestamp) -> Result<Request<Vec<u8>>, String> {
        let uri = loopback_url(&self.url)?;
        let app =
            self.client_id.as_deref().map_or(Some(settings.first_app()), |client_id| settings.app(client_id));
        let app = app.ok_or("no app has this client_id")?;
        let secret = ClientSecret::new(app.client_secret).map_err(|error| error.to_string())?;
        let url = uri.to_string();
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("hs-oauth-emulator"));
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.extend(self.version.sign(&secret, now, &self.method, &url, &self.body));
        Ok(request)
    }
}

/// The signed request of a webhook, among the extensions of the response to who asked for it.
#[derive(Clone)]
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "only the server takes it out"))]
pub(crate) struct SignedWebhook(pub(crate) Request<Vec<u8>>);

/// Reads a URL to which a webhook may be sent. Its path is at least `/`, so that what is signed is what is sent.
fn loopback_url(text: &str) -> Result<Uri, String> {
    const WANTED: &str = "url must begin with http:// and have a loopback host: an address of 127.0.0.0/8, [::1], localhost or a name \
        under localhost";
    if text.contains('#') {
        return Err("url may not have a fragment".to_owned());
    }
    let uri: Uri = text.parse().map_err(|_| WANTED.to_owned())?;
    let is_accepted = uri.authority().is_some_and(|authority| is_loopback(authority.as_str().as_bytes()));
    if !is_accepted || uri.scheme_str() != Some("http") {
        return Err(WANTED.to_owned());
    }
    // A query without a path is written with one, as a browser does.
    let mut parts = uri.into_parts();
    let target = parts.path_and_query.as_ref().map_or("/", |target| target.as_str());
    if !target.starts_with('/') {
        parts.path_and_query = Some(format!("/{target}").parse().map_err(|_| WANTED.to_owned())?);
    }
    Uri::from_parts(parts).map_err(|_| WANTED.to_owned())
}

fn v3() -> RequestSignatureVersion {
    RequestSignatureVersion::V3
}

fn post() -> Method {
    Method::POST
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestSignatureVersion, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Version {
        V1,
        V2,
        V3,
    }
    Ok(match Version::deserialize(deserializer)? {
        Version::V1 => RequestSignatureVersion::V1,
        Version::V2 => RequestSignatureVersion::V2,
        Version::V3 => RequestSignatureVersion::V3,
    })
}

fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom("method is not a method of HTTP"))
}

/// Reads the text of a string, and any other JSON byte for byte as it was written.
fn text_or_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let json = Box::<RawValue>::deserialize(deserializer)?;
    match json.get() {
        "null" => Ok(Vec::new()),
        text if text.starts_with('"') => {
            serde_json::from_str::<String>(text).map(String::into_bytes).map_err(serde::de::Error::custom)
        }
        json => Ok(json.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{RequestSignatureError, RequestVerifier};

    use super::*;
    use crate::testing::Harness;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn verify(
        now: Timestamp,
        request: Request<Vec<u8>>,
    ) -> Result<RequestSignatureVersion, RequestSignatureError> {
        let verifier = RequestVerifier::new(ClientSecret::new(Settings::new([0; 32]).client_secret).unwrap());
        let (parts, body) = request.into_parts();
        verifier.verify(now, &parts, &parts.uri.to_string(), &body)
    }

    fn read(json: &str) -> Webhook {
        serde_json::from_str(json).unwrap()
    }

    /// HubSpot's documentation, "Validating requests": each version, with the client secret of the app.
    #[test]
    fn a_webhook_of_each_version_is_verified_as_hubspots() {
        use RequestSignatureVersion::{V1, V2, V3};
        for (json, version, method, body) in [
            (r#"{"url":"http://localhost:3000/hook"}"#, V3, "POST", ""),
            (
                r#"{"url":"http://localhost/hook?a=%3A+b","version":"v3","body":[{"eventId":1}]}"#,
                V3,
                "POST",
                r#"[{"eventId":1}]"#,
            ),
            (r#"{"url":"http://127.0.0.1:1","version":"v2","method":"GET"}"#, V2, "GET", ""),
            (r#"{"url":"http://[::1]:1/","version":"v1","body":"[ 1,\n2 ]"}"#, V1, "POST", "[ 1,\n2 ]"),
            (r#"{"url":"http://a.localhost:1?x","version":"v2","method":"PUT","body":{}}"#, V2, "PUT", "{}"),
        ] {
            let request = read(json).to_request(&Settings::new([0; 32]), NOW).unwrap();
            assert_eq!((request.method().as_str(), &**request.body()), (method, body.as_bytes()), "{json}");
            assert!(request.uri().path_and_query().unwrap().as_str().starts_with('/'), "{json}");
            assert_eq!(request.headers().contains_key(CONTENT_TYPE), !body.is_empty());
            assert_eq!(verify(NOW, request), Ok(version), "{json}");
        }
    }

    /// HubSpot's FAQ, `v1`: the signature covers each byte of the body. A body that is read and written again has another one.
    #[test]
    fn a_body_of_json_is_sent_and_signed_byte_for_byte_as_it_was_written() {
        const BODY: &str = r#"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#;
        let mut settings = Settings::new([0; 32]);
        settings.client_secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy".to_owned();
        let json = format!(r#"{{"url":"http://localhost/","version":"v1","body":{BODY}}}"#);
        let request = read(&json).to_request(&settings, NOW).unwrap();
        assert_eq!(std::str::from_utf8(request.body()).unwrap(), BODY);
        let signature = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de";
        assert_eq!(request.headers()["x-hubspot-signature"], signature);

        let body = |body: &str| read(&format!(r#"{{"url":"http://localhost/","body": {body} }}"#)).body;
        for text in ["[ 1.0, 1e400,\n 18446744073709551616 ]", r#"{"b":1,"a":2,"b":"\u00e4"}"#, "false"] {
            assert_eq!(body(text), text.as_bytes());
        }
        assert_eq!((body("null"), body(r#""\u00e4\"""#)), (b"".to_vec(), "ä\"".into()));
    }

    #[test]
    fn a_webhook_is_signed_at_the_time_of_the_emulators_clock() {
        let mut harness = Harness::new();
        let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
        harness.emulator.advance(minutes(6));
        let request = harness.emulator.sign_webhook(NOW, &Webhook::new("http://localhost/")).unwrap();
        let ahead = minutes(6);
        assert_eq!(verify(NOW, request.clone()), Err(RequestSignatureError::FromTheFuture { ahead }));
        assert_eq!(verify(NOW.plus(ahead), request), Ok(RequestSignatureVersion::V3));
    }

    #[test]
    fn a_webhook_is_signed_with_the_secret_of_the_app_that_it_is_for() {
        let mut settings = Settings::new([0; 32]);
        settings.more_apps = vec![crate::AppSettings::new("other", "its secret")];
        let webhook = read(r#"{"url":"http://localhost/","client_id":"other"}"#);
        let (parts, body) = webhook.to_request(&settings, NOW).unwrap().into_parts();
        let verifier = RequestVerifier::new(ClientSecret::new("its secret").unwrap());
        let verified = verifier.verify(NOW, &parts, "http://localhost/", &body);
        assert_eq!(verified, Ok(RequestSignatureVersion::V3));
        let error =
            Webhook::new("http://localhost/").with_client_id("x").to_request(&settings, NOW).unwrap_err();
        assert_eq!(error, "no app has this client_id");
    }

    #[test]
    fn a_webhook_goes_to_loopback_only() {
        let emulator = Harness::new().emulator;
        for url in [
            "https://localhost/",
            "http://evil.example/",
            "http://localhost@evil.example/",
            "http://evil.example@localhost/",
            "http://evil.example:80/localhost",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "http://localhost.evil.example/",
            "//localhost/",
            "/hook",
            "localhost:3000",
            "file:///etc/hosts",
            "http://localhost/#a",
            "",
        ] {
            let error = emulator.sign_webhook(NOW, &Webhook::new(url)).unwrap_err();
            assert!(error.contains("loopback") || error.contains("fragment"), "{url}: {error}");
        }
    }

    /// Without the server, the request that is to be sent is in the response.
    #[test]
    fn the_control_api_shows_the_signed_request() {
        let mut harness = Harness::new();
        let body = r#"{"url":"http://localhost:3000/hook","body":"[]","method":"PUT"}"#;
        let (status, shown) = harness.control(Method::POST, "/webhooks", body);
        assert_eq!(
            (status, &shown["method"], &shown["url"]),
            (200, &"PUT".into(), &"http://localhost:3000/hook".into())
        );
        assert_eq!(shown["body"], "[]");
        assert!(shown["headers"]["x-hubspot-signature-v3"].is_string(), "{shown}");
        assert_eq!(harness.control(Method::GET, "/webhooks", "").0, 405);
    }
}
