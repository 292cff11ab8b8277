use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::{self, Field, Scalar, json_object};
use crate::endpoint::needed;
use crate::error::{AnswerError, Error, Operation};
use crate::scope::Scopes;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::timestamp::Timestamp;

/// The tokens of one grant: what HubSpot said, and when the access token ends.
///
/// Serialized under HubSpot's own field names, tokens in the clear, with `expires_at` in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenSet {
    /// What a HubSpot API takes as `Authorization: Bearer …`.
    pub access_token: AccessToken,
    /// What the next access token is got with. Absent with client credentials. If HubSpot's answer to a refresh has none,
    /// this is the one that was sent (RFC 6749 §6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<RefreshToken>,
    /// The life of the access token in seconds, at least 1; HubSpot gives 1800.
    pub expires_in: u64,
    /// The moment the access token ends: `expires_in` after the request was **sent**, so that a slow answer cannot make
    /// the token look fresher than it is.
    pub expires_at: Timestamp,
    /// What the token is for. `v1` did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_use: Option<TokenUse>,
    /// The account. `v1` did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_id: Option<i64>,
    /// The person who installed the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i64>,
    /// What was granted, if HubSpot says so; `v1` did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// Present if the `openid` scope was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<IdToken>,
}

/// What a token is for. An open set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Cow<'_, str>", into = "String")]
#[non_exhaustive]
pub enum TokenUse {
    /// `access_token`: acts for an account.
    AccessToken,
    /// `refresh_token`. Only introspection says this.
    RefreshToken,
    /// `client_credentials`: acts for the app itself.
    ClientCredentials,
    /// Anything else.
    Other(String),
}

impl TokenSet {
    /// A set with what every answer has. The other fields are for the caller to fill in.
    pub fn new(access_token: AccessToken, expires_in: u64, sent_at: Timestamp) -> Self {
        Self {
            access_token,
            refresh_token: None,
            expires_in,
            expires_at: sent_at.plus(Duration::from_secs(expires_in)),
            token_use: None,
            hub_id: None,
            user_id: None,
            scopes: None,
            id_token: None,
        }
    }

    /// Reads the body of a successful answer. `sent` is the refresh token of the request, which stays good if the answer
    /// brings no other.
    pub(crate) fn read<B: AsRef<[u8]>>(
        operation: Operation,
        sent: Option<&RefreshToken>,
        sent_at: Timestamp,
        response: &http::Response<B>,
    ) -> Result<Self, Error> {
        let (body, outcome): (TokenAnswer<'_>, _) = answer::read(response.body().as_ref());
        let mut problems = Vec::new();

        let access_token = needed("access_token", body.access_token, &mut problems, |value| {
            AccessToken::new(value.text()?).ok()
        });
        let new_refresh_token = match (body.refresh_token, operation) {
            (Scalar::Absent, Operation::Refresh | Operation::ClientCredentials) => None,
            (refresh_token, _) => needed("refresh_token", refresh_token, &mut problems, |value| {
                RefreshToken::new(value.text()?).ok()
            }),
        };
        let expires_in = needed("expires_in", body.expires_in, &mut problems, |value| {
            u64::try_from(value.integer()?)
                .ok()
                .filter(|seconds| *seconds > 0)
        });
        needed("token_type", body.token_type, &mut problems, |value| {
            value.text()?.eq_ignore_ascii_case("bearer").then_some(())
        });

        match (access_token, expires_in) {
            (Some(access_token), Some(expires_in)) if problems.is_empty() && outcome.is_ok() => {
                let scope = body.scope.text();
                Ok(Self {
                    refresh_token: new_refresh_token.or_else(|| sent.cloned()),
                    token_use: body.token_use.text().map(TokenUse::from),
                    hub_id: body.hub_id.integer(),
                    user_id: body.user_id.integer(),
                    scopes: (body.scopes.read())
                        .or_else(|| scope.map(|scope| Scopes::from_answer(scope.split_ascii_whitespace()))),
                    id_token: body.id_token.text().and_then(|token| IdToken::new(token).ok()),
                    ..Self::new(access_token, expires_in, sent_at)
                })
            }
            (access_token, _) => {
                let mut error = AnswerError::new(operation, response, answer::problems(outcome, problems));
                error.rescued.access_token = access_token;
                error.rescued.refresh_token = new_refresh_token;
                Err(error.into())
            }
        }
    }
}

impl TokenUse {
    /// The use as HubSpot writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Other(name) => name,
        }
    }
}

impl From<Cow<'_, str>> for TokenUse {
    fn from(name: Cow<'_, str>) -> Self {
        match &*name {
            "access_token" => Self::AccessToken,
            "refresh_token" => Self::RefreshToken,
            "client_credentials" => Self::ClientCredentials,
            _ => Self::Other(name.into_owned()),
        }
    }
}

impl From<TokenUse> for String {
    fn from(token_use: TokenUse) -> Self {
        token_use.as_str().to_owned()
    }
}

json_object! {
    struct TokenAnswer<'a> {
        access_token: Scalar<'a> = "access_token",
        refresh_token: Scalar<'a> = "refresh_token",
        token_type: Scalar<'a> = "token_type",
        expires_in: Scalar<'a> = "expires_in",
        token_use: Scalar<'a> = "token_use",
        hub_id: Scalar<'a> = "hub_id",
        user_id: Scalar<'a> = "user_id",
        scopes: Field<Scopes> = "scopes",
        scope: Scalar<'a> = "scope",
        id_token: Scalar<'a> = "id_token",
    }
}
