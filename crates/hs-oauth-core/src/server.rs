//! HubSpot's side of the contract (feature `server`): reads a request into the very types a client builds it from, and
//! writes the answers a client reads. What a request is granted is not decided here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::app::{Credential, JWT_BEARER};
use crate::callback::AuthorizationCode;
use crate::endpoint::{
    AccessTokenInfo, ClientCredentials, Endpoint, ExchangeCode, Introspect, Introspection, Refresh,
    RefreshTokenInfo, Revoke, Token,
};
use crate::error::{ApiError, ErrorDetail, HubSpotCode, OAuthCode};
use crate::invalid_argument::InvalidArgument;
use crate::json::UnknownFields;
use crate::scope::Scopes;
use crate::secret::{AccessToken, ClientAssertion, ClientSecret, Code, CodeVerifier, IdToken, RefreshToken};
use crate::token_set::{TokenSet, TokenType, TokenUse};
use crate::version::{ApiVersion, Resource, read_path};

/// A request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The generation of the API it was made to.
    pub version: ApiVersion,
    /// Who says to be asking.
    pub client: PresentedClient,
    /// What is asked for.
    pub call: Call,
}

/// The app a request says to come from; nothing of it is verified. The lookups of `v1` name none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresentedClient {
    /// `client_id`.
    pub client_id: Option<String>,
    /// `client_secret`, or `client_assertion` of the JWT bearer type.
    pub credential: Credential,
}

/// One of the five endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// A code for tokens.
    ExchangeCode(ExchangeCode),
    /// A refresh token for tokens.
    Refresh(Refresh),
    /// A token for the app itself.
    ClientCredentials(ClientCredentials),
    /// What a token is.
    Introspect(Introspect),
    /// The end of a refresh token.
    Revoke(Revoke),
}

/// Why a request was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// No resource has this path. 404.
    NotFound,
    /// The resource does not take this method. 405.
    MethodNotAllowed {
        /// The methods it takes, as an `Allow` header lists them.
        allow: &'static str,
    },
    /// The body is not `application/x-www-form-urlencoded`. 415.
    UnsupportedMediaType,
    /// A needed parameter is absent or empty. 400.
    Missing(&'static str),
    /// A parameter is there more than once (RFC 6749 §3.2). 400.
    Repeated(&'static str),
    /// A parameter has a value that cannot be. 400.
    Malformed(InvalidArgument),
    /// The `grant_type` is none of HubSpot's. 400.
    UnsupportedGrantType,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is nothing at this address"),
            Self::MethodNotAllowed { allow } => write!(f, "this address takes {allow} only"),
            Self::UnsupportedMediaType => f.write_str("the body must be application/x-www-form-urlencoded"),
            Self::Missing(name) => write!(f, "missing parameter `{name}`"),
            Self::Repeated(name) => write!(f, "parameter `{name}` is there more than once"),
            Self::Malformed(error) => write!(f, "bad parameter: {error}"),
            Self::UnsupportedGrantType => f.write_str("unsupported grant_type"),
        }
    }
}

impl std::error::Error for Rejection {}

/// Writes what an endpoint gives as the answer that its `read_response` reads.
pub trait Serve: Endpoint {
    /// The answer under `version`.
    fn to_response(output: &Self::Output, version: ApiVersion) -> Response<Vec<u8>>;
}

impl Received {
    /// Reads a request to any route of the token API.
    ///
    /// # Errors
    /// [`Rejection`], which says with what status a server refuses it.
    pub fn read_request<B: AsRef<[u8]>>(request: &Request<B>) -> Result<Self, Rejection> {
        let (version, resource) = read_path(request.uri().path()).ok_or(Rejection::NotFound)?;
        let method = request.method();
        match resource {
            Resource::AccessToken(token) if method == Method::GET => {
                let token = AccessToken::new(decoded(token)).map_err(Rejection::Malformed)?;
                Ok(Self::of_lookup(version, Call::Introspect(Introspect::new(token))))
            }
            Resource::RefreshToken(token) if method == Method::GET || method == Method::DELETE => {
                let token = RefreshToken::new(decoded(token)).map_err(Rejection::Malformed)?;
                Ok(Self::of_lookup(
                    version,
                    match *method {
                        Method::GET => Call::Introspect(Introspect::new(token)),
                        _ => Call::Revoke(Revoke::new(token)),
                    },
                ))
            }
            Resource::AccessToken(_) => Err(Rejection::MethodNotAllowed { allow: "GET" }),
            Resource::RefreshToken(_) => Err(Rejection::MethodNotAllowed { allow: "GET, DELETE" }),
            _ if method != Method::POST => Err(Rejection::MethodNotAllowed { allow: "POST" }),
            _ if !has_form(request) => Err(Rejection::UnsupportedMediaType),
            resource => {
                let form =
                    Form { body: request.body().as_ref(), query: query_of(version, resource, request) };
                Ok(Self { version, client: form.client()?, call: form.call(resource)? })
            }
        }
    }

