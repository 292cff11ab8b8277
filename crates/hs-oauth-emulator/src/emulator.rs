use std::fmt;
use std::time::Duration;

use hs_oauth_core::{Scopes, Timestamp};
use http::{Request, Response};

use crate::faults::Fault;
use crate::journal::Entry;
use crate::routes;
use crate::settings::{Permissions, Rotation, Settings};
use crate::state::State;
use crate::webhook::Webhook;

/// An emulator of HubSpot's OAuth: the apps, the accounts that can install them, and what they have granted.
///
/// It holds its state in memory and computes everything from its arguments: the same settings and the same requests at
/// the same times give the same responses. It forgets expired codes and tokens.
pub struct Emulator {
    pub(crate) state: State,
}

impl Emulator {
    /// Returns an emulator with the accounts of `settings` and no grants.
    pub fn new(settings: Settings) -> Self {
        Self { state: State::new(settings) }
    }

    /// Returns the response to one request. `now` is the time by the caller's clock. The emulator's own clock is ahead
    /// of it by the sum of what was given to [`Emulator::advance`].
    ///
    /// Every request gets a response. Its status is 5xx only if a [`Fault`] asks for it, or 501 for an address that is not emulated. The
    /// response's extensions say whether it is to be delayed or interrupted: see [`Delivery`](crate::Delivery).
    pub fn handle(&mut self, now: Timestamp, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        let now = self.state.emulated_time(now);
        routes::respond(&mut self.state, now, request)
    }

    /// Returns the response to a request that is not handled. It is not in the journal.
    #[cfg(feature = "server")]
    pub(crate) fn refuse(&mut self, error: Box<hs_oauth_core::ApiError>) -> Response<Vec<u8>> {
        crate::responses::error_response(&mut self.state.token_generator, error)
    }

    /// Returns the settings that the emulator was made with.
    pub fn settings(&self) -> &Settings {
        &self.state.settings
    }

    /// Returns the newest requests, oldest first. Requests to the control API under `/_emulator/` are not among them.
    pub fn journal(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.state.journal.iter()
    }

    /// Removes all requests from the journal.
    pub fn clear_journal(&mut self) {
        self.state.journal.clear();
    }

    /// Adds a fault at the end of the queue of faults.
    pub fn inject(&mut self, fault: Fault) {
        self.state.faults.push(fault);
    }

    /// Removes all faults that have not happened yet.
    pub fn clear_faults(&mut self) {
        self.state.faults.clear();
    }

    /// Moves the emulator's clock forward by this much, in addition to earlier calls.
    pub fn advance(&mut self, by: Duration) {
        self.state.advance_clock(by);
    }

    /// Sets what a refresh does to the refresh token from now on.
    pub fn set_rotation(&mut self, rotation: Rotation) {
        self.state.rotation = rotation;
    }

    /// Sets which versions of the token API are removed from now on: requests to them get the status 404. Names that
    /// are not in [`SERVED_VERSIONS`](crate::SERVED_VERSIONS) are ignored.
    pub fn set_removed_versions<V: AsRef<str>>(&mut self, versions: impl IntoIterator<Item = V>) {
        self.state.set_removed_versions(versions);
    }

    /// Adds an account, which may replace a deleted one. `hub_domain` is the account's own website. Returns false if
    /// the account exists already.
    pub fn add_hub(&mut self, hub_id: i64, hub_domain: impl Into<String>) -> bool {
        self.state.grants.add_hub(hub_id, hub_domain.into())
    }

    /// Sets which scopes an account cannot grant from now on, as its subscription does not have what they are for. A grant has none
    /// of them if they are optional, and an account that lacks any other scope of a request cannot install the app. What was granted
    /// before stays. Returns false if there is no such account.
    pub fn set_lacking_scopes(&mut self, hub_id: i64, scopes: Scopes) -> bool {
        self.state.grants.set_lacking_scopes(hub_id, scopes)
    }

    /// Sets what the user may do from now on.
    pub fn set_permissions(&mut self, permissions: Permissions) {
        self.state.permissions = permissions;
    }

    /// Uninstalls every app from an account: all its codes and tokens become invalid. Returns false if there is no such
    /// account.
    pub fn uninstall(&mut self, hub_id: i64) -> bool {
        self.state.grants.uninstall(hub_id, None)
    }

    /// Deletes an account: a refresh for it gets the error `BAD_HUB` from now on. Returns false if there is no such
    /// account.
    pub fn delete_hub(&mut self, hub_id: i64) -> bool {
        self.state.grants.delete_hub(hub_id)
    }

