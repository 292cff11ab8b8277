//! The response of an introspection (RFC 7662 §2.2).

use std::borrow::Cow;

use http::Response;
use serde::{Serialize, Serializer};

use super::signed_access_token::SignedAccessToken;
use super::token::Token;
use crate::error::{Error, Operation, ResponseError};
use crate::json::{self, Field, Problem, Scalar, json_object, required};
use crate::scope::Scopes;
use crate::secret::{AccessToken, RefreshToken};
use crate::token_set::TokenUse;
use crate::version::ApiVersion;

/// The result of an introspection.
///
/// It is serialized as the response of a current API version, with HubSpot's own field names. The token in it is in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Introspection {
    /// The token is unknown, expired or revoked. HubSpot does not say which.
    Inactive,
    /// The token is a valid access token.
    AccessToken(Box<AccessTokenInfo>),
    /// The token is a valid refresh token.
    RefreshToken(Box<RefreshTokenInfo>),
}

/// What HubSpot says about a valid access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccessTokenInfo {
    /// The token that was asked about.
    #[serde(rename = "token")]
    pub token: AccessToken,
    /// The hub id of the account.
    #[serde(rename = "hub_id")]
    pub hub_id: i64,
    /// The user id of the person who installed the app.
    #[serde(rename = "user_id", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i64>,
    /// The id of the app.
    #[serde(rename = "app_id")]
    pub app_id: i64,
    /// The client id of the app. Absent on `v1`.
    #[serde(rename = "client_id", skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The scopes that were granted.
    #[serde(rename = "scopes")]
    pub scopes: Scopes,
    /// The number of seconds until the token expires. It is 0 if HubSpot sends a negative number.
    #[serde(rename = "expires_in")]
    pub expires_in: u64,
    /// HubSpot's name of the token type: `bearer`, or on `v1` `access`.
    #[serde(rename = "token_type", skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// Whether the app is distributed privately.
    #[serde(rename = "is_private_distribution", skip_serializing_if = "Option::is_none")]
    pub is_private_distribution: Option<bool>,
    /// The e-mail address of the person who installed the app.
    #[serde(rename = "user", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The domain of the account's own website, not a host of HubSpot's.
    #[serde(rename = "hub_domain", skip_serializing_if = "Option::is_none")]
    pub hub_domain: Option<String>,
    /// The signed form of the token, which HubSpot's own services read.
    #[serde(rename = "signed_access_token", skip_serializing_if = "Option::is_none")]
    pub signed_access_token: Option<Box<SignedAccessToken>>,
}

/// What HubSpot says about a valid refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefreshTokenInfo {
    /// The token that was asked about.
    #[serde(rename = "token")]
    pub token: RefreshToken,
    /// The hub id of the account.
    #[serde(rename = "hub_id")]
    pub hub_id: i64,
    /// The user id of the person who installed the app.
    #[serde(rename = "user_id", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i64>,
    /// The id of the app. Absent on `v1`.
    #[serde(rename = "app_id", skip_serializing_if = "Option::is_none")]
    pub app_id: Option<i64>,
    /// The client id of the app.
    #[serde(rename = "client_id")]
    pub client_id: String,
    /// The scopes that were granted.
    #[serde(rename = "scopes")]
    pub scopes: Scopes,
    /// HubSpot's name of the token type. Often absent on `v1`.
    #[serde(rename = "token_type", skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// The e-mail address of the person who installed the app.
    #[serde(rename = "user", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The domain of the account's own website, not a host of HubSpot's.
    #[serde(rename = "hub_domain", skip_serializing_if = "Option::is_none")]
    pub hub_domain: Option<String>,
}

impl Introspection {
    /// Returns whether the token is valid.
    pub const fn is_active(&self) -> bool {
        !matches!(self, Self::Inactive)
    }
}

/// Reads the body of a successful response. `asked` is the token of the request.
pub(super) fn read<B: AsRef<[u8]>>(
    asked: &Token,
    version: ApiVersion,
    response: &Response<B>,
) -> Result<Introspection, Error> {
    let mut body = InfoResponse::default();
    let outcome = json::read(response.body().as_ref(), &mut body);
    let mut problems = Vec::new();
    let active = match body.active {
        // A lookup on `v1` succeeds only for a valid token.
        Scalar::Absent if version == ApiVersion::V1 => Some(true),
        ref active => active.as_bool().or_else(|| {
            problems.push(Problem::of_required(active, "active"));
            None
        }),
    };
    if active == Some(false) && outcome.is_ok() {
        return Ok(Introspection::Inactive);
    }
    let introspection = match active {
        Some(_) => body.into_introspection(asked, &mut problems),
        None => None,
    };
    match introspection {
        Some(introspection) if outcome.is_ok() && problems.is_empty() => Ok(introspection),
        _ => {
            Err(ResponseError::new(Operation::Introspect, response, json::all_problems(outcome, problems))
                .into())
        }
    }
}

