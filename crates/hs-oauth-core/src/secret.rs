//! The values nobody else may read: each has a type of its own, prints as `[redacted]`, is compared in constant time
//! and is wiped when dropped. `expose` and serde are the ways to the text, so a search for them finds every use.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac_sha256::Hash;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;

use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::text::all_bytes;

/// The most bytes a secret may have. HubSpot's access tokens grow (512 characters must fit); a token of v1 travels in
/// a URL, where each byte may take three, and a URL ends at 64 KiB.
pub const MAX_SECRET_SIZE: usize = 16 * 1024;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $argument:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(String);

        impl $name {
            /// Takes the text.
            ///
            /// # Errors
            /// [`InvalidArgument`] naming the argument if the text is empty, longer than [`MAX_SECRET_SIZE`] bytes, has
            /// a byte that may not stand in it, or is `.` or `..`.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidArgument> {
                let secret = Self(text.into());
                check(&secret.0, $allowed).map_err(|reason| InvalidArgument::new($argument, reason))?;
                Ok(secret)
            }

            /// The text itself. Whoever calls this answers for where it goes.
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// A form to tell one from another on a screen, of no use as a secret: the first four characters and the
            /// length, `CKDZ… (72 characters)`; the length alone if there are fewer than 24.
            pub fn masked(&self) -> String {
                masked(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                drop(wiped(std::mem::take(&mut self.0)));
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
            }
        }

        impl Eq for $name {}

        impl std::str::FromStr for $name {
            type Err = InvalidArgument;

            fn from_str(text: &str) -> Result<Self, InvalidArgument> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidArgument;

            fn try_from(text: String) -> Result<Self, InvalidArgument> {
                Self::new(text)
            }
        }

        /// Writes the text in the clear: a serialized secret belongs where secrets are kept, nowhere else.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // serde's own message would quote a value of another type.
                let text = String::deserialize(deserializer);
                let text = text.map_err(|_| D::Error::custom(concat!("`", $argument, "` is not a string")))?;
                Self::new(text).map_err(D::Error::custom)
            }
        }
    };
}

secret!(
    /// What proves an app's identity to HubSpot together with its client id (RFC 6749 §2.3.1).
    ClientSecret, "client_secret", is_printable
);
secret!(
    /// A signed JWT that proves an app's identity in place of a secret (RFC 7523 §2.2). It expires: make a new
    /// [`App`](crate::App) with a new one in time.
    ClientAssertion, "client_assertion", is_visible
);
secret!(
    /// What a HubSpot API takes as `Authorization: Bearer …` (RFC 6750 §2.1). Only visible ASCII: it can always stand in
    /// a header.
    AccessToken, "access_token", is_visible
);
secret!(
    /// What a new access token is got with (RFC 6749 §1.5). It does not expire; it dies by revocation or uninstall.
    RefreshToken, "refresh_token", is_printable
);
secret!(
    /// An OpenID Connect ID token, there when the `openid` scope was granted. Not verified here.
    IdToken, "id_token", is_printable
);
secret!(
    /// One of the two signatures inside a [`SignedAccessToken`](crate::SignedAccessToken).
    Signature, "signature", is_any
);
secret!(
    /// The text of an authorization code: good once, for a short time (RFC 6749 §4.1.2).
    Code, "code", is_printable
);
secret!(
    /// The value that ties a callback to the browser session it was begun in (RFC 6749 §10.12).
    State, "state", is_printable
);

/// The secret half of PKCE: 43 to 128 unreserved characters (RFC 7636 §4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct CodeVerifier(Code);

impl State {
    pub(crate) fn from_random(bytes: &[u8; 32]) -> Self {
        Self(base64url(bytes, str::to_owned))
    }
}

impl CodeVerifier {
    pub(crate) fn from_random(bytes: &[u8; 32]) -> Self {
        Self(Code(base64url(bytes, str::to_owned)))
    }