    fn of_lookup(version: ApiVersion, call: Call) -> Self {
        Self { version, client: PresentedClient { client_id: None, credential: Credential::Public }, call }
    }
}

impl PresentedClient {
    /// Reads only who says to be asking: what a server that authenticates first needs of a request that
    /// [`Received::read_request`] rejects.
    ///
    /// # Errors
    /// [`Rejection`] if `client_id`, `client_secret` or an assertion is repeated or malformed, or nothing has this path.
    pub fn read_request<B: AsRef<[u8]>>(request: &Request<B>) -> Result<Self, Rejection> {
        let (version, resource) = read_path(request.uri().path()).ok_or(Rejection::NotFound)?;
        let body = request.body().as_ref();
        let query = query_of(version, resource, request);
        Form { body, query }.client()
    }
}

impl AccessTokenInfo {
    /// What every answer about an access token has. The other fields are for the caller to fill in.
    pub const fn new(token: AccessToken, hub_id: i64, app_id: i64, scopes: Scopes, expires_in: u64) -> Self {
        Self {
            token,
            hub_id,
            user_id: None,
            app_id,
            client_id: None,
            scopes,
            expires_in,
            token_type: None,
            is_private_distribution: None,
            user: None,
            hub_domain: None,
            signed_access_token: None,
        }
    }
}

impl RefreshTokenInfo {
    /// What every answer about a refresh token has. The other fields are for the caller to fill in.
    pub const fn new(token: RefreshToken, hub_id: i64, client_id: String, scopes: Scopes) -> Self {
        Self {
            token,
            hub_id,
            user_id: None,
            app_id: None,
            client_id,
            scopes,
            token_type: None,
            user: None,
            hub_domain: None,
        }
    }
}

fn decoded(token: &str) -> Cow<'_, str> {
    percent_decode_str(token).decode_utf8_lossy()
}

fn has_form<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or("");
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The token endpoint of `v1` takes `client_secret` and `refresh_token` in the query too. No other does.
fn query_of<'r, B>(version: ApiVersion, resource: Resource<'_>, request: &'r Request<B>) -> &'r [u8] {
    match (version, resource) {
        (ApiVersion::V1, Resource::Token) => request.uri().query().unwrap_or("").as_bytes(),
        _ => b"",
    }
}

struct Form<'r> {
    body: &'r [u8],
    query: &'r [u8],
}

impl<'r> Form<'r> {
    fn client(&self) -> Result<PresentedClient, Rejection> {
        let secret = self.optional("client_secret")?.map(ClientSecret::new).transpose();
        let credential =
            match (secret.map_err(Rejection::Malformed)?, self.optional("client_assertion_type")?) {
                (Some(secret), _) => Credential::Secret(secret),
                (None, Some(kind)) if kind == JWT_BEARER => {
                    let assertion = ClientAssertion::new(self.required("client_assertion")?);
                    Credential::Assertion(assertion.map_err(Rejection::Malformed)?)
                }
                (None, _) => Credential::Public,
            };
        Ok(PresentedClient { client_id: self.optional("client_id")?.map(Cow::into_owned), credential })
    }

    fn call(&self, resource: Resource<'_>) -> Result<Call, Rejection> {
        match resource {
            Resource::Introspect => Ok(Call::Introspect(Introspect::new(self.token()?))),
            Resource::Revoke => Ok(Call::Revoke(Revoke::new(self.refresh_token("token")?))),
            _ => self.grant(),
        }
    }

    fn grant(&self) -> Result<Call, Rejection> {
        match &*self.required("grant_type")? {
            "authorization_code" => {
                let code = Code::new(self.required("code")?).map_err(Rejection::Malformed)?;
                let verifier = self.optional("code_verifier")?.map(CodeVerifier::new).transpose();
                Ok(Call::ExchangeCode(ExchangeCode::new(AuthorizationCode::from_caller_who_checked_state(
                    code,
                    self.required("redirect_uri")?,
                    verifier.map_err(Rejection::Malformed)?,
                ))))
            }
            "refresh_token" => {
                let refresh = Refresh::new(self.refresh_token("refresh_token")?);
                Ok(Call::Refresh(refresh.with_scopes(self.scopes()?)))
            }
            "client_credentials" => Ok(Call::ClientCredentials(ClientCredentials::new(self.scopes()?))),
            _ => Err(Rejection::UnsupportedGrantType),
        }
    }