    /// Returns the request that brings a webhook to an application, signed with the client secret as HubSpot does. `now` is the time by
    /// the caller's clock, and the signature has that of the emulator's. The request has an absolute URL. The caller sends it.
    ///
    /// # Errors
    /// A message that says what is wrong, if the webhook's URL is not an `http` URL on a loopback address, or if it is for an unknown
    /// app.
    pub fn sign_webhook(&self, now: Timestamp, webhook: &Webhook) -> Result<Request<Vec<u8>>, String> {
        webhook.to_request(&self.state.settings, self.state.emulated_time(now))
    }

    /// Returns what has to last when the emulator ends, as JSON: the accounts, their grants, codes and tokens, how far the clock was moved,
    /// and what was put into the CRM API. The tokens are readable, so whoever reads it can use them.
    ///
    /// Faults, the journal, open pages, installs from the Marketplace, and the rules that were changed are not in it.
    pub fn save(&self) -> Vec<u8> {
        self.state.save()
    }

    /// Goes back to what [`Emulator::save`] returned, from an emulator with the same settings or others. Everything else is as after a
    /// [reset](Emulator::reset). The accounts of the settings exist, unless they were deleted.
    ///
    /// # Errors
    /// A message that says what is wrong, without showing any of it. Nothing has changed then.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), String> {
        self.state.restore(saved)
    }

    /// Goes back to the settings: no grants, no faults, an empty journal, and a clock that agrees with the caller's.
    /// Tokens given out before are unknown from now on, and none of them is ever given out again.
    pub fn reset(&mut self) {
        self.state.reset();
    }
}

impl fmt::Debug for Emulator {
    /// Shows the settings and the rules in force, but no token and no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("settings", &self.state.settings)
            .field("rotation", &self.state.rotation)
            .field("removed_versions", &self.state.removed_versions)
            .field("clock_advance", &self.state.clock_advance)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hmac_sha256::Hash;
    use hs_oauth_core::RefreshToken;
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::testing::Harness;

    #[test]
    fn the_same_seed_and_requests_give_the_same_responses() {
        let run = |seed| {
            let mut harness = Harness::configured(|settings| settings.seed = [seed; 32]);
            let tokens = harness.install();
            let error = harness.post("/oauth/v3/token", "grant_type=x");
            (tokens, error.into_body())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_reset_removes_everything_and_no_token_is_given_out_twice() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        harness.emulator.advance(Duration::from_secs(5));
        harness.emulator.set_rotation(Rotation::Strict);
        harness.emulator.inject(Fault::status(503));
        harness.emulator.add_hub(7, "seven.example");
        harness.emulator.reset();
        assert!(!harness.is_active(tokens.access_token.clone()));
        let again = harness.install();
        assert_ne!(again.access_token, tokens.access_token);
        assert_eq!(again.expires_at, tokens.expires_at);
        assert_eq!(harness.refresh(&again).unwrap().refresh_token, again.refresh_token);
        assert!(harness.emulator.add_hub(7, "seven.example"));
    }

    /// Strict clients require this of a server.
    #[test]
    fn no_request_gets_a_5xx_but_501_or_a_body_with_the_client_secret() {
        let mut harness = Harness::new();
        let secret = harness.emulator.settings().client_secret.clone();
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
            "/appinstalls/2026-09/external-install",
            "/marketplace",
            "/marketplace/return",
            "/_emulator/faults",
            "/_emulator/hubs/62515",
            "/_emulator/marketplace",
            "/_emulator/user",
            "/_emulator/webhooks",
            "/_emulator/hubs/x",
            "/_emulator/clock",
            "/%00",
            "/oauth/",
            "/oauth//token",
            "/crm/v3/objects/contacts",
            "/_emulator/crm/v3/objects/contacts",
            "/health",
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
            "partner_sign_in=yes",
            "install=x",
            "{\"url\":\"http://localhost/\"}",
            "{\"lacks\":[\"oauth\"]}",
        ];
        let types =
            ["application/x-www-form-urlencoded", "application/json", "", "text/plain; charset=\u{0}x"];
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
            let response = harness.send(request);
            let is_5xx = response.status().is_server_error() && response.status() != 501;
            assert!(!is_5xx, "{shown} {response:?}");
            assert!(!String::from_utf8_lossy(response.body()).contains(&secret), "{shown}");
        }
        assert!(RefreshToken::new("x").is_ok());
    }
}
