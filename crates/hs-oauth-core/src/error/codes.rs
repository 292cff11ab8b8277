//! The codes in a refusal: open sets, so that one HubSpot adds tomorrow is kept.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares an open set of codes.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$code_doc:meta])* $code:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$code_doc])* #[doc = concat!("`", $text, "`")] $code,)*
            /// A code this release has no name for.
            Other(String),
        }

        impl $name {
            /// The code as HubSpot writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$code => $text,)*
                    Self::Other(code) => code,
                }
            }

            pub(super) fn known(code: &str) -> Option<Self> {
                match code {
                    $($text => Some(Self::$code),)*
                    _ => None,
                }
            }
        }

        impl From<&str> for $name {
            fn from(code: &str) -> Self {
                Self::known(code).unwrap_or_else(|| Self::Other(code.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

codes! {
    /// An error code of RFC 6749 §4.1.2.1 and §5.2.
    OAuthCode {
        InvalidRequest = "invalid_request",
        InvalidClient = "invalid_client",
        InvalidGrant = "invalid_grant",
        UnauthorizedClient = "unauthorized_client",
        UnsupportedGrantType = "unsupported_grant_type",
        InvalidScope = "invalid_scope",
        AccessDenied = "access_denied",
        UnsupportedResponseType = "unsupported_response_type",
        ServerError = "server_error",
        TemporarilyUnavailable = "temporarily_unavailable",
    }
}

codes! {
    /// A code of HubSpot's own, found in `status` or `subCategory`.
    HubSpotCode {
        BadRefreshToken = "BAD_REFRESH_TOKEN",
        BadAuthCode = "BAD_AUTH_CODE",
        ExpiredAuthCode = "EXPIRED_AUTH_CODE",
        MismatchRedirectUriAuthCode = "MISMATCH_REDIRECT_URI_AUTH_CODE",
        BadRedirectUri = "BAD_REDIRECT_URI",
        BadCodeVerifier = "BAD_CODE_VERIFIER",
        BadClientId = "BAD_CLIENT_ID",
        BadClientSecret = "BAD_CLIENT_SECRET",
        BadGrantType = "BAD_GRANT_TYPE",
        BadScopes = "BAD_SCOPES",
        BadHub = "BAD_HUB",
        InvalidToken = "INVALID_TOKEN",
    }
}