    /// The hint is only a hint (RFC 7662 §2.1): without one the token is taken as an access token if it can be one.
    fn token(&self) -> Result<Token, Rejection> {
        let text = self.required("token")?;
        match self.optional("token_type_hint")?.as_deref() {
            Some("refresh_token") => {
                RefreshToken::new(text).map(Token::Refresh).map_err(Rejection::Malformed)
            }
            _ => AccessToken::new(text).map(Token::Access).map_err(Rejection::Malformed),
        }
    }

    fn refresh_token(&self, name: &'static str) -> Result<RefreshToken, Rejection> {
        RefreshToken::new(self.required(name)?).map_err(Rejection::Malformed)
    }

    fn scopes(&self) -> Result<Scopes, Rejection> {
        self.optional("scope")?.as_deref().unwrap_or("").parse().map_err(Rejection::Malformed)
    }

    fn required(&self, name: &'static str) -> Result<Cow<'r, str>, Rejection> {
        self.optional(name)?.ok_or(Rejection::Missing(name))
    }

    fn optional(&self, name: &'static str) -> Result<Option<Cow<'r, str>>, Rejection> {
        let mut values = form_urlencoded::parse(self.body).filter(|pair| pair.0 == name).map(|pair| pair.1);
        let value = match (values.next(), values.next()) {
            (_, Some(_)) => return Err(Rejection::Repeated(name)),
            (value, None) => value.filter(|value| !value.is_empty()),
        };
        let in_query = || match name {
            "client_secret" | "refresh_token" => {
                form_urlencoded::parse(self.query).find(|pair| pair.0 == name).map(|pair| pair.1)
            }
            _ => None,
        };
        Ok(value.or_else(in_query).filter(|value| !value.is_empty()))
    }
}

impl Serve for ExchangeCode {
    #[inline]
    fn to_response(tokens: &TokenSet, _: ApiVersion) -> Response<Vec<u8>> {
        token_response(tokens)
    }
}

impl Serve for Refresh {
    #[inline]
    fn to_response(tokens: &TokenSet, _: ApiVersion) -> Response<Vec<u8>> {
        token_response(tokens)
    }
}

impl Serve for ClientCredentials {
    #[inline]
    fn to_response(tokens: &TokenSet, _: ApiVersion) -> Response<Vec<u8>> {
        token_response(tokens)
    }
}

impl Serve for Introspect {
    #[inline]
    fn to_response(introspection: &Introspection, version: ApiVersion) -> Response<Vec<u8>> {
        match (version, introspection) {
            (ApiVersion::V1, Introspection::AccessToken(info)) => json(StatusCode::OK, info),
            (ApiVersion::V1, Introspection::RefreshToken(info)) => json(StatusCode::OK, info),
            (ApiVersion::V1, Introspection::Inactive) => ApiError {
                category: Some("UNAUTHORIZED".to_owned()),
                message: Some("Invalid or expired token".to_owned()),
                sub_category: Some(HubSpotCode::InvalidToken),
                ..ApiError::new(Self::OPERATION, StatusCode::UNAUTHORIZED)
            }
            .to_response(),
            _ => json(StatusCode::OK, introspection),
        }
    }
}

impl Serve for Revoke {
    #[inline]
    fn to_response((): &(), version: ApiVersion) -> Response<Vec<u8>> {
        if version != ApiVersion::V1 {
            return with_body(StatusCode::OK, b"{}".to_vec());
        }
        let mut response = Response::new(Vec::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }
}

impl ApiError {
    /// The answer this refusal is read from, in both of HubSpot's shapes at once: every field that is there, and
    /// `Retry-After` in seconds.
    #[inline]
    pub fn to_response(&self) -> Response<Vec<u8>> {
        let mut response = json(self.status, &ErrorBody::from(self));
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }
}

/// The body of an error response, in both of HubSpot's shapes at once.
#[derive(Serialize)]
struct ErrorBody<'e> {
    #[serde(rename = "error", skip_serializing_if = "Option::is_none")]
    error: Option<&'e OAuthCode>,
    #[serde(rename = "error_description", skip_serializing_if = "Option::is_none")]
    error_description: Option<&'e str>,
    #[serde(rename = "status", skip_serializing_if = "Option::is_none")]
    code: Option<&'e HubSpotCode>,
    #[serde(rename = "subCategory", skip_serializing_if = "Option::is_none")]
    sub_category: Option<&'e HubSpotCode>,
    #[serde(rename = "category", skip_serializing_if = "Option::is_none")]
    category: Option<&'e str>,
    #[serde(rename = "message", skip_serializing_if = "Option::is_none")]
    message: Option<&'e str>,
    #[serde(rename = "correlationId", skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'e str>,
    #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
    request_id: Option<&'e str>,
    #[serde(rename = "errorType", skip_serializing_if = "Option::is_none")]
    error_type: Option<&'e str>,
    #[serde(rename = "policyName", skip_serializing_if = "Option::is_none")]
    policy_name: Option<&'e str>,
    #[serde(rename = "groupName", skip_serializing_if = "Option::is_none")]
    group_name: Option<&'e str>,
    #[serde(rename = "context", skip_serializing_if = "BTreeMap::is_empty")]
    context: &'e BTreeMap<String, Vec<String>>,
    #[serde(rename = "links", skip_serializing_if = "BTreeMap::is_empty")]
    links: &'e BTreeMap<String, String>,
    #[serde(rename = "errors", skip_serializing_if = "<[_]>::is_empty")]
    errors: &'e [ErrorDetail],
}

impl<'e> From<&'e ApiError> for ErrorBody<'e> {
    fn from(error: &'e ApiError) -> Self {
        let ApiError {
            operation: _,
            status: _,
            error,
            error_description,
            code,
            sub_category,
            category,
            message,
            correlation_id,
            request_id,
            error_type,
            policy_name,
            group_name,
            context,
            links,
            errors,
            retry_after: _,
        } = error;
        Self {
            error: error.as_ref(),
            error_description: error_description.as_deref(),
            code: code.as_ref(),
            sub_category: sub_category.as_ref(),
            category: category.as_deref(),
            message: message.as_deref(),
            correlation_id: correlation_id.as_deref(),
            request_id: request_id.as_deref(),
            error_type: error_type.as_deref(),
            policy_name: policy_name.as_deref(),
            group_name: group_name.as_deref(),
            context,
            links,
            errors,
        }
    }
}

#[inline]
fn token_response(tokens: &TokenSet) -> Response<Vec<u8>> {
    let TokenSet {
        access_token,
        refresh_token,
        token_type,
        expires_in,
        expires_at: _,
        token_use,
        hub_id,
        user_id,
        scopes,
        id_token,
        unknown,
    } = tokens;
    let body = TokenBody {
        access_token,
        refresh_token: refresh_token.as_ref(),
        token_type: *token_type,
        expires_in: *expires_in,
        token_use: token_use.as_ref(),
        hub_id: *hub_id,
        user_id: *user_id,
        scopes: scopes.as_ref(),
        id_token: id_token.as_ref(),
        unknown,
    };
    json(StatusCode::OK, &body)
}

/// The body of a token response. It does not say when the token ends: each side counts that from its own clock.
#[derive(Serialize)]
struct TokenBody<'t> {
    #[serde(rename = "access_token")]
    access_token: &'t AccessToken,
    #[serde(rename = "refresh_token", skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'t RefreshToken>,
    #[serde(rename = "token_type")]
    token_type: TokenType,
    #[serde(rename = "expires_in")]
    expires_in: u64,
    #[serde(rename = "token_use", skip_serializing_if = "Option::is_none")]
    token_use: Option<&'t TokenUse>,
    #[serde(rename = "hub_id", skip_serializing_if = "Option::is_none")]
    hub_id: Option<i64>,
    #[serde(rename = "user_id", skip_serializing_if = "Option::is_none")]
    user_id: Option<i64>,
    #[serde(rename = "scopes", skip_serializing_if = "Option::is_none")]
    scopes: Option<&'t Scopes>,
    #[serde(rename = "id_token", skip_serializing_if = "Option::is_none")]
    id_token: Option<&'t IdToken>,
    #[serde(flatten)]
    unknown: &'t UnknownFields,
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Vec<u8>> {
    // These types have text keys and no failing `Serialize`, so there always is a body.
    with_body(status, serde_json::to_vec(body).unwrap_or_default())
}

/// A JSON answer that no cache keeps (RFC 6749 §5.1).
fn with_body(status: StatusCode, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
