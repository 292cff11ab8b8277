//! What went wrong with a call, and what the store's error says of it: SQLSTATE and message. A detail, a context or a query is never a part
//! of it, since it may hold a token.

use hs_oauth_store::{StoreError, StoreErrorKind};
use serde_json::Value;

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server says so.
    #[error("{code}: {message}{}", advice(code))]
    Server { code: String, message: String },
    /// The connection was lost, or there is none.
    #[error("{0}")]
    Connection(String),
    /// No answer within the deadline. Whether a write takes effect is not known.
    #[error("not in time")]
    Late,
    /// The driver does not understand the server, or is not set up.
    #[error("{0}")]
    Setup(String),
}

impl Failure {
    /// Leaves out a message that has a text of the record in it, such as that of a trigger which shows the row.
    pub(crate) fn without_texts_of(self, record: &[u8]) -> Self {
        match self {
            Self::Server { code, message } if has_text_of(&message, record) => {
                Self::Server { code, message: "[a message with a part of the record]".into() }
            }
            failure => failure,
        }
    }

    /// Returns whether another writer was faster. Only isolation levels above PostgreSQL's default say so.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Server { code, .. } if code == "40001")
    }

    /// Returns whether the connection must not be used again.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            // A server that is shut down or became a standby, and a prepared statement that is not there or not valid any more.
            Self::Server { code, .. } => {
                code.starts_with("08")
                    || code.starts_with("57P")
                    || is_any(code, &["0A000", "25006", "26000", "42P05"])
            }
            Self::Connection(_) | Self::Late | Self::Setup(_) => true,
        }
    }

    fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Server { code, .. } if is_refusal(code) => StoreErrorKind::Refused,
            Self::Setup(_) => StoreErrorKind::Refused,
            Self::Server { .. } | Self::Connection(_) | Self::Late => StoreErrorKind::Unavailable,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::with_source(failure.kind(), failure)
    }
}

/// Returns whether the message has one of the longer texts in the record's JSON in it: a token is one.
fn has_text_of(message: &str, record: &[u8]) -> bool {
    fn is_in(message: &str, value: &Value) -> bool {
        match value {
            Value::String(text) => text.len() >= 8 && message.contains(text.as_str()),
            Value::Array(values) => values.iter().any(|value| is_in(message, value)),
            Value::Object(fields) => fields.values().any(|value| is_in(message, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    // What is not JSON is no record: then nothing is known of the message.
    serde_json::from_slice(record).map_or(true, |value| is_in(message, &value))
}

/// Returns whether the server will say the same until somebody changes something.
fn is_refusal(code: &str) -> bool {
    let class = ["0A", "22", "23", "28", "3D", "3F", "42"];
    class.iter().any(|class| code.starts_with(class)) || is_any(code, &["25006", "26000", "53100"])
}

fn is_any(code: &str, codes: &[&str]) -> bool {
    codes.contains(&code)
}

/// Returns what to do about it, for the codes of which that can be said.
fn advice(code: &str) -> &'static str {
    match code {
        "25006" => {
            " (this server is a standby or read-only: connect to the primary, with target_session_attrs=read-write)"
        }
        "26000" | "42P05" => " (prepared statements do not work through this pgbouncer: switch them off)",
        "3F000" | "42P01" => " (create the table, with `create()` or with `SCHEMA`)",
        "42501" => " (the role needs SELECT, INSERT and UPDATE on the table)",
        "42703" => " (the table is not one of hs-oauth: set another name)",
        "53100" => " (the server's disk is full)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: &str) -> Failure {
        Failure::Server { code: code.into(), message: "what it says".into() }
    }

    #[test]
    fn an_error_has_the_code_and_the_message_and_what_to_do() {
        let error = StoreError::from(server("53100"));
        assert_eq!(
            error.to_string(),
            "the token store cannot be used as it is set up: 53100: what it says (the server's disk is full)"
        );
    }

    #[test]
    fn a_message_with_a_token_in_it_is_left_out() {
        let record = br#"{"tokens": {"access_token": "access-secret", "scopes": ["oauth"]}, "x": [{"y": "other-secret"}]}"#;
        for (message, is_left_out) in [
            ("the row has access-secret in it", true),
            ("other-secret", true),
            ("the row of oauth is refused", false),
            ("could not extend file", false),
        ] {
            let failure = Failure::Server { code: "P0001".into(), message: message.into() };
            let text = failure.without_texts_of(record).to_string();
            assert_eq!(text.contains("[a message"), is_left_out, "{text}");
            assert!(text.starts_with("P0001: ") && !text.contains("secret"), "{text}");
        }
        assert!(server("P0001").without_texts_of(b"no JSON").to_string().contains("[a message"));
    }

    #[test]
    fn what_only_a_person_can_change_is_refused_and_the_rest_is_tried_again() {
        for code in ["25006", "28P01", "3D000", "3F000", "42501", "42P01", "42703", "53100", "23514", "26000"]
        {
            assert_eq!(StoreError::from(server(code)).kind(), StoreErrorKind::Refused, "{code}");
        }
        for code in [
            "08006", "40001", "40P01", "53200", "53300", "55P03", "57014", "57P01", "57P03", "58030", "XX000",
        ] {
            assert_eq!(StoreError::from(server(code)).kind(), StoreErrorKind::Unavailable, "{code}");
        }
        assert_eq!(StoreError::from(Failure::Late).kind(), StoreErrorKind::Unavailable);
    }

    #[test]
    fn a_connection_is_kept_after_an_error_that_is_not_its_own() {
        for code in ["23514", "40001", "42P01", "53100", "53300", "55P03", "57014"] {
            assert!(!server(code).ends_connection(), "{code}");
        }
        for code in ["08006", "25006", "26000", "57P01", "57P02", "57P03"] {
            assert!(server(code).ends_connection(), "{code}");
        }
        assert!(Failure::Late.ends_connection());
    }

    #[test]
    fn only_a_serialization_failure_is_a_conflict() {
        assert!(server("40001").is_conflict());
        assert!(!server("40P01").is_conflict() && !Failure::Late.is_conflict());
    }
}