impl Serialize for Introspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'i> {
            #[serde(rename = "active")]
            active: bool,
            #[serde(flatten)]
            info: Option<Info<'i>>,
        }

        #[derive(Serialize)]
        #[serde(tag = "token_use")]
        enum Info<'i> {
            #[serde(rename = "access_token")]
            AccessToken(&'i AccessTokenInfo),
            #[serde(rename = "refresh_token")]
            RefreshToken(&'i RefreshTokenInfo),
        }

        let info = match self {
            Self::Inactive => None,
            Self::AccessToken(info) => Some(Info::AccessToken(info)),
            Self::RefreshToken(info) => Some(Info::RefreshToken(info)),
        };
        Body { active: self.is_active(), info }.serialize(serializer)
    }
}

json_object! {
    struct InfoResponse<'a> {
        scalars {
            active = "active",
            token_use = "token_use",
            token = "token",
            hub_id = "hub_id",
            user_id = "user_id",
            app_id = "app_id",
            client_id = "client_id",
            scope = "scope",
            expires_in = "expires_in",
            token_type = "token_type",
            is_private_distribution = "is_private_distribution",
            user = "user",
            hub_domain = "hub_domain",
        }
        others {
            scopes: Scopes = "scopes",
            signed_access_token: Box<SignedAccessToken> = "signed_access_token",
        }
    }
}