    /// Takes the text.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `code_verifier` if the text is not 43 to 128 of `A-Z a-z 0-9 - . _ ~`.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidArgument> {
        let code = Code::new(text).map_err(|invalid| invalid.named("code_verifier"))?;
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if (43..=128).contains(&code.0.len()) && code.0.bytes().all(unreserved) {
            Ok(Self(code))
        } else {
            Err(InvalidArgument::new("code_verifier", InvalidArgumentKind::NotACodeVerifier))
        }
    }

    /// The text itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The challenge that goes into the authorization URL: base64url of the SHA-256 of this verifier (RFC 7636 §4.2).
    pub fn challenge(&self) -> String {
        let mut challenge = String::with_capacity(43);
        self.push_challenge(&mut challenge);
        challenge
    }

    /// Appends the challenge.
    pub(crate) fn push_challenge(&self, text: &mut String) {
        base64url(&Hash::hash(self.expose().as_bytes()), |challenge| text.push_str(challenge));
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier([redacted])")
    }
}

impl std::str::FromStr for CodeVerifier {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        Self::new(text)
    }
}

impl Serialize for CodeVerifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CodeVerifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer);
        Self::new(text.map_err(|_| D::Error::custom("`code_verifier` is not a string"))?)
            .map_err(D::Error::custom)
    }
}

/// Lends 32 bytes as base64url, 43 letters, and wipes the letters.
fn base64url<T>(bytes: &[u8; 32], take: impl FnOnce(&str) -> T) -> T {
    const { assert!(matches!(base64::encoded_len(32, false), Some(43))) };
    // Whole sixteens: that is how `from_utf8` looks at ASCII.
    let mut letters = [0; 48];
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut letters);
    debug_assert_eq!(written, Ok(43));
    let taken = take(str::from_utf8(&letters).ok().and_then(|letters| letters.get(..43)).unwrap_or_default());
    letters = [0; 48];
    zeroize::optimization_barrier(&letters);
    taken
}

/// Overwrites all that the text had room for: what `Zeroize` does, only at once and not byte by byte.
fn wiped(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    let room = bytes.capacity();
    bytes.clear();
    bytes.resize(room, 0);
    zeroize::optimization_barrier(bytes.as_slice());
    bytes
}

fn masked(text: &str) -> String {
    let shown = if text.len() < 24 { "" } else { text.get(..4).unwrap_or("") };
    format!("{shown}… ({} characters)", text.len())
}

pub(crate) fn check(text: &str, allowed: impl Fn(u8) -> bool) -> Result<(), InvalidArgumentKind> {
    match text {
        "" => Err(InvalidArgumentKind::Missing),
        "." | ".." => Err(InvalidArgumentKind::DotSegment),
        _ if text.len() > MAX_SECRET_SIZE => Err(InvalidArgumentKind::TooLong { limit: MAX_SECRET_SIZE }),
        _ if all_bytes(text, &allowed) => Ok(()),
        _ => Err(InvalidArgumentKind::Character {
            at: text.bytes().position(|byte| !allowed(byte)).unwrap_or(text.len()),
        }),
    }
}

/// VSCHAR of RFC 6749 appendix A without the space: what a header value surely carries unchanged.
pub(crate) fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// VSCHAR of RFC 6749 appendix A.
pub(crate) fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' '
}

