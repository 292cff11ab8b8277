use std::fmt;
use std::time::Duration;

use hs_oauth_core::Timestamp;
use hs_oauth_core::server::Received;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, StatusCode};

use crate::accounts::Accounts;
use crate::answers::{self, Answer};
use crate::authorize::Variant;
use crate::consent::{self, Tickets};
use crate::faults::{Fault, Faults, Target};
use crate::ids::Minter;
use crate::journal::{Entry, Journal, Mask};
use crate::settings::{Rotation, Settings};
use crate::{account_info, control, pages, token};

/// The largest body that is read, in bytes: 1 MiB. A larger one is answered with 413.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// The versions of the token API that are served. Any other is an unknown address.
pub const SERVED_VERSIONS: [&str; 4] = ["v1", "v3", "2026-03", "2026-09"];

/// HubSpot, as far as OAuth goes: one app, the accounts that may install it, and all that was granted.
///
/// Holds its state in memory and decides everything from its arguments: the same settings and the same requests at the
/// same times give the same answers. What has expired is forgotten.
pub struct Emulator {
    pub(crate) settings: Settings,
    pub(crate) accounts: Accounts,
    pub(crate) minter: Minter,
    pub(crate) tickets: Tickets,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) rotation: Rotation,
    pub(crate) removed: Vec<&'static str>,
    pub(crate) advanced: Duration,
}

