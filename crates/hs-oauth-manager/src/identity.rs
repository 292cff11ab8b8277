//! The account that new tokens belong to.

use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{Account, Error, Introspection, TokenSet};

/// Returns the account of new tokens, and the tokens completed by what introspection said of them.
///
/// `user_level` says that each user of an account has tokens of their own. `introspected` is the result of introspecting the access
/// token. It is needed only where [`Account::from_tokens`] returns `None`, as on `v1`.
///
/// # Errors
/// [`TokenError::UnknownAccount`] with the tokens if neither they nor the introspection name the account.
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

#[cfg(test)]
mod tests {
    use hs_oauth_core::http::Response;
    use hs_oauth_core::{
        AccessToken, App, ClientSecret, Endpoint, Introspect, Timestamp, Token, TransportError,
        TransportErrorKind,
    };

    use super::*;

    fn tokens() -> TokenSet {
        TokenSet::new(AccessToken::new("CK").unwrap(), 1800, Timestamp::from_secs(1000))
    }

    /// Returns what HubSpot says of an access token of user 7 in hub 62515.
    fn introspection() -> Introspection {
        let app = App::hubspot("client-id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let body = r#"{"active":true,"token_use":"access_token","token":"CK","hub_id":62515,"user_id":7,"app_id":1,
            "scopes":["oauth"],"expires_in":1799,"token_type":"bearer"}"#;
        let introspect = Introspect::new(Token::from(tokens().access_token));
        introspect.read_response(&app, Timestamp::from_secs(1000), &Response::new(body)).unwrap()
    }

    #[test]
    fn tokens_that_name_their_account_are_not_changed() {
        let mut tokens = tokens();
        tokens.hub_id = Some(1);
        tokens.user_id = Some(2);
        let (account, same) = identify(tokens.clone(), false, None).unwrap();
        assert_eq!((account, &same), (Account::hub(1), &tokens));
        assert_eq!(identify(tokens.clone(), true, None).unwrap(), (Account::user(1, 2), tokens));
    }

    #[test]
    fn introspection_completes_the_tokens_and_names_the_account() {
        let (account, tokens) = identify(tokens(), true, Some(Ok(introspection()))).unwrap();
        assert_eq!(account, Account::user(62515, 7));
        assert_eq!((tokens.hub_id, tokens.user_id), (Some(62515), Some(7)));
        assert_eq!(tokens.scopes.unwrap().to_string(), "oauth");
    }

    #[test]
    fn introspection_does_not_replace_what_the_tokens_say_of_user_and_scopes() {
        let mut tokens = tokens();
        tokens.user_id = Some(8);
        tokens.scopes = Some("crm.objects.contacts.read".parse().unwrap());
        let (account, tokens) = identify(tokens, true, Some(Ok(introspection()))).unwrap();
        assert_eq!(account, Account::user(62515, 8));
        assert_eq!(tokens.scopes.unwrap().to_string(), "crm.objects.contacts.read");
    }

    #[test]
    fn tokens_that_nobody_can_name_are_in_the_error() {
        let failed = TransportError::new(TransportErrorKind::Timeout);
        for (introspected, has_error) in
            [(None, false), (Some(Ok(Introspection::Inactive)), false), (Some(Err(failed.into())), true)]
        {
            let error = identify(tokens(), false, introspected).unwrap_err();
            assert_eq!(error.tokens(), Some(&tokens()));
            assert!(
                matches!(&error, TokenError::UnknownAccount { error, .. } if error.is_some() == has_error)
            );
        }
    }
}
