//! `POST /oauth/{version}/token/introspect` (RFC 7662 §2.1); on `v1` `GET /oauth/v1/access-tokens/{token}` and
//! `GET /oauth/v1/refresh-tokens/{token}`.

use std::borrow::Cow;

use http::{Method, Request, Response};
use serde_core::de::MapAccess;
use serde_core::ser::SerializeMap;
use serde_core::{Serialize, Serializer};

use super::{Endpoint, bare, needed, post, refusal};
use crate::answer::{self, Field, Scalar, Shape, json_object};
use crate::app::App;
use crate::error::{AnswerError, Error, Operation, Problem};
use crate::kept::write_some;
use crate::scope::Scopes;
use crate::secret::{AccessToken, RefreshToken, Signature};
use crate::timestamp::Timestamp;
use crate::token_set::TokenUse;
use crate::version::{ApiVersion, Resource};

/// Asks HubSpot about a token: whether it is good, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspect {
    token: Token,
}

/// A token of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// An access token.
    Access(AccessToken),
    /// A refresh token.
    Refresh(RefreshToken),
}

/// What HubSpot knows of a token.
///
/// Serialized under HubSpot's own field names, as a current version would have answered; the token in it stands there in
/// the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Introspection {
    /// The token is unknown, expired or revoked; HubSpot says no more.
    Inactive,
    /// A good access token.
    AccessToken(Box<AccessTokenInfo>),
    /// A good refresh token.
    RefreshToken(Box<RefreshTokenInfo>),
}

/// What HubSpot knows of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessTokenInfo {
    /// The token itself.
    pub token: AccessToken,
    /// The account.
    pub hub_id: i64,
    /// The person who installed the app.
    pub user_id: Option<i64>,
    /// The app.
    pub app_id: i64,
    /// The app's client id. `v1` does not say.
    pub client_id: Option<String>,
    /// What was granted.
    pub scopes: Scopes,
    /// Seconds until the token expires; 0 if it has, or if HubSpot says a negative number.
    pub expires_in: u64,
    /// `bearer`; on `v1` `access`.
    pub token_type: Option<String>,
    /// Whether the app is distributed privately.
    pub is_private_distribution: Option<bool>,
    /// The e-mail address of the person who installed the app.
    pub user: Option<String>,
    /// The account's own website, not a host of HubSpot's.
    pub hub_domain: Option<String>,
    /// The signed form of the token.
    pub signed_access_token: Option<Box<SignedAccessToken>>,
}

/// What HubSpot knows of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefreshTokenInfo {
    /// The token itself.
    pub token: RefreshToken,
    /// The account.
    pub hub_id: i64,
    /// The person who installed the app.
    pub user_id: Option<i64>,
    /// The app. `v1` does not say.
    pub app_id: Option<i64>,
    /// The app's client id.
    pub client_id: String,
    /// What was granted.
    pub scopes: Scopes,
    /// What HubSpot calls the token; on `v1` often absent.
    pub token_type: Option<String>,
    /// The e-mail address of the person who installed the app.
    pub user: Option<String>,
    /// The account's own website, not a host of HubSpot's.
    pub hub_domain: Option<String>,
}

/// The signed form of an access token, as HubSpot's own services read it. Scopes and their kin are opaque texts here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedAccessToken {
    /// The app.
    pub app_id: Option<i64>,
    /// This install of the app.
    pub app_install_id: Option<String>,
    /// Whom the token is for.
    pub audience: Option<String>,
    /// When the token expires; in milliseconds since 1970 on the wire.
    pub expires_at: Option<i64>,
    /// The account.
    pub hub_id: Option<i64>,
    /// The data centre, such as `na1`.
    pub hublet: Option<String>,
    /// The person who installed the app.
    pub installing_user_id: Option<i64>,
    /// Whether the app is distributed privately.
    pub is_private_distribution: Option<bool>,
    /// Whether the token acts for a service account.
    pub is_service_account: Option<bool>,
    /// Whether the token acts for a person rather than for the account.
    pub is_user_level: Option<bool>,
    /// The signature in its newer form.
    pub new_signature: Option<Signature>,
    /// Opaque.
    pub scope_to_scope_group_pks: Option<String>,
    /// Opaque.
    pub scopes: Option<String>,
    /// The signature.
    pub signature: Option<Signature>,
    /// Opaque.
    pub trial_scope_to_scope_group_pks: Option<String>,
    /// Opaque.
    pub trial_scopes: Option<String>,
    /// The person the token acts for.
    pub user_id: Option<i64>,
}