fn is_any(_: u8) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn the_challenge_of_the_rfcs_own_verifier_is_the_rfcs_own_challenge() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    /// RFC 7636 §4.2; FIPS 180-4 §5.1.1, where a verifier of 56 characters is the first that takes a second block, and
    /// one of 120 a third.
    #[test]
    fn a_verifier_of_any_length_has_the_challenge_that_other_software_makes_of_it() {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".repeat(2);
        for (length, challenge) in [
            (43, "dp6NlaokagLZTUjEL7cYPlMchcQdWzRW3bkAEXEti9c"),
            (55, "WVIapacr_Qh_x7GA7_8eINwnp9YjLMHrtzMYPQKowGI"),
            (56, "9Q53VZ_PsL5bKY94CFfPDF8Gr3JYOEMffJ2kj_AkujA"),
            (63, "G3JcAGkaYd-G8_iq7Meaua43peIHi-sqw_BmXp8L3BE"),
            (64, "g6NNy7wobeyYBaGGO5BQU8EPI3owYTG1KE6Nqe6R-TM"),
            (65, "wDAby1bodurcMMC8TdAadPZdAOXfIQ7jgRAOhV_mUqs"),
            (119, "HE2csrQkpK0_iWrOGFuLIT-gCcVv5TM4eyxulb3PseM"),
            (120, "b7TLLu6U7M32Jqz6UBlIcCUYq3fP6zpKPkeClvoG2-g"),
            (128, "Gn88msbRKQ0wmy6Kms0RzrR4ZXFo3OGDewwvI9C7qZg"),
        ] {
            let verifier = CodeVerifier::new(letters.get(..length).unwrap()).unwrap();
            assert_eq!(verifier.challenge(), challenge, "{length}");
        }
    }

    #[test]
    fn debug_shows_the_type_and_never_the_text() {
        assert_eq!(format!("{:?}", ClientSecret::new("canary").unwrap()), "ClientSecret([redacted])");
        assert_eq!(format!("{:#?}", CodeVerifier::new("a".repeat(43)).unwrap()), "CodeVerifier([redacted])");
    }

    #[test]
    fn a_dropped_secret_leaves_zeros_in_all_the_room_it_had() {
        let mut text = String::with_capacity(100);
        text.push_str("canary, then a shorter one");
        text.truncate(6);
        let place = text.as_ptr();
        let zeros = wiped(text);
        assert_eq!((zeros.as_ptr(), zeros.len()), (place, 100));
        assert!(zeros.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_masked_secret_shows_four_characters_of_a_long_one_and_none_of_a_short_one() {
        let masked = |text: &str| RefreshToken::new(text).unwrap().masked();
        assert_eq!(masked("na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a"), "na1-… (40 characters)");
        assert_eq!(masked("12345678901234567890123"), "… (23 characters)");
    }

    #[test]
    fn a_refused_text_is_named_by_argument_and_reason_and_not_quoted() {
        let refused = |text: &str| AccessToken::new(text).unwrap_err();
        assert_eq!(refused("").kind, InvalidArgumentKind::Missing);
        assert_eq!(refused("..").kind, InvalidArgumentKind::DotSegment);
        assert_eq!(refused("canary\n").kind, InvalidArgumentKind::Character { at: 6 });
        assert_eq!(refused("canary x").kind, InvalidArgumentKind::Character { at: 6 });
        assert_eq!(refused("can\u{e9}ry").kind, InvalidArgumentKind::Character { at: 3 });
        assert_eq!(
            refused(&"a".repeat(MAX_SECRET_SIZE + 1)).kind,
            InvalidArgumentKind::TooLong { limit: MAX_SECRET_SIZE }
        );
        assert_eq!(
            refused("canary\0").to_string(),
            "`access_token` has a character at byte 6 that is not allowed"
        );
        assert!(AccessToken::new("a".repeat(512)).is_ok());
    }

    /// RFC 7636 §4.1.
    #[test]
    fn a_verifier_has_43_to_128_unreserved_characters() {
        assert!(CodeVerifier::new("a".repeat(42)).is_err());
        assert!(CodeVerifier::new("-._~aZ9".repeat(7)).is_ok());
        assert!(CodeVerifier::new("a".repeat(128)).is_ok());
        assert!(CodeVerifier::new("a".repeat(129)).is_err());
        assert!(CodeVerifier::new("+".repeat(43)).is_err());
    }

    #[test]
    fn equality_is_of_the_whole_text() {
        let token = |text: &str| RefreshToken::new(text).unwrap();
        assert_eq!(token("na1-abc"), token("na1-abc"));
        assert_ne!(token("na1-abc"), token("na1-abd"));
        assert_ne!(token("na1-abc"), token("na1-ab"));
    }

    #[test]
    fn a_stored_secret_is_checked_again_when_it_is_read() {
        let token: AccessToken = serde_json::from_str("\"abc\"").unwrap();
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"abc\"");
        assert!(serde_json::from_str::<AccessToken>("\"a\\nc\"").is_err());
        let quoted = serde_json::from_str::<AccessToken>("12345678901234567").unwrap_err().to_string();
        assert!(!quoted.contains("123"), "{quoted}");
        for (json, says) in [("\"\"", "`code_verifier` is missing"), ("7", "`code_verifier` is not a string")]
        {
            let error = serde_json::from_str::<CodeVerifier>(json).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
        assert!(serde_json::from_str::<CodeVerifier>("\"short\"").is_err());
    }
}
