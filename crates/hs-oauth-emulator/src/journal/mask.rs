//! Masks the secrets in all parts of a request.

use std::borrow::Cow;
use std::fmt::Write;

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::apps::RegisteredApp;
use crate::settings::Settings;
use crate::token_generator::TokenGenerator;

/// The length in bytes of the shortest word that is treated as a token or a code. The emulator's codes have 36 bytes,
/// and its tokens have more.
const MIN_SECRET_WORD: usize = 32;

/// Masks the client secret, and everything that may be a token or a code.
#[derive(Clone, Copy)]
pub(crate) struct Mask<'a> {
    pub(crate) token_generator: &'a TokenGenerator,
    pub(crate) settings: &'a Settings,
}

impl Mask<'_> {
    /// Returns a path in which every segment is masked that is, or may be, a secret.
    pub(crate) fn path(self, uri: &Uri) -> String {
        let mut path = String::new();
        let mut is_after_tokens = false;
        for (index, segment) in uri.path().split('/').enumerate() {
            if index > 0 {
                path.push('/');
            }
            let is_token = is_after_tokens && !segment.is_empty();
            if is_token || segment.len() >= MIN_SECRET_WORD || self.has_secret(segment) {
                path += &self.secret(&percent_decode_str(segment).decode_utf8_lossy());
            } else {
                // A control character in a log line could change the terminal that shows it.
                path.extend(segment.chars().filter(|char| !char.is_control()));
            }
            is_after_tokens |= segment == "access-tokens" || segment == "refresh-tokens";
        }
        // A client secret with a slash in it is spread over several segments.
        if self.has_client_secret(&path) { self.secret(&path) } else { path }
    }

    /// Returns text from a place where no secret belongs. It is masked only if a client put a secret there by mistake.
    pub(crate) fn public(self, text: &str) -> String {
        let is_of =
            |app: RegisteredApp<'_>| text == app.client_id || app.redirect_uris.iter().any(|uri| text == uri);
        let is_masked = if self.settings.apps().any(is_of) {
            self.has_client_secret(text)
        } else {
            self.has_secret(text)
        };
        if is_masked { self.secret(text) } else { text.to_owned() }
    }

    /// Returns what is shown in place of a secret: its first four characters and its fingerprint. If the secret has
    /// less than 16 bytes, or contains a client secret of less than 16 bytes, only the fingerprint is shown.
    pub(super) fn secret(self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let short_secrets = || self.settings.apps().filter(|app| app.client_secret.len() < 16);
        let is_short = text.len() < 16 || short_secrets().any(|app| has_secret_of(app, text));
        let shown = if is_short { 0 } else { 4 };
        let mut masked: String = text.chars().take(shown).filter(|char| !char.is_control()).collect();
        let _ = write!(masked, "…#{}", self.token_generator.fingerprint(text));
        masked
    }

    /// Returns whether a text contains the client secret, or a word as long as the emulator's tokens and codes.
    fn has_secret(self, text: &str) -> bool {
        let in_word = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        let has_long_word =
            |text: &str| text.split(|char| !in_word(char)).any(|word| word.len() >= MIN_SECRET_WORD);
        self.has_client_secret(text) || decodings(text).any(|text| has_long_word(&text))
    }

    fn has_client_secret(self, text: &str) -> bool {
        self.settings.apps().any(|app| has_secret_of(app, text))
    }
}

fn has_secret_of(app: RegisteredApp<'_>, text: &str) -> bool {
    !app.client_secret.is_empty() && decodings(text).any(|text| text.contains(app.client_secret))
}