impl Introspect {
    /// Asks about this token.
    pub fn new(token: impl Into<Token>) -> Self {
        Self { token: token.into() }
    }

    /// The token asked about.
    pub const fn token(&self) -> &Token {
        &self.token
    }
}

impl Introspection {
    /// Whether the token is good.
    pub const fn is_active(&self) -> bool {
        !matches!(self, Self::Inactive)
    }
}

impl Serialize for Introspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("active", &self.is_active())?;
        match self {
            Self::Inactive => {}
            Self::AccessToken(info) => {
                object.serialize_entry("token_use", "access_token")?;
                info.write(&mut object)?;
            }
            Self::RefreshToken(info) => {
                object.serialize_entry("token_use", "refresh_token")?;
                info.write(&mut object)?;
            }
        }
        object.end()
    }
}

impl Serialize for AccessTokenInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        self.write(&mut object)?;
        object.end()
    }
}

impl AccessTokenInfo {
    fn write<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        let Self {
            token,
            hub_id,
            user_id,
            app_id,
            client_id,
            scopes,
            expires_in,
            token_type,
            is_private_distribution,
            user,
            hub_domain,
            signed_access_token,
        } = self;
        object.serialize_entry("token", token)?;
        object.serialize_entry("hub_id", hub_id)?;
        write_some(object, "user_id", user_id)?;
        object.serialize_entry("app_id", app_id)?;
        write_some(object, "client_id", client_id)?;
        object.serialize_entry("scopes", scopes)?;
        object.serialize_entry("expires_in", expires_in)?;
        write_some(object, "token_type", token_type)?;
        write_some(object, "is_private_distribution", is_private_distribution)?;
        write_some(object, "user", user)?;
        write_some(object, "hub_domain", hub_domain)?;
        write_some(object, "signed_access_token", signed_access_token)
    }
}

impl Serialize for RefreshTokenInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        self.write(&mut object)?;
        object.end()
    }
}

impl RefreshTokenInfo {
    fn write<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        let Self { token, hub_id, user_id, app_id, client_id, scopes, token_type, user, hub_domain } = self;
        object.serialize_entry("token", token)?;
        object.serialize_entry("hub_id", hub_id)?;
        write_some(object, "user_id", user_id)?;
        write_some(object, "app_id", app_id)?;
        object.serialize_entry("client_id", client_id)?;
        object.serialize_entry("scopes", scopes)?;
        write_some(object, "token_type", token_type)?;
        write_some(object, "user", user)?;
        write_some(object, "hub_domain", hub_domain)
    }
}

impl Serialize for SignedAccessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            app_id,
            app_install_id,
            audience,
            expires_at,
            hub_id,
            hublet,
            installing_user_id,
            is_private_distribution,
            is_service_account,
            is_user_level,
            new_signature,
            scope_to_scope_group_pks,
            scopes,
            signature,
            trial_scope_to_scope_group_pks,
            trial_scopes,
            user_id,
        } = self;
        let mut object = serializer.serialize_map(None)?;
        write_some(&mut object, "appId", app_id)?;
        write_some(&mut object, "appInstallId", app_install_id)?;
        write_some(&mut object, "audience", audience)?;
        write_some(&mut object, "expiresAt", expires_at)?;
        write_some(&mut object, "hubId", hub_id)?;
        write_some(&mut object, "hublet", hublet)?;
        write_some(&mut object, "installingUserId", installing_user_id)?;
        write_some(&mut object, "isPrivateDistribution", is_private_distribution)?;
        write_some(&mut object, "isServiceAccount", is_service_account)?;
        write_some(&mut object, "isUserLevel", is_user_level)?;
        write_some(&mut object, "newSignature", new_signature)?;
        write_some(&mut object, "scopeToScopeGroupPks", scope_to_scope_group_pks)?;
        write_some(&mut object, "scopes", scopes)?;
        write_some(&mut object, "signature", signature)?;
        write_some(&mut object, "trialScopeToScopeGroupPks", trial_scope_to_scope_group_pks)?;
        write_some(&mut object, "trialScopes", trial_scopes)?;
        write_some(&mut object, "userId", user_id)?;
        object.end()
    }
}