impl InfoResponse<'_> {
    /// Reads the description of a valid token.
    ///
    /// `token_use` says which kind of token it is. If HubSpot does not send it, the token is of the kind that was asked about.
    #[inline]
    fn into_introspection(self, asked: &Token, problems: &mut Vec<Problem>) -> Option<Introspection> {
        let is_refresh_token = match self.token_use.into_text().map(TokenUse::from) {
            Some(TokenUse::RefreshToken) => true,
            Some(TokenUse::AccessToken) => false,
            _ => matches!(asked, Token::Refresh(_)),
        };
        // The response may lack the token, since RFC 7662 §2.2 does not define such a field. Then it is the one asked about.
        let token = self.token.into_text().unwrap_or(Cow::Borrowed(asked.expose()));
        let hub_id = required("hub_id", self.hub_id, problems, |value| value.as_integer());
        let text = |value: Scalar<'_>| value.into_text().map(Cow::into_owned);
        let scopes = match (self.scopes, self.scope) {
            (Field::Read(scopes), _) => Some(scopes),
            (_, Scalar::Text(scope)) => Some(Scopes::from_response_text(&scope)),
            (absent, _) => {
                let problem = if absent.is_absent() { Problem::Missing } else { Problem::WrongType };
                problems.push(problem("scopes"));
                None
            }
        };
        if is_refresh_token {
            let client_id = required("client_id", self.client_id, problems, text);
            let token = required("token", Scalar::Text(token), problems, |value| {
                RefreshToken::new(value.into_text()?).ok()
            });
            return Some(Introspection::RefreshToken(Box::new(RefreshTokenInfo {
                token: token?,
                hub_id: hub_id?,
                user_id: self.user_id.as_integer(),
                app_id: self.app_id.as_integer(),
                client_id: client_id?,
                scopes: scopes?,
                token_type: text(self.token_type),
                user: text(self.user),
                hub_domain: text(self.hub_domain),
            })));
        }
        let app_id = required("app_id", self.app_id, problems, |value| value.as_integer());
        let expires_in = required("expires_in", self.expires_in, problems, |value| value.as_integer());
        let token = required("token", Scalar::Text(token), problems, |value| {
            AccessToken::new(value.into_text()?).ok()
        });
        Some(Introspection::AccessToken(Box::new(AccessTokenInfo {
            token: token?,
            hub_id: hub_id?,
            user_id: self.user_id.as_integer(),
            app_id: app_id?,
            client_id: text(self.client_id),
            scopes: scopes?,
            expires_in: u64::try_from(expires_in?).unwrap_or(0),
            token_type: text(self.token_type),
            is_private_distribution: self.is_private_distribution.as_bool(),
            user: text(self.user),
            hub_domain: text(self.hub_domain),
            signed_access_token: self.signed_access_token.into_value(),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Signature;

    fn access_token_info() -> AccessTokenInfo {
        AccessTokenInfo {
            token: AccessToken::new("CK-1").unwrap(),
            hub_id: 62515,
            user_id: None,
            app_id: 1,
            client_id: None,
            scopes: "oauth crm.objects.contacts.read".parse().unwrap(),
            expires_in: 1754,
            token_type: None,
            is_private_distribution: None,
            user: None,
            hub_domain: None,
            signed_access_token: None,
        }
    }

    fn refresh_token_info() -> RefreshTokenInfo {
        RefreshTokenInfo {
            token: RefreshToken::new("na1-2").unwrap(),
            hub_id: 62515,
            user_id: None,
            app_id: None,
            client_id: "client".to_owned(),
            scopes: Scopes::NONE,
            token_type: None,
            user: None,
            hub_domain: None,
        }
    }

    #[test]
    fn the_serialized_form_of_an_inactive_token_is_this_text() {
        assert_eq!(serde_json::to_string(&Introspection::Inactive).unwrap(), r#"{"active":false}"#);
    }

    #[test]
    fn the_serialized_form_of_an_access_token_is_this_text() {
        let signed = SignedAccessToken {
            app_id: Some(1),
            signature: Some(Signature::new("sig").unwrap()),
            ..SignedAccessToken::default()
        };
        let info = AccessTokenInfo {
            user_id: Some(7),
            client_id: Some("client".to_owned()),
            token_type: Some("bearer".to_owned()),
            is_private_distribution: Some(false),
            user: Some("someone@example.com".to_owned()),
            hub_domain: Some("example.com".to_owned()),
            signed_access_token: Some(Box::new(signed)),
            ..access_token_info()
        };
        let fields = concat!(
            r#""token":"CK-1","hub_id":62515,"user_id":7,"app_id":1,"client_id":"client","#,
            r#""scopes":["oauth","crm.objects.contacts.read"],"expires_in":1754,"token_type":"bearer","#,
            r#""is_private_distribution":false,"user":"someone@example.com","hub_domain":"example.com","#,
            r#""signed_access_token":{"appId":1,"signature":"sig"}"#,
        );
        assert_eq!(serde_json::to_string(&info).unwrap(), format!("{{{fields}}}"));
        assert_eq!(
            serde_json::to_string(&Introspection::AccessToken(Box::new(info))).unwrap(),
            format!(r#"{{"active":true,"token_use":"access_token",{fields}}}"#)
        );
        assert_eq!(
            serde_json::to_string(&Introspection::AccessToken(Box::new(access_token_info()))).unwrap(),
            concat!(
                r#"{"active":true,"token_use":"access_token","token":"CK-1","hub_id":62515,"app_id":1,"#,
                r#""scopes":["oauth","crm.objects.contacts.read"],"expires_in":1754}"#,
            )
        );
    }

    #[test]
    fn the_serialized_form_of_a_refresh_token_is_this_text() {
        let info = RefreshTokenInfo {
            user_id: Some(7),
            app_id: Some(1),
            scopes: "oauth".parse().unwrap(),
            token_type: Some("bearer".to_owned()),
            user: Some("someone@example.com".to_owned()),
            hub_domain: Some("example.com".to_owned()),
            ..refresh_token_info()
        };
        let fields = concat!(
            r#""token":"na1-2","hub_id":62515,"user_id":7,"app_id":1,"client_id":"client","scopes":["oauth"],"#,
            r#""token_type":"bearer","user":"someone@example.com","hub_domain":"example.com""#,
        );
        assert_eq!(serde_json::to_string(&info).unwrap(), format!("{{{fields}}}"));
        assert_eq!(
            serde_json::to_string(&Introspection::RefreshToken(Box::new(info))).unwrap(),
            format!(r#"{{"active":true,"token_use":"refresh_token",{fields}}}"#)
        );
        assert_eq!(
            serde_json::to_string(&Introspection::RefreshToken(Box::new(refresh_token_info()))).unwrap(),
            concat!(
                r#"{"active":true,"token_use":"refresh_token","token":"na1-2","hub_id":62515,"#,
                r#""client_id":"client","scopes":[]}"#,
            )
        );
    }
}
