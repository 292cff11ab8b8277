//! The response of the token endpoint (RFC 6749 §5.1), which is the same for every grant.

use crate::error::{Error, Operation, RescuedTokens, ResponseError, TransportError};
use crate::json::{self, Problem, Scalar, json_object, required};
use crate::scope::Scopes;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::timestamp::Timestamp;
use crate::token_set::{TokenSet, TokenType, TokenUse};

/// Reads the body of a successful response. `sent` is the refresh token of the request, which stays valid if the response has no
/// other.
pub(super) fn read<B: AsRef<[u8]>>(
    operation: Operation,
    sent: Option<&RefreshToken>,
    sent_at: Timestamp,
    response: &http::Response<B>,
) -> Result<TokenSet, Error> {
    let mut body = TokenResponse::default();
    let outcome = json::read(response.body().as_ref(), &mut body);
    let mut problems = Vec::new();

    let access_token = required("access_token", body.access_token, &mut problems, |value| {
        AccessToken::new(value.into_text()?).ok()
    });
    let new_refresh_token = match (body.refresh_token, operation) {
        (Scalar::Absent, Operation::Refresh | Operation::ClientCredentials) => None,
        (refresh_token, _) => required("refresh_token", refresh_token, &mut problems, |value| {
            RefreshToken::new(value.into_text()?).ok()
        }),
    };
    let expires_in = required("expires_in", body.expires_in, &mut problems, |value| {
        u64::try_from(value.as_integer()?).ok().filter(|seconds| *seconds > 0)
    });
    let token_type = required("token_type", body.token_type, &mut problems, |value| {
        TokenType::from_name(&value.into_text()?)
    });

    match (access_token, token_type, expires_in) {
        (Some(access_token), Some(token_type), Some(expires_in))
            if problems.is_empty() && outcome.is_ok() =>
        {
            let mut tokens = TokenSet::new(access_token, expires_in, sent_at);
            let scope = body.scope.into_text();
            tokens.refresh_token = new_refresh_token.or_else(|| sent.cloned());
            tokens.token_type = token_type;
            tokens.token_use = body.token_use.into_text().map(TokenUse::from);
            tokens.hub_id = body.hub_id.as_integer();
            tokens.user_id = body.user_id.as_integer();
            tokens.scopes =
                (body.scopes.into_value()).or_else(|| scope.map(|scope| Scopes::from_response_text(&scope)));
            tokens.id_token = body.id_token.into_text().and_then(|token| IdToken::new(token).ok());
            Ok(tokens)
        }
        (access_token, ..) => {
            let mut error = ResponseError::new(operation, response, json::all_problems(outcome, problems));
            error.rescued.access_token = access_token;
            error.rescued.refresh_token = new_refresh_token;
            error.rescued.hub_id = body.hub_id.as_integer();
            error.rescued.user_id = body.user_id.as_integer();
            Err(error.into())
        }
    }
}

/// Returns the error for a successful response that did not arrive whole: one with the tokens in it, or `failure` if it has none.
pub(super) fn rescue<B: AsRef<[u8]>>(
    operation: Operation,
    response: &http::Response<B>,
    failure: TransportError,
) -> Error {
    let mut body = TokenResponse::default();
    let _ = json::read(response.body().as_ref(), &mut body);
    let mut error = ResponseError::new(operation, response, vec![Problem::Truncated]);
    error.rescued.access_token = body.access_token.into_text().and_then(|token| AccessToken::new(token).ok());
    error.rescued.refresh_token =
        body.refresh_token.into_text().and_then(|token| RefreshToken::new(token).ok());
    match error.rescued == RescuedTokens::default() {
        true => failure.into(),
        false => {
            error.rescued.hub_id = body.hub_id.as_integer();
            error.rescued.user_id = body.user_id.as_integer();
            error.into()
        }
    }
}

