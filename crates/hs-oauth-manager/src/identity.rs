//! The account that new tokens belong to.

use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{Account, AppIdentity, Error, Introspection, Timestamp, Token, TokenSet};

/// New tokens that are to be installed.
#[derive(Debug)]
pub struct NewTokens {
    tokens: TokenSet,
    /// The account that they must belong to, if the caller has named one.
    expected: Option<Account>,
    user_level: bool,
}

impl NewTokens {
    /// Returns new tokens. `user_level` says that each user of an account has tokens of their own, and `expected` is the account that the
    /// tokens must belong to, if the caller has named one.
    pub fn new(tokens: TokenSet, expected: Option<Account>, user_level: bool) -> Self {
        Self { tokens, expected, user_level }
    }

    /// Returns the token to introspect, if HubSpot has to be asked whose tokens these are: they do not say so themselves, as on `v1`.
    ///
    /// It is the access token while that is valid, since it lives for half an hour and the refresh token without end.
    pub fn to_introspect(&self, now: Timestamp) -> Option<Token> {
        match (Account::from_tokens(&self.tokens, self.user_level), &self.tokens) {
            (Some(_), _) => None,
            (None, TokenSet { refresh_token: Some(refresh_token), expires_at, .. }) if *expires_at <= now => {
                Some(refresh_token.clone().into())
            }
            (None, tokens) => Some(tokens.access_token.clone().into()),
        }
    }

