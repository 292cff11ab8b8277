use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hs_oauth_core::{IdToken, Timestamp, TokenSet};
use serde_json::{Value, json};

use crate::settings::Settings;

/// Returns an unsigned ID token (RFC 7519 §6). The emulator has no key, and so nobody can mistake its ID token for one
/// of HubSpot's.
pub(super) fn unsigned_id_token(
    settings: &Settings,
    now: Timestamp,
    client_id: &str,
    tokens: &TokenSet,
) -> Option<IdToken> {
    let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = encode(json!({ "alg": "none", "typ": "JWT" }));
    let claims = encode(json!({
        "iss": "hs-oauth-emulator",
        "aud": client_id,
        "sub": settings.user.id.to_string(),
        "email": settings.user.email,
        "hub_id": tokens.hub_id,
        "iat": now.as_millis() / 1000,
        "exp": tokens.expires_at.as_millis() / 1000,
    }));
    IdToken::new(format!("{header}.{claims}.")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Harness;

    /// OpenID Connect Core §2 and RFC 7519 §6.
    #[test]
    fn only_the_openid_scope_gives_an_id_token_and_it_is_unsigned() {
        let mut harness = Harness::new();
        assert_eq!(harness.install_with_scopes("oauth").id_token, None);
        let id_token = harness.install_with_scopes("oauth openid").id_token.unwrap();
        let parts: Vec<_> = id_token.expose().split('.').collect();
        assert_eq!((parts.len(), parts[2]), (3, ""));
        let read = |part: &str| -> Value {
            let json = URL_SAFE_NO_PAD.decode(part).unwrap();
            serde_json::from_slice(&json).unwrap()
        };
        assert_eq!(read(parts[0])["alg"], "none");
        assert_eq!(read(parts[1])["aud"], "a1b2c3d4-e5f6-7890-abcd-ef1234567890");
    }
}