json_object! {
    struct TokenResponse<'a> {
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
    use crate::error::TransportErrorKind;

    const SENT_AT: Timestamp = Timestamp::from_secs(1000);

    fn read(operation: Operation, body: &str) -> Result<TokenSet, Error> {
        let sent = RefreshToken::new("sent").unwrap();
        let sent = (operation == Operation::Refresh).then_some(&sent);
        super::read(operation, sent, SENT_AT, &Response::new(body.as_bytes()))
    }

    fn problems(operation: Operation, body: &str) -> Vec<Problem> {
        match read(operation, body) {
            Err(Error::Response(error)) => error.problems,
            other => panic!("{other:?}"),
        }
    }

    /// RFC 6749 §6: the response may have a new refresh token, or none.
    #[test]
    fn a_refresh_replaces_the_refresh_token_if_the_response_has_one_and_preserves_it_otherwise() {
        let response =
            |token: &str| format!(r#"{{"access_token":"a",{token}"token_type":"bearer","expires_in":1800}}"#);
        let refreshed = |token| {
            read(Operation::Refresh, &response(token)).unwrap().refresh_token.unwrap().expose().to_owned()
        };
        assert_eq!(refreshed(r#""refresh_token":"new","#), "new");
        assert_eq!(refreshed(r#""refresh_token":null,"#), "sent");
        assert_eq!(refreshed(""), "sent");
        assert_eq!(
            problems(Operation::Refresh, &response(r#""refresh_token":"","#)),
            [Problem::Invalid("refresh_token")]
        );
        assert_eq!(problems(Operation::ExchangeCode, &response("")), [Problem::Missing("refresh_token")]);
        assert_eq!(read(Operation::ClientCredentials, &response("")).unwrap().refresh_token, None);
    }

    #[test]
    fn a_token_expires_as_long_after_the_request_was_sent_as_hubspot_says() {
        let tokens =
            read(Operation::Refresh, r#"{"access_token":"a","token_type":"Bearer","expires_in":1800}"#)
                .unwrap();
        assert_eq!((tokens.expires_in, tokens.expires_at), (1800, Timestamp::from_secs(2800)));
        let huge = format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":{}}}"#, i64::MAX);
        assert_eq!(read(Operation::Refresh, &huge).unwrap().expires_at, Timestamp::from_secs(1000 + 86_400));
    }

    /// RFC 6749 §5.1, and §7.1 on token types that the client does not understand.
    #[test]
    fn an_error_names_each_required_field_and_what_is_wrong_with_it() {
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

    /// A refresh token that replaced another exists nowhere but in this response.
    #[test]
    fn the_error_of_a_response_that_cannot_be_used_holds_the_tokens_in_it() {
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
    fn a_truncated_response_is_searched_for_tokens() {
        let truncated = |body: &str| {
            let response = Response::new(body.as_bytes().to_vec());
            rescue(Operation::Refresh, &response, TransportError::new(TransportErrorKind::Timeout))
        };
        let error = truncated(r#"{"refresh_token":"new","access_tok"#);
        assert_eq!(error.rescued_refresh_token().unwrap().expose(), "new");
        assert_eq!(error.next_step(), crate::error::NextStep::RetryAfter(None));
        assert!(error.to_string().contains("refresh token"), "{error}");
        for body in [r#"{"refresh_token":"ne"#, ""] {
            assert!(matches!(truncated(body), Error::Transport(_)), "{body}");
        }
    }

    #[test]
    fn an_optional_field_of_the_wrong_type_costs_no_other_field() {
        let body = r#"{"access_token":"a","refresh_token":"r","token_type":"bearer","expires_in":1800,
            "hub_id":"62515","user_id":1.5,"scopes":"oauth","token_use":7,"id_token":[]}"#;
        let tokens = read(Operation::Refresh, body).unwrap();
        assert_eq!((tokens.hub_id, tokens.user_id, tokens.scopes), (None, None, None));
        assert_eq!((tokens.token_use, tokens.id_token), (None, None));
    }

    /// RFC 6749 §5.1: other servers send the scopes as one string.
    #[test]
    fn scopes_are_an_array_or_else_a_string() {
        let scopes = |field: &str| {
            let body = format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":1,{field}}}"#);
            read(Operation::Refresh, &body).unwrap().scopes.unwrap().to_string()
        };
        assert_eq!(scopes(r#""scopes":["oauth","crm.read"]"#), "oauth crm.read");
        assert_eq!(scopes(r#""scope":"oauth  crm.read""#), "oauth crm.read");
        assert_eq!(scopes(r#""scopes":["a"],"scope":"b""#), "a");
    }

    #[test]
    fn a_stored_token_set_has_hubspots_field_names_and_is_read_back() {
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