impl Emulator {
    /// An emulator in which nothing has happened yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            accounts: Accounts::new(&settings),
            minter: Minter::new(settings.seed),
            tickets: Tickets::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            rotation: settings.rotation,
            removed: Vec::new(),
            advanced: Duration::ZERO,
            settings,
        }
    }

    /// Answers one request. `now` is the caller's time; the emulator's own is as much later as it was advanced.
    ///
    /// There is an answer to every request, and it is a 5xx only if a fault was ordered. If the answer is to be delayed
    /// or not to arrive whole, its extensions say so: see [`Delivery`](crate::Delivery).
    pub fn handle(&mut self, now: Timestamp, mut request: Request<Vec<u8>>) -> Answer {
        let now = now.plus(self.advanced);
        let is_head = request.method() == Method::HEAD;
        let path = request.uri().path();
        let mask = Mask { minter: &self.minter, settings: &self.settings };
        let mut entry = (!control::is_under(path)).then(|| Entry::of(mask, now, &request));
        // HEAD is safe (RFC 9110 §9.2.1), and the GET of a consent page is not: it makes a ticket or a code.
        if is_head && Variant::of(path).is_none() {
            *request.method_mut() = Method::GET;
        }
        let mut answer = match &mut entry {
            _ if request.body().len() > LARGEST_BODY => self.too_large(),
            None => control::answer(self, now, &request),
            Some(entry) => self.route(now, &request, entry),
        };
        if is_head {
            let length = HeaderValue::from(answer.body().len());
            answer.headers_mut().insert(CONTENT_LENGTH, length);
            answer.body_mut().clear();
        }
        if let Some(mut entry) = entry {
            let is_real = entry.fault != Some("drop_before");
            entry.status = is_real.then(|| answer.status().as_u16());
            self.journal.push(entry);
        }
        answer
    }

    fn route(&mut self, now: Timestamp, request: &Request<Vec<u8>>, entry: &mut Entry) -> Answer {
        let path = request.uri().path();
        if let Some(variant) = Variant::of(path) {
            return consent::answer(self, now, variant, request);
        }
        let version = path.strip_prefix("/oauth/").and_then(|rest| rest.split('/').next());
        if let Some(version) = version.filter(|version| SERVED_VERSIONS.contains(version)) {
            if self.removed.contains(&version) {
                return self.version_removed(version);
            }
            let received = Received::read_request(request);
            entry.operation = received.as_ref().ok().and_then(Target::of);
            entry.hub_id = received.as_ref().ok().and_then(|received| token::owner(&self.accounts, received));
            return self.under_faults(entry, |emulator| token::answer(emulator, now, request, received));
        }
        match path {
            account_info::PATH => {
                entry.operation = Some(Target::AccountInfo);
                entry.hub_id = account_info::bearer(request).and_then(|token| self.accounts.owner(token));
                self.under_faults(entry, |emulator| account_info::answer(emulator, now, request))
            }
            "/" if request.method() == Method::GET => {
                answers::page(StatusCode::OK, pages::home_page(&self.settings, &SERVED_VERSIONS))
            }
            "/" => answers::wrong_method(&mut self.minter, request.method(), "GET, HEAD, OPTIONS"),
            _ => answers::refused(&mut self.minter, answers::nothing_here()),
        }
    }

    /// Does what was asked, as far as the next fault lets it.
    fn under_faults(&mut self, entry: &mut Entry, act: impl FnOnce(&mut Self) -> Answer) -> Answer {
        let Some(fault) = self.faults.take(entry.operation) else {
            return act(self);
        };
        entry.fault = Some(fault.name());
        let answer = fault.acts().then(|| act(self));
        fault.befall(answer, &mut self.minter)
    }

    fn version_removed(&mut self, version: &str) -> Answer {
        let message = format!("version {version} of this API was removed");
        answers::refused(&mut self.minter, answers::not_found(message))
    }

    fn too_large(&mut self) -> Answer {
        let message = format!("the body is larger than {LARGEST_BODY} bytes");
        let error = answers::error(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "error", message);
        answers::refused(&mut self.minter, error)
    }

    /// What the emulator was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The newest requests, oldest first; not those to `/_emulator/`.
    pub fn journal(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.journal.iter()
    }

    /// Forgets the requests so far.
    pub fn clear_journal(&mut self) {
        self.journal.clear();
    }

    /// Puts a fault behind those that are still to come.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Drops the faults that are still to come.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Puts the emulator's clock ahead by as much again.
    pub fn advance(&mut self, by: Duration) {
        self.advanced = self.advanced.saturating_add(by);
    }

    /// What a refresh does to the refresh token from now on.
    pub fn set_rotation(&mut self, rotation: Rotation) {
        self.rotation = rotation;
    }

    /// Which versions are answered as removed from now on. Names that are not in [`SERVED_VERSIONS`] count for nothing.
    pub fn set_removed_versions<V: AsRef<str>>(&mut self, versions: impl IntoIterator<Item = V>) {
        self.removed = (versions.into_iter())
            .filter_map(|version| SERVED_VERSIONS.into_iter().find(|served| *served == version.as_ref()))
            .collect();
    }

    /// A new account, or one in place of a deleted one. False if the account is there already.
    pub fn add_hub(&mut self, hub_id: i64, hub_domain: impl Into<String>) -> bool {
        self.accounts.add_hub(hub_id, hub_domain.into())
    }

    /// The account removes the app: none of its tokens is good any more. False if there is no such account.
    pub fn uninstall(&mut self, hub_id: i64) -> bool {
        self.accounts.uninstall(hub_id)
    }

    /// The account goes away: a refresh for it is answered with `BAD_HUB`. False if there is no such account.
    pub fn delete_hub(&mut self, hub_id: i64) -> bool {
        self.accounts.delete_hub(hub_id)
    }

    /// Back to the settings: no grant, no fault, an empty journal, the caller's time. Tokens given before stay unknown;
    /// none is ever given twice.
    pub fn reset(&mut self) {
        let settings = self.settings.clone();
        let mut fresh = Self::new(settings);
        std::mem::swap(&mut fresh.minter, &mut self.minter);
        *self = fresh;
    }
}

impl fmt::Debug for Emulator {
    /// The settings and the rules in force; no token, no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("settings", &self.settings)
            .field("rotation", &self.rotation)
            .field("removed", &self.removed)
            .field("advanced", &self.advanced)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hmac_sha256::Hash;
    use hs_oauth_core::{Introspect, RefreshToken, Revoke};
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::testing::{ALL_VERSIONS, Bench, assert_refusal, json};