impl Token {
    /// The text itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        match self {
            Self::Access(token) => token.expose(),
            Self::Refresh(token) => token.expose(),
        }
    }

    /// What the token is, as a `token_type_hint` says it (RFC 7009 §2.1).
    pub const fn type_hint(&self) -> &'static str {
        match self {
            Self::Access(_) => "access_token",
            Self::Refresh(_) => "refresh_token",
        }
    }
}

impl From<AccessToken> for Token {
    fn from(token: AccessToken) -> Self {
        Self::Access(token)
    }
}

impl From<RefreshToken> for Token {
    fn from(token: RefreshToken) -> Self {
        Self::Refresh(token)
    }
}

impl Endpoint for Introspect {
    type Output = Introspection;

    const OPERATION: Operation = Operation::Introspect;

    fn to_http(&self, app: &App) -> Request<Vec<u8>> {
        match (app.version(), &self.token) {
            (ApiVersion::V1, Token::Access(token)) => {
                bare(Method::GET, app.uri(Resource::AccessToken(token.expose())))
            }
            (ApiVersion::V1, Token::Refresh(token)) => {
                bare(Method::GET, app.uri(Resource::RefreshToken(token.expose())))
            }
            (_, token) => {
                let fields = [("token", token.expose()), ("token_type_hint", token.type_hint())];
                post(app.uri(Resource::Introspect), app, "", &fields)
            }
        }
    }

    fn from_http<B: AsRef<[u8]>>(
        &self,
        app: &App,
        sent_at: Timestamp,
        response: &Response<B>,
    ) -> Result<Introspection, Error> {
        if response.status().is_success() {
            return self.read(app.version(), response);
        }
        let refusal = refusal(Self::OPERATION, app, [self.token.expose(), ""], sent_at, response);
        match app.version() {
            ApiVersion::V1 if refusal.is_unknown_token() => Ok(Introspection::Inactive),
            _ => Err(refusal.into()),
        }
    }
}

impl Introspect {
    fn read<B: AsRef<[u8]>>(
        &self,
        version: ApiVersion,
        response: &Response<B>,
    ) -> Result<Introspection, Error> {
        let mut body = InfoAnswer::default();
        let outcome = answer::read(response.body().as_ref(), &mut body);
        let mut problems = Vec::new();
        let active = match body.active {
            // A lookup of v1 answers only for a token that is good.
            Scalar::Absent if version == ApiVersion::V1 => Some(true),
            ref active => active.boolean().or_else(|| {
                problems.push(active.problem("active"));
                None
            }),
        };
        if active == Some(false) && outcome.is_ok() {
            return Ok(Introspection::Inactive);
        }
        let introspection = match active {
            Some(_) => body.info(&self.token, &mut problems),
            None => None,
        };
        match introspection {
            Some(introspection) if outcome.is_ok() && problems.is_empty() => Ok(introspection),
            _ => Err(AnswerError::new(Self::OPERATION, response, answer::problems(outcome, problems)).into()),
        }
    }
}