    /// Returns the account of the tokens, and the tokens completed by what introspection said of them. `introspected` is the result of
    /// introspecting the token of [`to_introspect`](Self::to_introspect), if there was one.
    ///
    /// # Errors
    /// All of them hold the tokens.
    /// - [`TokenError::UnknownAccount`] if neither the tokens nor the introspection name the account.
    /// - [`TokenError::OtherAccount`] if they name another account than the expected one.
    /// - [`TokenError::OtherApp`] if introspection names another app than `app`.
    pub fn identify(
        self,
        app: &AppIdentity,
        introspected: Option<Result<Introspection, Error>>,
    ) -> Result<(Account, TokenSet), TokenError> {
        let Self { mut tokens, expected, user_level } = self;
        let (mut failed, mut client_id) = (None, None);
        let named = match introspected {
            Some(Ok(Introspection::AccessToken(info))) => {
                client_id = info.client_id;
                Some((info.hub_id, info.user_id, info.scopes))
            }
            Some(Ok(Introspection::RefreshToken(info))) => {
                client_id = Some(info.client_id);
                Some((info.hub_id, info.user_id, info.scopes))
            }
            Some(Err(error)) => {
                failed = Some(error);
                None
            }
            Some(Ok(_)) | None => None,
        };
        if let Some(TokenError::OtherApp { client_id, configured, .. }) =
            TokenError::other_app(app, client_id.as_deref())
        {
            return Err(TokenError::OtherApp { client_id, configured, tokens: Some(Box::new(tokens)) });
        }
        if let Some((hub_id, user_id, scopes)) = named {
            if let (Some(own), Some(user_id)) = (tokens.user_id, user_id)
                && own != user_id
            {
                let (expected, named) = (Account::user(hub_id, own), Account::user(hub_id, user_id));
                return Err(TokenError::OtherAccount { expected, named, tokens: Some(Box::new(tokens)) });
            }
            tokens.hub_id = Some(hub_id);
            tokens.user_id = tokens.user_id.or(user_id);
            tokens.scopes.get_or_insert(scopes);
        }
        match (Account::from_tokens(&tokens, user_level), expected) {
            (None, _) => Err(TokenError::UnknownAccount { tokens: Box::new(tokens), error: failed }),
            (Some(named), Some(expected)) if named != expected => {
                Err(TokenError::OtherAccount { expected, named, tokens: Some(Box::new(tokens)) })
            }
            (Some(account), _) => Ok((account, tokens)),
        }
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::http::Response;
    use hs_oauth_core::{
        AccessToken, App, ClientSecret, Endpoint, Introspect, RefreshToken, TransportError,
        TransportErrorKind,
    };

    use super::*;
    use crate::tests::app;

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

    fn named(hub_id: i64, user_id: i64) -> TokenSet {
        let mut tokens = tokens();
        (tokens.hub_id, tokens.user_id) = (Some(hub_id), Some(user_id));
        tokens
    }

    fn identify(
        tokens: TokenSet,
        expected: Option<Account>,
        user_level: bool,
        introspected: Option<Result<Introspection, Error>>,
    ) -> Result<(Account, TokenSet), TokenError> {
        NewTokens::new(tokens, expected, user_level).identify(&app(), introspected)
    }

    #[test]
    fn tokens_that_name_their_account_are_not_changed() {
        let tokens = named(1, 2);
        for (user_level, account) in [(false, Account::hub(1)), (true, Account::user(1, 2))] {
            let new = NewTokens::new(tokens.clone(), None, user_level);
            assert_eq!(new.to_introspect(Timestamp::from_secs(1000)), None);
            assert_eq!(new.identify(&app(), None).unwrap(), (account, tokens.clone()));
        }
    }

    #[test]
    fn introspection_completes_the_tokens_and_names_the_account() {
        let (account, tokens) = identify(tokens(), None, true, Some(Ok(introspection()))).unwrap();
        assert_eq!(account, Account::user(62515, 7));
        assert_eq!((tokens.hub_id, tokens.user_id), (Some(62515), Some(7)));
        assert_eq!(tokens.scopes.unwrap().to_string(), "oauth");
    }

    #[test]
    fn hubspot_is_asked_about_the_access_token_while_it_is_valid_and_then_about_the_refresh_token() {
        let mut tokens = tokens();
        tokens.refresh_token = Some(RefreshToken::new("na1-2").unwrap());
        let new = NewTokens::new(tokens.clone(), None, false);
        assert_eq!(new.to_introspect(Timestamp::from_secs(2799)), Some(tokens.access_token.into()));
        assert_eq!(new.to_introspect(Timestamp::from_secs(2800)), tokens.refresh_token.map(Token::from));
    }

    #[test]
    fn introspection_does_not_replace_what_the_tokens_say_of_scopes() {
        let mut tokens = tokens();
        tokens.user_id = Some(7);
        tokens.scopes = Some("crm.objects.contacts.read".parse().unwrap());
        let (account, tokens) = identify(tokens, None, true, Some(Ok(introspection()))).unwrap();
        assert_eq!(account, Account::user(62515, 7));
        assert_eq!(tokens.scopes.unwrap().to_string(), "crm.objects.contacts.read");
    }

    /// DESIGN.md, rule 10.
    #[test]
    fn tokens_of_another_account_or_app_come_back_in_the_error() {
        let error = identify(named(2, 7), Some(Account::hub(1)), false, None).unwrap_err();
        assert!(matches!(error, TokenError::OtherAccount { expected, named, .. }
            if (expected, named) == (Account::hub(1), Account::hub(2))));
        assert_eq!(error.tokens(), Some(&named(2, 7)));
        let error = identify(tokens(), Some(Account::user(62515, 8)), true, Some(Ok(introspection())));
        assert!(matches!(error, Err(TokenError::OtherAccount { tokens: Some(_), .. })));

        let mut other_user = tokens();
        other_user.user_id = Some(8);
        let error = identify(other_user, None, true, Some(Ok(introspection())));
        assert!(matches!(error, Err(TokenError::OtherAccount { tokens: Some(_), .. })));

        let mut other = introspection();
        let Introspection::AccessToken(info) = &mut other else { panic!() };
        info.client_id = Some("other".to_owned());
        let error = identify(tokens(), None, false, Some(Ok(other))).unwrap_err();
        assert!(matches!(&error, TokenError::OtherApp { client_id, configured, .. }
            if client_id == "other" && configured == "client-id"));
        assert!(error.tokens().is_some());
    }

    #[test]
    fn tokens_that_nobody_can_name_are_in_the_error() {
        let failed = TransportError::new(TransportErrorKind::Timeout);
        for (introspected, has_error) in
            [(None, false), (Some(Ok(Introspection::Inactive)), false), (Some(Err(failed.into())), true)]
        {
            let error = identify(tokens(), None, false, introspected).unwrap_err();
            assert_eq!(error.tokens(), Some(&tokens()));
            assert!(
                matches!(&error, TokenError::UnknownAccount { error, .. } if error.is_some() == has_error)
            );
        }
    }
}