    fn request(method: &str, path: &str, content_type: &str, body: &[u8]) -> Request<Vec<u8>> {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content_type);
        request.body(body.to_vec()).unwrap()
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    /// RFC 9110 §15.5.
    #[test]
    fn what_is_no_call_of_the_api_is_refused_in_json() {
        let mut bench = Bench::new();
        let large = vec![b'a'; LARGEST_BODY + 1];
        for version in ALL_VERSIONS {
            let token = format!("/oauth/{version}/token");
            for (method, path, content_type, body, status) in [
                ("GET", token.as_str(), FORM, &b""[..], 405),
                ("PUT", &token, FORM, b"", 405),
                ("DELETE", &token, FORM, b"", 405),
                ("PATCH", &token, FORM, b"", 405),
                ("TRACE", &token, FORM, b"", 405),
                ("POST", &token, "application/json", b"{}", 415),
                ("POST", &token, "multipart/form-data; boundary=x", b"", 415),
                ("POST", &token, "", b"", 415),
                ("POST", &token, FORM, &large, 413),
                ("POST", &format!("{token}/"), FORM, b"", 404),
                ("POST", &format!("{token}/nope"), FORM, b"", 404),
                ("POST", &format!("/oauth/{version}"), FORM, b"", 404),
            ] {
                let answer = bench.send(request(method, path, content_type, body));
                assert_eq!(answer.status(), status, "{method} {path} {content_type}");
                assert_refusal(&answer);
                let allow = answer.headers().get("allow").map(|allow| allow.to_str().unwrap());
                assert_eq!(allow, (status == 405).then_some("POST, OPTIONS"));
            }
        }
        for (method, path, status) in [
            ("GET", "/nope", 404),
            ("GET", "/oauth/v2/token", 404),
            ("POST", "/oauth/2026-04/token", 404),
            ("POST", "/oauth/v1/token/introspect", 404),
            ("POST", "/oauth/v1/access-tokens/x", 405),
            ("DELETE", "/oauth/v1/access-tokens/x", 405),
            ("PUT", "/oauth/v1/refresh-tokens/x", 405),
            ("GET", "/oauth/v1/access-tokens/", 404),
            ("GET", "/oauth/v1/access-tokens/a/b", 404),
            ("POST", "/", 405),
            ("POST", "/account-info/v3/details", 405),
        ] {
            let answer = bench.send(request(method, path, FORM, b""));
            assert_eq!(answer.status(), status, "{method} {path}");
            assert_refusal(&answer);
        }
    }

    /// RFC 9110 §9.3.2 and §9.3.7.
    #[test]
    fn head_is_get_without_a_body_and_options_names_the_methods() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let path = format!("/oauth/v1/access-tokens/{}", tokens.access_token.expose());
        let length = bench.get(&path).body().len();
        let answer = bench.send(request("HEAD", &path, FORM, b""));
        assert_eq!((answer.status().as_u16(), answer.body().len()), (200, 0));
        assert_eq!(answer.headers()["content-length"], length.to_string());
        assert_eq!(bench.send(request("HEAD", "/oauth/v3/token", FORM, b"")).status(), 405);
        assert_eq!(bench.emulator.journal().last().unwrap().method, "HEAD");

