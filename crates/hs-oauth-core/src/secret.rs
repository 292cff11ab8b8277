//! Secrets: values that must not be shown.
//!
//! Each secret has a type of its own, prints as `[redacted]`, is compared in constant time and is wiped when it is dropped. Only
//! `expose` and serialization give the text, so a search for them finds every use.
//!
//! - `secret_type` declares such a type.
//! - `rules` says what the text of a secret may be.
//! - `code_verifier` has [`CodeVerifier`], the secret of PKCE.
//! - `base64url` encodes random bytes and challenges.

mod base64url;
mod code_verifier;
mod rules;
mod secret_type;

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use base64url::base64url;
pub use code_verifier::CodeVerifier;
pub use rules::MAX_SECRET_SIZE;
pub(crate) use rules::{check, is_printable};
use rules::{is_any, is_visible};
pub use secret_type::wipe;
use secret_type::{are_equal, masked, secret_type, wiped};

use crate::invalid_argument::InvalidArgument;

secret_type!(
    /// The secret that proves an app's identity to HubSpot, together with its client id (RFC 6749 §2.3.1).
    ClientSecret, "client_secret", is_printable
);
secret_type!(
    /// A signed JWT that proves an app's identity in place of a secret (RFC 7523 §2.2).
    ///
    /// It expires. Make a new [`App`](crate::App) with a new assertion before that.
    ClientAssertion, "client_assertion", is_visible
);
secret_type!(
    /// The token that HubSpot's APIs accept as `Authorization: Bearer …` (RFC 6750 §2.1).
    ///
    /// It has only visible ASCII characters, so it can always be part of a header.
    AccessToken, "access_token", is_visible
);
secret_type!(
    /// The token that a new access token is requested with (RFC 6749 §1.5).
    ///
    /// It does not expire. It ends when it is revoked or the app is uninstalled.
    RefreshToken, "refresh_token", is_printable
);
secret_type!(
    /// An OpenID Connect ID token, which HubSpot sends if the scope `openid` was granted. It is not verified here.
    IdToken, "id_token", is_printable
);
secret_type!(
    /// One of the two signatures in a [`SignedAccessToken`](crate::SignedAccessToken).
    Signature, "signature", is_any
);
secret_type!(
    /// The text of an authorization code, which can be used once, and only for a short time (RFC 6749 §4.1.2).
    Code, "code", is_printable
);
secret_type!(
    /// The value that ties a callback to the browser session in which the authorization started (RFC 6749 §10.12).
    State, "state", is_printable
);

impl AccessToken {
    /// Returns what stands in place of an access token that is not known yet. HubSpot issues no such token.
    pub(crate) fn absent() -> Self {
        Self("not-yet-renewed".to_owned())
    }
}

impl State {
    /// Returns a state made of random bytes.
    pub(crate) fn from_random(bytes: &[u8; 32]) -> Self {
        Self(base64url(bytes, str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalid_argument::InvalidArgumentKind;

    #[test]
    fn debug_shows_the_type_and_not_the_text() {
        assert_eq!(format!("{:?}", ClientSecret::new("canary").unwrap()), "ClientSecret([redacted])");
        assert_eq!(format!("{:#?}", CodeVerifier::new("a".repeat(43)).unwrap()), "CodeVerifier([redacted])");
    }

    #[test]
    fn a_dropped_secret_leaves_zeros_in_its_whole_capacity() {
        let mut text = String::with_capacity(100);
        text.push_str("canary, then a shorter one");
        text.truncate(6);
        let address = text.as_ptr();
        let zeros = wiped(text);
        assert_eq!((zeros.as_ptr(), zeros.len()), (address, 100));
        assert!(zeros.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_masked_secret_shows_four_characters_of_a_long_one_and_none_of_a_short_one() {
        let masked = |text: &str| RefreshToken::new(text).unwrap().masked();
        assert_eq!(masked("na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a"), "na1-… (40 characters)");
        assert_eq!(masked("12345678901234567890123"), "… (23 characters)");
    }

    #[test]
    fn the_error_names_the_argument_and_the_kind_and_does_not_quote_the_text() {
        let error = |text: &str| AccessToken::new(text).unwrap_err();
        assert_eq!(error("").kind, InvalidArgumentKind::Missing);
        assert_eq!(error("..").kind, InvalidArgumentKind::DotSegment);
        assert_eq!(error("canary\n").kind, InvalidArgumentKind::Character { at: 6 });
        assert_eq!(error("canary x").kind, InvalidArgumentKind::Character { at: 6 });
        assert_eq!(error("can\u{e9}ry").kind, InvalidArgumentKind::Character { at: 3 });
        assert_eq!(
            error(&"a".repeat(MAX_SECRET_SIZE + 1)).kind,
            InvalidArgumentKind::TooLong { limit: MAX_SECRET_SIZE }
        );
        assert_eq!(
            error("canary\0").to_string(),
            "`access_token` has a character at byte 6 that is not allowed"
        );
        assert!(AccessToken::new("a".repeat(512)).is_ok());
    }

    #[test]
    fn secrets_are_equal_only_if_their_whole_texts_are() {
        let token = |text: String| RefreshToken::new(text).unwrap();
        for length in 1..=40 {
            let same = "a".repeat(length);
            assert_eq!(token(same.clone()), token(same.clone()));
            for longer in 1..=8 {
                assert_ne!(token(same.clone()), token("a".repeat(length + longer)));
            }
            for at in 0..length {
                let mut other = same.clone();
                other.replace_range(at..=at, "b");
                assert_ne!(token(same.clone()), token(other));
            }
        }
    }

    #[test]
    fn a_stored_secret_is_checked_again_when_it_is_read() {
        let token: AccessToken = serde_json::from_str("\"abc\"").unwrap();
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"abc\"");
        assert!(serde_json::from_str::<AccessToken>("\"a\\nc\"").is_err());
        let quoted = serde_json::from_str::<AccessToken>("12345678901234567").unwrap_err().to_string();
        assert!(!quoted.contains("123"), "{quoted}");
    }
}
