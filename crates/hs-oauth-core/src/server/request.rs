//! Reading of requests.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use percent_encoding::percent_decode_str;

use super::{Call, PresentedClient, Received, Rejection};
use crate::app::{Credential, JWT_BEARER};
use crate::callback::AuthorizationCode;
use crate::endpoint::{
    ClientCredentials, ExchangeCode, Introspect, ReadAccountDetails, Refresh, Revoke, Token, Uninstall,
};
use crate::scope::Scopes;
use crate::secret::{AccessToken, ClientAssertion, ClientSecret, Code, CodeVerifier, RefreshToken};
use crate::version::{ApiVersion, Resource, read_path};

impl Received {
    /// Reads a request to any route of the token API, to an account's details or to the uninstallation of the app.
    ///
    /// # Errors
    /// A [`Rejection`], which says the status that a server responds with.
    pub fn read_request<B: AsRef<[u8]>>(request: &Request<B>) -> Result<Self, Rejection> {
        let (version, resource) = read_path(request.uri().path()).ok_or(Rejection::NotFound)?;
        let method = request.method();
        match resource {
            Resource::AccessToken(token) if method == Method::GET => {
                let token = AccessToken::new(decoded(token)).map_err(Rejection::Malformed)?;
                Ok(Self::without_client(version, Call::Introspect(Introspect::new(token))))
            }
            Resource::RefreshToken(token) if method == Method::GET || method == Method::DELETE => {
                let token = RefreshToken::new(decoded(token)).map_err(Rejection::Malformed)?;
                Ok(Self::without_client(
                    version,
                    match *method {
                        Method::GET => Call::Introspect(Introspect::new(token)),
                        _ => Call::Revoke(Revoke::new(token)),
                    },
                ))
            }
            Resource::ExternalInstall if method == Method::DELETE => {
                Ok(Self::without_client(version, Call::Uninstall(Uninstall::new(bearer(request)?))))
            }
            Resource::AccountDetails if method == Method::GET => {
                let call = Call::AccountDetails(ReadAccountDetails::new(bearer(request)?));
                Ok(Self::without_client(version, call))
            }
            Resource::ExternalInstall => Err(Rejection::MethodNotAllowed { allow: "DELETE" }),
            Resource::AccountDetails => Err(Rejection::MethodNotAllowed { allow: "GET" }),
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

    /// Returns a request that names no app: it has its token in the path, as on `v1`, or in a header.
    fn without_client(version: ApiVersion, call: Call) -> Self {
        Self { version, client: PresentedClient { client_id: None, credential: Credential::Public }, call }
    }
}

impl PresentedClient {
    /// Reads only the app that a request says it comes from.
    ///
    /// This is for a server that authenticates the client even if [`Received::read_request`] rejects the request.
    ///
    /// # Errors
    /// A [`Rejection`] if no resource has this path, or if `client_id`, `client_secret` or an assertion is repeated or malformed.
    pub fn read_request<B: AsRef<[u8]>>(request: &Request<B>) -> Result<Self, Rejection> {
        let (version, resource) = read_path(request.uri().path()).ok_or(Rejection::NotFound)?;
        let body = request.body().as_ref();
        let query = query_of(version, resource, request);
        Form { body, query }.client()
    }
}

/// Returns the access token in the header `Authorization`. The scheme may have any case (RFC 9110 §11.1).
fn bearer<B>(request: &Request<B>) -> Result<AccessToken, Rejection> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = header.and_then(|value| value.split_once(' ')).ok_or(Rejection::NoBearer)?;
    match scheme.eq_ignore_ascii_case("bearer") {
        true => AccessToken::new(token.trim()).map_err(|_| Rejection::NoBearer),
        false => Err(Rejection::NoBearer),
    }
}

/// Undoes the percent-encoding of a token in a path.
fn decoded(token: &str) -> Cow<'_, str> {
    percent_decode_str(token).decode_utf8_lossy()
}

/// Returns whether the `Content-Type` says that the body is a form.
fn has_form<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or("");
    media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Returns the query if parameters in it count: only the token endpoint of `v1` accepts `client_secret` and `refresh_token` there.
fn query_of<'r, B>(version: ApiVersion, resource: Resource<'_>, request: &'r Request<B>) -> &'r [u8] {
    match (version, resource) {
        (ApiVersion::V1, Resource::Token) => request.uri().query().unwrap_or("").as_bytes(),
        _ => b"",
    }
}

/// The parameters of a request: a form body, and the query where it counts.
struct Form<'r> {
    body: &'r [u8],
    query: &'r [u8],
}

impl<'r> Form<'r> {
    /// Reads the app that the request says it comes from.
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

    /// Reads the call to a resource that takes a form.
    fn call(&self, resource: Resource<'_>) -> Result<Call, Rejection> {
        match resource {
            Resource::Introspect => Ok(Call::Introspect(Introspect::new(self.token()?))),
            Resource::Revoke => Ok(Call::Revoke(Revoke::new(self.refresh_token("token")?))),
            _ => self.grant(),
        }
    }

    /// Reads a call to the token endpoint.
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

    /// Reads a token of the kind that `token_type_hint` says (RFC 7662 §2.1). Without a known hint, it is an access token.
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

    /// Returns a parameter that must be present and not empty.
    fn required(&self, name: &'static str) -> Result<Cow<'r, str>, Rejection> {
        self.optional(name)?.ok_or(Rejection::Missing(name))
    }

    /// Returns a parameter, or `None` if it is missing or empty. A repeated parameter is an error (RFC 6749 §3.2).
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