/// Returns every text that `text` can stand for: itself, itself percent-decoded, and itself percent-decoded with spaces
/// in place of `+`.
fn decodings(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let unescaped = |text: &str| Cow::Owned(percent_decode_str(text).decode_utf8_lossy().into_owned());
    [
        Some(Cow::Borrowed(text)),
        text.contains('%').then(|| unescaped(text)),
        text.contains('+').then(|| unescaped(&text.replace('+', " "))),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{Endpoint, ExchangeCode, Timestamp};
    use http::Request;
    use http::header::{AUTHORIZATION, CONTENT_TYPE};

    use super::*;
    use crate::journal::Entry;
    use crate::testing::{Harness, json};

    const SECRETS: [&str; 3] =
        ["canary-0123456789abcdef", "na1-2b3c4d5e-6f70-4182-93a4-b5c6d7e8f901", "short"];

    fn entry(request: http::request::Builder, body: &str) -> String {
        let request = request.body(body.as_bytes().to_vec()).unwrap();
        let mask = Mask { token_generator: &TokenGenerator::new([9; 32]), settings: &Settings::new([9; 32]) };
        let entry = Entry::from_request(mask, Timestamp::from_secs(1), &request);
        serde_json::to_string(&entry).unwrap()
    }

    fn form(uri: &str) -> http::request::Builder {
        Request::post(uri).header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    #[test]
    fn no_part_of_an_entry_shows_a_secret() {
        for secret in SECRETS {
            for written in [
                entry(
                    form("/oauth/v3/token"),
                    &format!("client_secret={secret}&code={secret}&token={secret}&x={secret}"),
                ),
                entry(form("/oauth/v3/token"), &format!("{secret}=1")),
                entry(form("/oauth/v3/token"), &format!("{{\"refresh_token\":\"{secret}\"}}")),
                entry(Request::post("/oauth/v3/token"), &format!("client_secret={secret}")),
                entry(Request::get(format!("/oauth/v1/access-tokens/{secret}")), ""),
                entry(Request::get(format!("/oauth/v1/refresh-tokens/%6ea/{secret}")), ""),
                entry(form(&format!("/oauth/v1/token?client_secret={secret}&refresh_token={secret}")), ""),
                entry(
                    Request::get("/account-info/v3/details")
                        .header(AUTHORIZATION, format!("Bearer {secret}")),
                    "",
                ),
                entry(Request::get("/account-info/v3/details").header(AUTHORIZATION, secret), ""),
                entry(Request::get(format!("/oauth/authorize?state={secret}&code_challenge={secret}")), ""),
            ] {
                assert!(!written.contains(secret), "{written}");
            }
        }
    }

    #[test]
    fn the_same_secret_has_the_same_fingerprint_and_public_values_are_shown() {
        let one = entry(form("/t"), "grant_type=refresh_token&refresh_token=na1-2b3c4d5e-6f70-4182");
        assert!(one.contains(r#"{"name":"grant_type","value":"refresh_token"}"#), "{one}");
        assert!(one.contains(r#"{"name":"refresh_token","value":"na1-…#"#), "{one}");
        assert_eq!(one, entry(form("/t"), "grant_type=refresh_token&refresh_token=na1-2b3c4d5e-6f70-4182"));
        assert_ne!(one, entry(form("/t"), "grant_type=refresh_token&refresh_token=na1-2b3c4d5e-6f70-4183"));
    }

    /// A client that mixes up its parameters sends secrets under public names.
    #[test]
    fn no_valid_secret_is_in_the_journal_whatever_part_of_the_request_has_it() {
        for client_secret in ["0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0", "s3/cr et", "xyz"] {
            let mut harness = Harness::configured(|settings| {
                settings.client_secret = client_secret.to_owned();
                settings.auto_approve = true;
            });
            let code = harness.code("oauth").code().expose().to_owned();
            let other = harness.code("oauth");
            let app = harness.app_with_secret(client_secret);
            let exchange = ExchangeCode::new(other).to_http(&app);
            let tokens = json(&harness.send(exchange));
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
                    harness.post(&format!("/oauth/v3/token?{form}&{value}=1"), &form);
                    let headers = Request::get(format!("/x/y{escaped}z/oauth"))
                        .method(if secret.contains([' ', '/']) { "GET" } else { &*secret })
                        .header(CONTENT_TYPE, written)
                        .header("user-agent", format!("app/1.0 ({written})"));
                    harness.send(headers.body(Vec::new()).unwrap());
                    if !secret.contains(' ') {
                        harness.get(&format!("/oauth/v9/{secret}"));
                    }
                }
                for entry in harness.emulator.journal() {
                    let shown = serde_json::to_string(entry).unwrap();
                    let values = shown.replace("access_token", "").replace("refresh_token", "");
                    assert!(!values.contains(&secret) && !values.contains(&escaped), "{secret} in {shown}");
                }
            }
        }
    }
}
