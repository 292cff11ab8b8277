//! The secret of PKCE (RFC 7636).

use std::fmt;
use std::str::FromStr;

use hmac_sha256::Hash;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::Code;
use super::base64url::base64url;
use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};

/// The secret of PKCE, which proves that the exchange of a code comes from the client that started the authorization: 43 to 128
/// unreserved characters (RFC 7636 §4.1).
///
/// `Debug` prints it as `[redacted]`. Serialization writes the text in the clear.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CodeVerifier(Code);

impl CodeVerifier {
    /// Returns a verifier made of random bytes.
    pub(crate) fn from_random(bytes: &[u8; 32]) -> Self {
        Self(Code(base64url(bytes, str::to_owned)))
    }

    /// Returns a verifier with this text.
    ///
    /// # Errors
    /// [`InvalidArgument`] for `code_verifier` if the text is not 43 to 128 of the characters `A-Z a-z 0-9 - . _ ~`.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidArgument> {
        let code = Code::new(text).map_err(|invalid| invalid.named("code_verifier"))?;
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if (43..=128).contains(&code.0.len()) && code.0.bytes().all(unreserved) {
            Ok(Self(code))
        } else {
            Err(InvalidArgument::new("code_verifier", InvalidArgumentKind::NotACodeVerifier))
        }
    }

    /// Returns the secret text. The caller is responsible for where it goes.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns the challenge that goes into the authorization URL: the base64url of the SHA-256 of this verifier (RFC 7636 §4.2).
    pub fn challenge(&self) -> String {
        let mut challenge = String::with_capacity(43);
        self.push_challenge(&mut challenge);
        challenge
    }

    /// Appends the challenge to `text`.
    pub(crate) fn push_challenge(&self, text: &mut String) {
        base64url(&Hash::hash(self.expose().as_bytes()), |challenge| text.push_str(challenge));
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier([redacted])")
    }
}

impl FromStr for CodeVerifier {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        Self::new(text)
    }
}

// Not derived: the derived error would quote a value of another type.
impl<'de> Deserialize<'de> for CodeVerifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer);
        Self::new(text.map_err(|_| D::Error::custom("`code_verifier` is not a string"))?)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn the_verifier_in_the_rfc_has_the_challenge_in_the_rfc() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    /// RFC 7636 §4.2, and FIPS 180-4 §5.1.1: from 56 characters on, a verifier takes a second block of SHA-256, and from 120 on a
    /// third.
    #[test]
    fn verifiers_of_any_length_have_the_same_challenge_as_in_other_software() {
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
    fn a_stored_verifier_is_checked_when_it_is_read() {
        let text = "a".repeat(43);
        let verifier: CodeVerifier = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        assert_eq!(serde_json::to_string(&verifier).unwrap(), format!("\"{text}\""));
        for (json, says) in [("\"\"", "`code_verifier` is missing"), ("7", "`code_verifier` is not a string")]
        {
            let error = serde_json::from_str::<CodeVerifier>(json).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
        assert!(serde_json::from_str::<CodeVerifier>("\"short\"").is_err());
    }
}
