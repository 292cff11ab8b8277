//! Whose tokens a set is.

use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{Account, Error, Introspection, TokenSet};

/// Returns the account of new tokens, and the tokens with what introspection said of them.
///
/// `user_level` says that each user of an account has tokens of their own. `introspected` is the response to the introspection of
/// the access token. It is needed only where [`Account::from_tokens`] returns `None`, as on `v1`.
///
/// # Errors
/// [`TokenError::UnknownAccount`] with the tokens if neither they nor the introspection say whose they are.
pub fn identify(
    mut tokens: TokenSet,
    user_level: bool,
    introspected: Option<Result<Introspection, Error>>,
) -> Result<(Account, TokenSet), TokenError> {
    let mut failed = None;
    match introspected {
        Some(Ok(Introspection::AccessToken(info))) => {
            tokens.hub_id = Some(info.hub_id);
            tokens.user_id = tokens.user_id.or(info.user_id);
            tokens.scopes.get_or_insert(info.scopes);
        }
        Some(Err(error)) => failed = Some(error),
        Some(Ok(_)) | None => {}
    }
    match Account::from_tokens(&tokens, user_level) {
        Some(account) => Ok((account, tokens)),
        None => Err(TokenError::UnknownAccount { tokens: Box::new(tokens), error: failed }),
    }
}
