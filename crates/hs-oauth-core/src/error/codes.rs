//! The codes in an error response. They are open sets: a code that HubSpot adds later is preserved as text.

use std::fmt;

use crate::open_set::open_set;

open_set! {
    /// An error code of RFC 6749 §4.1.2.1 and §5.2, from the field `error`.
    OAuthCode {
        /// The request lacks a parameter, has an invalid one, or is malformed in another way.
        InvalidRequest = "invalid_request",
        /// The client is unknown, or did not authenticate as it must.
        InvalidClient = "invalid_client",
        /// The authorization code or the refresh token is invalid, expired, revoked, or issued to another client.
        InvalidGrant = "invalid_grant",
        /// The client is not authorized to make this kind of request.
        UnauthorizedClient = "unauthorized_client",
        /// The server does not support this `grant_type`.
        UnsupportedGrantType = "unsupported_grant_type",
        /// A requested scope is invalid or unknown, or more than what was granted.
        InvalidScope = "invalid_scope",
        /// The person or the server denied the request.
        AccessDenied = "access_denied",
        /// The server does not support this `response_type`.
        UnsupportedResponseType = "unsupported_response_type",
        /// The server met an unexpected condition.
        ServerError = "server_error",
        /// The server is overloaded or under maintenance.
        TemporarilyUnavailable = "temporarily_unavailable",
    }
}

open_set! {
    /// A code of HubSpot's own, from the field `status` or `subCategory`.
    HubSpotCode {
        /// The refresh token is missing, invalid, expired or revoked.
        BadRefreshToken = "BAD_REFRESH_TOKEN",
        /// The authorization code is not accepted.
        BadAuthCode = "BAD_AUTH_CODE",
        /// The authorization code has expired.
        ExpiredAuthCode = "EXPIRED_AUTH_CODE",
        /// The redirect URI is not the one that the authorization code was issued for.
        MismatchRedirectUriAuthCode = "MISMATCH_REDIRECT_URI_AUTH_CODE",
        /// The redirect URI is not accepted.
        BadRedirectUri = "BAD_REDIRECT_URI",
        /// The PKCE code verifier is not accepted.
        BadCodeVerifier = "BAD_CODE_VERIFIER",
        /// The client id is not accepted.
        BadClientId = "BAD_CLIENT_ID",
        /// The client secret is not accepted.
        BadClientSecret = "BAD_CLIENT_SECRET",
        /// The `grant_type` is not accepted.
        BadGrantType = "BAD_GRANT_TYPE",
        /// The requested scopes are not accepted.
        BadScopes = "BAD_SCOPES",
        /// The account is missing or unknown, for example because it was deleted.
        BadHub = "BAD_HUB",
        /// The token is invalid or has expired. `v1` says this of an unknown token.
        InvalidToken = "INVALID_TOKEN",
    }
}

impl fmt::Display for OAuthCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for HubSpotCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_serialized_as_hubspot_writes_it() {
        for text in ["invalid_grant", "temporarily_unavailable", "something_new"] {
            let code = OAuthCode::from(text);
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{text}\""));
            assert_eq!(code.as_str(), text);
        }
        for text in ["BAD_REFRESH_TOKEN", "INVALID_TOKEN", "SOMETHING_NEW"] {
            let code = HubSpotCode::from(text);
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{text}\""));
            assert_eq!(code.as_str(), text);
        }
    }
}