        for (path, allow) in [
            ("/oauth/v3/token", "POST, OPTIONS"),
            ("/oauth/v1/refresh-tokens/x", "GET, HEAD, DELETE, OPTIONS"),
            ("/oauth/authorize", "GET, POST, OPTIONS"),
            ("/", "GET, HEAD, OPTIONS"),
        ] {
            let answer = bench.send(request("OPTIONS", path, FORM, b""));
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["allow"]),
                (204, &allow.parse().unwrap())
            );
        }
    }

    #[test]
    fn a_body_of_exactly_the_limit_is_read() {
        let mut bench = Bench::new();
        let body = vec![b'a'; LARGEST_BODY];
        assert_eq!(bench.send(request("POST", "/oauth/v3/token", FORM, &body)).status(), 400);
    }

    #[test]
    fn the_journal_says_whose_token_came_in_even_one_that_was_replaced() {
        let mut bench = Bench::with(|settings| settings.rotation = Rotation::Rotate);
        let tokens = bench.install();
        bench.refresh(&tokens).unwrap();
        bench.refresh(&tokens).unwrap_err();
        bench.introspect(tokens.access_token.clone());
        bench.introspect(RefreshToken::new("nobody-knows-this-one").unwrap());
        let seen: Vec<_> = bench.emulator.journal().filter(|entry| entry.operation.is_some()).collect();
        let seen: Vec<_> = seen.iter().map(|entry| (entry.status, entry.hub_id)).collect();
        let ours = Some(62515);
        assert_eq!(
            seen,
            [(Some(200), ours), (Some(200), ours), (Some(400), ours), (Some(200), ours), (Some(200), None)]
        );
    }

    /// HubSpot's API reference: v1 goes away on 2027-02-16. A client must not take that for tokens that are gone.
    #[test]
    fn a_removed_version_is_not_taken_for_an_unknown_token() {
        let mut bench = Bench::new().on("v1");
        let tokens = bench.install();
        bench.emulator.set_removed_versions(["v1", "v9"]);
        let refresh_token = tokens.refresh_token.clone().unwrap();
        for error in [
            bench.call(&Introspect::new(tokens.access_token.clone())).unwrap_err(),
            bench.call(&Revoke::new(refresh_token)).unwrap_err(),
            bench.refresh(&tokens).unwrap_err(),
        ] {
            assert_eq!(
                (error.status().unwrap().as_u16(), error.next_step().name()),
                (404, "fix_configuration")
            );
        }
        let answer = bench.get("/oauth/v1/access-tokens/x");
        assert_refusal(&answer);
        assert_eq!(json(&answer)["message"], "version v1 of this API was removed");
        bench.version = "v3".parse().unwrap();
        bench.refresh(&tokens).unwrap();
        bench.emulator.set_removed_versions::<&str>([]);
        bench.version = "v1".parse().unwrap();
        bench.refresh(&tokens).unwrap();
    }

    #[test]
    fn the_same_seed_and_requests_give_the_same_answers() {
        let run = |seed| {
            let mut bench = Bench::with(|settings| settings.seed = [seed; 32]);
            let tokens = bench.install();
            let refusal = bench.post("/oauth/v3/token", "grant_type=x");
            (tokens, refusal.into_body())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_reset_forgets_everything_and_gives_no_token_twice() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        bench.emulator.advance(Duration::from_secs(5));
        bench.emulator.set_rotation(Rotation::Strict);
        bench.emulator.inject(Fault::status(503));
        bench.emulator.add_hub(7, "seven.example");
        bench.emulator.reset();
        assert!(!bench.is_active(tokens.access_token.clone()));
        let again = bench.install();
        assert_ne!(again.access_token, tokens.access_token);
        assert_eq!(again.expires_at, tokens.expires_at);
        assert_eq!(bench.refresh(&again).unwrap().refresh_token, again.refresh_token);
        assert!(bench.emulator.add_hub(7, "seven.example"));
    }

    #[test]
    fn the_journal_tells_what_was_asked_and_not_how_to_ask_it_again() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        bench.emulator.clear_journal();
        bench.emulator.inject(Fault::status(503));
        bench.refresh(&tokens).unwrap_err();
        bench.emulator.inject(Fault::drop_before());
        bench.refresh(&tokens).unwrap_err();
        bench.control(Method::GET, "/journal", "");
        let entries: Vec<_> = bench.emulator.journal().collect();
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[1].fault, entries[1].status), (Some("drop_before"), None));
        assert_eq!(
            (entries[0].operation, entries[0].fault, entries[0].status),
            (Some(Target::Refresh), Some("status"), Some(503))
        );
        let shown = format!("{entries:?} {:?}", bench.emulator);
        assert!(!shown.contains(tokens.refresh_token.as_ref().unwrap().expose()));
        assert!(!shown.contains(&bench.emulator.settings().client_secret));
    }

    /// Clients that mix up their parameters send secrets under public names.
    #[test]
    fn no_live_secret_is_in_the_journal_wherever_it_stood() {
        for client_secret in ["0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0", "s3/cr et", "xyz"] {
            let mut bench = Bench::with(|settings| {
                settings.client_secret = client_secret.to_owned();
                settings.auto_approve = true;
            });
            let code = bench.code("oauth").code().expose().to_owned();
            let other = bench.code("oauth");
            let app = bench.app_with(client_secret);
            let exchange = hs_oauth_core::Endpoint::to_http(&hs_oauth_core::ExchangeCode::new(other), &app);
            let tokens = json(&bench.send(exchange));
            let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
            for secret in [client_secret.to_owned(), code, text("access_token"), text("refresh_token")] {
                let escaped =
                    percent_encoding::utf8_percent_encode(&secret, percent_encoding::NON_ALPHANUMERIC);
                let escaped = escaped.to_string();
                for written in [&secret, &escaped, &format!("long enough to show its beginning {secret}/1")] {
                    let value = form_urlencoded::byte_serialize(written.as_bytes()).collect::<String>();
                    let names =
                        ["client_id", "scope", "redirect_uri", "grant_type", "token_type_hint", "state"];
                    let form = names.map(|name| format!("{name}={value}")).join("&");
                    bench.post(&format!("/oauth/v3/token?{form}&{value}=1"), &form);
                    let headers = Request::get(format!("/x/y{escaped}z/oauth"))
                        .method(if secret.contains([' ', '/']) { "GET" } else { &*secret })
                        .header(CONTENT_TYPE, written)
                        .header("user-agent", format!("app/1.0 ({written})"));
                    bench.send(headers.body(Vec::new()).unwrap());
                    if !secret.contains(' ') {
                        bench.get(&format!("/oauth/v9/{secret}"));
                    }
                }
                for entry in bench.emulator.journal() {
                    let shown = serde_json::to_string(entry).unwrap();
                    let values = shown.replace("access_token", "").replace("refresh_token", "");
                    assert!(!values.contains(&secret) && !values.contains(&escaped), "{secret} in {shown}");
                }
            }
        }
    }

    #[test]
    fn what_is_public_is_in_the_journal_as_it_came() {
        let uri = "https://app.example/0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f9/cb?a=%20b+c";
        let mut bench = Bench::with(|settings| settings.redirect_uris = vec![uri.to_owned()]);
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", "a1b2c3d4-e5f6-7890-abcd-ef1234567890"),
            ("redirect_uri", uri),
            ("scope", "oauth crm.objects.contacts.highly_sensitive.read.v2 100%"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        bench.post("/oauth/2026-09/token", &form);
        let entry = bench.emulator.journal().next_back().unwrap();
        let shown = entry.parameters.iter().map(|pair| (pair.name.as_str(), pair.value.as_str()));
        assert_eq!(shown.collect::<Vec<_>>(), pairs);
        assert_eq!(
            (entry.path.as_str(), entry.content_type.as_deref()),
            ("/oauth/2026-09/token", Some("application/x-www-form-urlencoded"))
        );
    }

    /// What strict clients hold a server to.
    #[test]
    fn no_input_gives_a_5xx_or_shows_the_secret() {
        let mut bench = Bench::new();
        let secret = bench.emulator.settings().client_secret.clone();
        let methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"];
        let paths = [
            "/",
            "/oauth/v1/token",
            "/oauth/v3/token",
            "/oauth/2026-03/token/introspect",
            "/oauth/2026-09/token/revoke",
            "/oauth/v1/access-tokens/%ff%zz",
            "/oauth/v1/refresh-tokens/..",
            "/oauth/authorize",
            "/oauth/62515/authorize",
            "/oauth/authorize/user",
            "/account-info/v3/details",
            "/_emulator/faults",
            "/_emulator/hubs/x",
            "/_emulator/clock",
            "/%00",
            "/oauth/",
            "/oauth//token",
        ];
        let words = [
            "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890",
            "client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0",
            "client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f1",
            "grant_type=refresh_token",
            "grant_type=authorization_code",
            "grant_type=client_credentials",
            "refresh_token=x",
            "token=%ff%fe",
            "code=%00",
            "code_verifier=%22",
            "scope=%5C",
            "redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback",
            "state=%F0%9F%98%80",
            "=",
            "&",
            "%",
            "token_type_hint=x",
            "{\"advance\":18446744073709551615}",
            "[[[",
            "\u{0}\u{ff}",
            "code_challenge=x",
            "optional_scope=%2B",
            "hub_id=-1",
        ];
        let types = [FORM, "application/json", "", "text/plain; charset=\u{0}x"];
        let mut noise = Hash::hash(b"noise");
        for _ in 0..20_000 {
            noise = Hash::hash(&noise);
            let pick = |index: usize| usize::from(noise[index]) << 8 | usize::from(noise[index + 1]);
            let count = pick(0) % 6;
            let body: Vec<_> = (0..count).map(|index| words[pick(2 + 2 * index) % words.len()]).collect();
            let query: Vec<_> = words
                .iter()
                .copied()
                .filter(|word| word.is_ascii() && !word.contains(['\0', '{', '[']))
                .collect();
            let path = format!("{}?{}", paths[pick(20) % paths.len()], query[pick(22) % query.len()]);
            let mut request = Request::builder().method(methods[pick(24) % methods.len()]).uri(path);
            if let Ok(content_type) = HeaderValue::try_from(types[pick(26) % types.len()]) {
                request = request.header(CONTENT_TYPE, content_type);
            }
            let request = request.body(body.join("&").into_bytes()).unwrap();
            let shown = format!("{request:?}");
            let answer = bench.send(request);
            assert!(!answer.status().is_server_error(), "{shown} {answer:?}");
            assert!(!String::from_utf8_lossy(answer.body()).contains(&secret), "{shown}");
        }
        assert!(RefreshToken::new("x").is_ok());
    }
}
