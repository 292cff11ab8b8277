use std::borrow::Cow;
use std::time::Duration;

use serde_core::de::Error as _;
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use crate::answer::{self, Scalar, json_object};
use crate::endpoint::needed;
use crate::error::{AnswerError, Error, Operation, Problem, Rescued, TransportError};
use crate::kept::kept_object;
use crate::record::Unknown;
use crate::scope::Scopes;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::text::Text;
use crate::timestamp::Timestamp;

/// The tokens of one grant: what HubSpot said, and when the access token ends.
///
/// Serialized under HubSpot's own field names, tokens in the clear, with `expires_at` in milliseconds since 1970 and null for
/// what HubSpot did not say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenSet {
    /// What a HubSpot API takes as `Authorization: Bearer …`.
    pub access_token: AccessToken,
    /// What the next access token is got with. Absent with client credentials. If HubSpot's answer to a refresh has none,
    /// this is the one that was sent (RFC 6749 §6).
    pub refresh_token: Option<RefreshToken>,
    /// How the access token is used.
    pub token_type: TokenType,
    /// The life of the access token in seconds, at least 1; HubSpot gives 1800.
    pub expires_in: u64,
    /// The moment the access token ends: `expires_in` after the request was **sent**, so that a slow answer cannot make
    /// the token look fresher than it is; at most a day later, since HubSpot's live half an hour and a token that never
    /// seems to end is never renewed.
    pub expires_at: Timestamp,
    /// What the token is for. `v1` did not say.
    pub token_use: Option<TokenUse>,
    /// The account. `v1` did not say.
    pub hub_id: Option<i64>,
    /// The person who installed the app.
    pub user_id: Option<i64>,
    /// What was granted, if HubSpot says so; `v1` did not.
    pub scopes: Option<Scopes>,
    /// Present if the `openid` scope was granted.
    pub id_token: Option<IdToken>,
    /// What a later version of this library wrote where the set is kept. An answer's unknown fields do not come here.
    pub unknown: Unknown,
}

/// How an access token is used (RFC 6749 §7.1). An answer with a type that is not among these is an error: the token must
/// not be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenType {
    /// As a bearer token (RFC 6750).
    #[default]
    Bearer,
}

/// What a token is for. An open set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// The longest life an access token is believed to have.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

impl TokenSet {
    /// A set with what every answer has. The other fields are for the caller to fill in.
    pub fn new(access_token: AccessToken, expires_in: u64, sent_at: Timestamp) -> Self {
        Self {
            access_token,
            refresh_token: None,
            token_type: TokenType::Bearer,
            expires_in,
            expires_at: expires_at(expires_in, sent_at),
            token_use: None,
            hub_id: None,
            user_id: None,
            scopes: None,
            id_token: None,
            unknown: Unknown::default(),
        }
    }

    /// Whether access and refresh token are the same in both.
    pub fn same_tokens(&self, other: &Self) -> bool {
        self.access_token == other.access_token && self.refresh_token == other.refresh_token
    }

    /// Reads the body of a successful answer. `sent` is the refresh token of the request, which stays good if the answer
    /// brings no other.
    pub(crate) fn read<B: AsRef<[u8]>>(
        operation: Operation,
        sent: Option<&RefreshToken>,
        sent_at: Timestamp,
        response: &http::Response<B>,
    ) -> Result<Self, Error> {
        let mut body = TokenAnswer::default();
        let outcome = answer::read(response.body().as_ref(), &mut body);
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
            u64::try_from(value.integer()?).ok().filter(|seconds| *seconds > 0)
        });
        let token_type =
            needed("token_type", body.token_type, &mut problems, |value| TokenType::read(&value.text()?));

        match (access_token, token_type, expires_in) {
            (Some(access_token), Some(token_type), Some(expires_in))
                if problems.is_empty() && outcome.is_ok() =>
            {
                let scope = body.scope.text();
                Ok(Self {
                    access_token,
                    refresh_token: new_refresh_token.or_else(|| sent.cloned()),
                    token_type,
                    expires_in,
                    expires_at: expires_at(expires_in, sent_at),
                    token_use: body.token_use.text().map(TokenUse::from),
                    hub_id: body.hub_id.integer(),
                    user_id: body.user_id.integer(),
                    scopes: (body.scopes.read())
                        .or_else(|| scope.map(|scope| Scopes::from_answer_text(&scope))),
                    id_token: body.id_token.text().and_then(|token| IdToken::new(token).ok()),
                    unknown: Unknown::default(),
                })
            }
            (access_token, ..) => {
                let mut error = AnswerError::new(operation, response, answer::problems(outcome, problems));
                error.rescued.access_token = access_token;
                error.rescued.refresh_token = new_refresh_token;
                Err(error.into())
            }
        }
    }

    /// The error for a successful answer of which only a part came: with the tokens in it, or `failure` if there are none.
    pub(crate) fn rescue<B: AsRef<[u8]>>(
        operation: Operation,
        response: &http::Response<B>,
        failure: TransportError,
    ) -> Error {
        let mut body = TokenAnswer::default();
        let _ = answer::read(response.body().as_ref(), &mut body);
        let mut error = AnswerError::new(operation, response, vec![Problem::Cut]);
        error.rescued.access_token = body.access_token.text().and_then(|token| AccessToken::new(token).ok());
        error.rescued.refresh_token =
            body.refresh_token.text().and_then(|token| RefreshToken::new(token).ok());
        match error.rescued == Rescued::default() {
            true => failure.into(),
            false => error.into(),
        }
    }
}