json_object! {
    struct InfoAnswer<'a> {
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

impl InfoAnswer<'_> {
    /// Which kind of token it is, HubSpot says in `token_use`; where it does not, it is the kind asked about.
    #[inline]
    fn info(self, asked: &Token, problems: &mut Vec<Problem>) -> Option<Introspection> {
        let is_refresh_token = match self.token_use.text().map(TokenUse::from) {
            Some(TokenUse::RefreshToken) => true,
            Some(TokenUse::AccessToken) => false,
            _ => matches!(asked, Token::Refresh(_)),
        };
        // The token may be left out of the answer, which RFC 7662 §2.2 does not name: it is the one asked about.
        let token = self.token.text().unwrap_or(Cow::Borrowed(asked.expose()));
        let hub_id = needed("hub_id", self.hub_id, problems, |value| value.integer());
        let text = |value: Scalar<'_>| value.text().map(Cow::into_owned);
        let scopes = match (self.scopes, self.scope) {
            (Field::Read(scopes), _) => Some(scopes),
            (_, Scalar::Text(scope)) => Some(Scopes::from_answer_text(&scope)),
            (absent, _) => {
                let problem = if absent.is_absent() { Problem::Missing } else { Problem::WrongType };
                problems.push(problem("scopes"));
                None
            }
        };
        if is_refresh_token {
            let client_id = needed("client_id", self.client_id, problems, text);
            let token =
                needed("token", Scalar::Text(token), problems, |value| RefreshToken::new(value.text()?).ok());
            return Some(Introspection::RefreshToken(Box::new(RefreshTokenInfo {
                token: token?,
                hub_id: hub_id?,
                user_id: self.user_id.integer(),
                app_id: self.app_id.integer(),
                client_id: client_id?,
                scopes: scopes?,
                token_type: text(self.token_type),
                user: text(self.user),
                hub_domain: text(self.hub_domain),
            })));
        }
        let app_id = needed("app_id", self.app_id, problems, |value| value.integer());
        let expires_in = needed("expires_in", self.expires_in, problems, |value| value.integer());
        let token =
            needed("token", Scalar::Text(token), problems, |value| AccessToken::new(value.text()?).ok());
        Some(Introspection::AccessToken(Box::new(AccessTokenInfo {
            token: token?,
            hub_id: hub_id?,
            user_id: self.user_id.integer(),
            app_id: app_id?,
            client_id: text(self.client_id),
            scopes: scopes?,
            expires_in: u64::try_from(expires_in?).unwrap_or(0),
            token_type: text(self.token_type),
            is_private_distribution: self.is_private_distribution.boolean(),
            user: text(self.user),
            hub_domain: text(self.hub_domain),
            signed_access_token: self.signed_access_token.read(),
        })))
    }
}

json_object! {
    struct SignedAnswer<'a> {
        scalars {
            app_id = "appId",
            app_install_id = "appInstallId",
            audience = "audience",
            expires_at = "expiresAt",
            hub_id = "hubId",
            hublet = "hublet",
            installing_user_id = "installingUserId",
            is_private_distribution = "isPrivateDistribution",
            is_service_account = "isServiceAccount",
            is_user_level = "isUserLevel",
            new_signature = "newSignature",
            scope_to_scope_group_pks = "scopeToScopeGroupPks",
            scopes = "scopes",
            signature = "signature",
            trial_scope_to_scope_group_pks = "trialScopeToScopeGroupPks",
            trial_scopes = "trialScopes",
            user_id = "userId",
        }
        others {}
    }
}

impl<'a> Shape<'a> for Box<SignedAccessToken> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        let signed: SignedAnswer<'a> = answer::nested(object)?;
        let text = |value: Scalar<'_>| value.text().map(Cow::into_owned);
        let signature = |value: Scalar<'_>| Signature::new(value.text()?).ok();
        Ok(Some(Self::new(SignedAccessToken {
            app_id: signed.app_id.integer(),
            app_install_id: text(signed.app_install_id),
            audience: text(signed.audience),
            expires_at: signed.expires_at.integer(),
            hub_id: signed.hub_id.integer(),
            hublet: text(signed.hublet),
            installing_user_id: signed.installing_user_id.integer(),
            is_private_distribution: signed.is_private_distribution.boolean(),
            is_service_account: signed.is_service_account.boolean(),
            is_user_level: signed.is_user_level.boolean(),
            new_signature: signature(signed.new_signature),
            scope_to_scope_group_pks: text(signed.scope_to_scope_group_pks),
            scopes: text(signed.scopes),
            signature: signature(signed.signature),
            trial_scope_to_scope_group_pks: text(signed.trial_scope_to_scope_group_pks),
            trial_scopes: text(signed.trial_scopes),
            user_id: signed.user_id.integer(),
        })))
    }
}