impl TokenType {
    /// The type of that name, in whatever case (RFC 6749 §5.1).
    fn read(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case("bearer").then_some(Self::Bearer)
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

impl Serialize for TokenUse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TokenUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|Text(name)| Self::from(name))
    }
}

impl Serialize for TokenType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bearer => serializer.serialize_str("bearer"),
        }
    }
}

impl<'de> Deserialize<'de> for TokenType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(name) = Text::deserialize(deserializer)?;
        Self::read(&name).ok_or_else(|| D::Error::custom("not a token type that is understood"))
    }
}

kept_object! {
    TokenSet {
        needed { access_token, expires_in, expires_at, }
        optional {}
        defaults { refresh_token, token_type, token_use, hub_id, user_id, scopes, id_token, }
    }
}

fn expires_at(expires_in: u64, sent_at: Timestamp) -> Timestamp {
    sent_at.plus(Duration::from_secs(expires_in).min(LONGEST_LIFE))
}

json_object! {
    struct TokenAnswer<'a> {
        scalars {
            access_token = "access_token",
            refresh_token = "refresh_token",
            token_type = "token_type",
            expires_in = "expires_in",
            token_use = "token_use",
            hub_id = "hub_id",
            user_id = "user_id",
            scope = "scope",
            id_token = "id_token",
        }
        others {
            scopes: Scopes = "scopes",
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;
    use crate::error::TransportFailure;

    const SENT_AT: Timestamp = Timestamp::from_secs(1000);

    fn read(operation: Operation, body: &str) -> Result<TokenSet, Error> {
        let sent = RefreshToken::new("sent").unwrap();
        let sent = (operation == Operation::Refresh).then_some(&sent);
        TokenSet::read(operation, sent, SENT_AT, &Response::new(body.as_bytes()))
    }

    fn problems(operation: Operation, body: &str) -> Vec<Problem> {
        match read(operation, body) {
            Err(Error::Answer(error)) => error.problems,
            other => panic!("{other:?}"),
        }
    }

    /// RFC 6749 §6: the answer may bring a new refresh token, or none.
    #[test]
    fn a_refresh_replaces_the_token_if_a_new_one_comes_and_preserves_it_if_none_does() {
        let answer =
            |token: &str| format!(r#"{{"access_token":"a",{token}"token_type":"bearer","expires_in":1800}}"#);
        let kept = |token| {
            read(Operation::Refresh, &answer(token)).unwrap().refresh_token.unwrap().expose().to_owned()
        };
        assert_eq!(kept(r#""refresh_token":"new","#), "new");
        assert_eq!(kept(r#""refresh_token":null,"#), "sent");
        assert_eq!(kept(""), "sent");
        assert_eq!(
            problems(Operation::Refresh, &answer(r#""refresh_token":"","#)),
            [Problem::Invalid("refresh_token")]
        );
        assert_eq!(problems(Operation::ExchangeCode, &answer("")), [Problem::Missing("refresh_token")]);
        assert_eq!(read(Operation::ClientCredentials, &answer("")).unwrap().refresh_token, None);
    }

    #[test]
    fn a_token_ends_as_long_after_the_request_was_sent_as_hubspot_says() {
        let tokens =
            read(Operation::Refresh, r#"{"access_token":"a","token_type":"Bearer","expires_in":1800}"#)
                .unwrap();
        assert_eq!((tokens.expires_in, tokens.expires_at), (1800, Timestamp::from_secs(2800)));
        let huge = format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":{}}}"#, i64::MAX);
        assert_eq!(read(Operation::Refresh, &huge).unwrap().expires_at, Timestamp::from_secs(1000 + 86_400));
    }

    /// RFC 6749 §5.1, and §7.1 on types that are not understood.
    #[test]
    fn every_needed_field_is_named_with_what_is_wrong_with_it() {
        let (missing, wrong, invalid) = (Problem::Missing, Problem::WrongType, Problem::Invalid);
        for (field, value, problem) in [
            ("access_token", "null", missing as fn(&'static str) -> Problem),
            ("access_token", "\"\"", invalid),
            ("access_token", "17", invalid),
            ("access_token", "[\"a\"]", wrong),
            ("access_token", "\"a\\nb\"", invalid),
            ("access_token", "\"a\\u0000b\"", invalid),
            ("access_token", "\"\u{e9}\"", invalid),
            ("refresh_token", "{}", wrong),
            ("refresh_token", "\"a\\nb\"", invalid),
            ("token_type", "null", missing),
            ("token_type", "\"mac\"", invalid),
            ("token_type", "true", wrong),
            ("expires_in", "null", missing),
            ("expires_in", "0", invalid),
            ("expires_in", "-1", invalid),
            ("expires_in", "\"1800\"", invalid),
            ("expires_in", "1800.5", wrong),
            ("expires_in", "1e30", wrong),
        ] {
            let mut body = serde_json::json!({
                "access_token": "a", "refresh_token": "r", "token_type": "bearer", "expires_in": 1800,
            });
            body[field] = serde_json::from_str(value).unwrap();
            assert_eq!(problems(Operation::Refresh, &body.to_string()), [problem(field)], "{field}: {value}");
        }
    }

    /// A refresh token that replaced another exists nowhere but in this answer.
    #[test]
    fn an_answer_that_cannot_be_used_gives_back_the_tokens_it_had() {
        for body in [
            r#"{"access_token":"a","refresh_token":"new","token_type":"mac","expires_in":1800}"#,
            r#"{"access_token":"a","refresh_token":"new","token_type":"bearer","expires_in":18"#,
            r#"{"access_token":"a","refresh_token":"new"}{"#,
            r#"{"expires_in":1e400,"access_token":"a","refresh_token":"new","token_type":"bearer"}"#,
            r#"{"access_token":"a","refresh_token":"new","refresh_token":true,"token_type":"bearer","expires_in":1}"#,
            r#"{"refresh_token":"old","access_token":"a","refresh_token":"new","token_type":"bearer","expires_in":1}"#,
        ] {
            let error = read(Operation::Refresh, body).unwrap_err();
            assert_eq!(error.rescued_refresh_token().unwrap().expose(), "new", "{body}");
            assert_eq!(error.rescued_access_token().unwrap().expose(), "a", "{body}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("new") && shown.contains("[redacted]"), "{shown}");
        }
    }

    #[test]
    fn what_came_of_a_cut_answer_is_searched_for_tokens() {
        let cut = |body: &str| {
            let response = Response::new(body.as_bytes().to_vec());
            TokenSet::rescue(Operation::Refresh, &response, TransportError::new(TransportFailure::Timeout))
        };
        let error = cut(r#"{"refresh_token":"new","access_tok"#);
        assert_eq!(error.rescued_refresh_token().unwrap().expose(), "new");
        assert_eq!(error.next_step(), crate::error::NextStep::RetryAfter(None));
        assert!(error.to_string().contains("refresh token"), "{error}");
        for body in [r#"{"refresh_token":"ne"#, ""] {
            assert!(matches!(cut(body), Error::Transport(_)), "{body}");
        }
    }

    #[test]
    fn an_optional_field_of_the_wrong_type_costs_only_itself() {
        let body = r#"{"access_token":"a","refresh_token":"r","token_type":"bearer","expires_in":1800,
            "hub_id":"62515","user_id":1.5,"scopes":"oauth","token_use":7,"id_token":[]}"#;
        let tokens = read(Operation::Refresh, body).unwrap();
        assert_eq!((tokens.hub_id, tokens.user_id, tokens.scopes), (None, None, None));
        assert_eq!((tokens.token_use, tokens.id_token), (None, None));
    }

    /// RFC 6749 §5.1: other servers give scopes as one text.
    #[test]
    fn scopes_are_a_list_or_else_a_text() {
        let scopes = |field: &str| {
            let body = format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":1,{field}}}"#);
            read(Operation::Refresh, &body).unwrap().scopes.unwrap().to_string()
        };
        assert_eq!(scopes(r#""scopes":["oauth","crm.read"]"#), "oauth crm.read");
        assert_eq!(scopes(r#""scope":"oauth  crm.read""#), "oauth crm.read");
        assert_eq!(scopes(r#""scopes":["a"],"scope":"b""#), "a");
    }

    #[test]
    fn a_stored_set_is_read_back_under_hubspots_names() {
        let body = r#"{"access_token":"a","refresh_token":"r","token_type":"bearer","expires_in":1800,"token_use":"access_token",
            "hub_id":62515,"user_id":7,"scopes":["oauth"],"id_token":"e.y.J"}"#;
        let tokens = read(Operation::Refresh, body).unwrap();
        let stored = serde_json::to_value(&tokens).unwrap();
        assert_eq!(serde_json::from_value::<TokenSet>(stored.clone()).unwrap(), tokens);
        let mut expected: serde_json::Value = serde_json::from_str(body).unwrap();
        expected["expires_at"] = serde_json::json!(2_800_000);
        assert_eq!(stored, expected);
    }
}
