//! The reading of error responses, in either of HubSpot's two shapes or a mix of both.

use serde::de::{MapAccess, SeqAccess};

use super::Operation;
use super::api::{ApiError, ErrorDetail};
use super::codes::{HubSpotCode, OAuthCode};
use super::redact::Redact;
use super::retry_after::retry_after;
use crate::json::{self, Field, FromJson, ListMap, TextMap, json_object};
use crate::timestamp::Timestamp;

impl ApiError {
    /// Reads an error response.
    ///
    /// This cannot fail: a field that cannot be read is left out. `secrets` are the secrets of the request, which are removed from
    /// every text.
    pub(crate) fn read<B: AsRef<[u8]>>(
        operation: Operation,
        response: &http::Response<B>,
        sent_at: Timestamp,
        secrets: [&str; 3],
    ) -> Self {
        let mut body = ErrorResponse::default();
        let problem = json::read(response.body().as_ref(), &mut body).err();
        let redact = Redact::new(secrets);
        // HubSpot's second shape has `"status":"error"`, which is not a code.
        let code = body.status.into_text().filter(|status| status != "error");
        Self {
            operation,
            status: response.status(),
            error: body.error.into_text().map(|code| redact.code(&code, OAuthCode::known, OAuthCode::Other)),
            error_description: redact.field(body.error_description),
            code: code.map(|code| redact.code(&code, HubSpotCode::known, HubSpotCode::Other)),
            sub_category: (body.sub_category.into_text())
                .map(|code| redact.code(&code, HubSpotCode::known, HubSpotCode::Other)),
            category: redact.field(body.category),
            message: redact.field(body.message),
            correlation_id: redact.field(body.correlation_id),
            request_id: redact.field(body.request_id),
            error_type: redact.field(body.error_type),
            policy_name: redact.field(body.policy_name),
            group_name: redact.field(body.group_name),
            context: redact.context(body.context),
            links: redact.links(body.links),
            errors: (body.errors.into_value().into_iter().flatten())
                .map(|detail| detail.without_secrets(&redact))
                .collect(),
            problem,
            retry_after: retry_after(response.headers(), sent_at),
        }
    }
}

json_object! {
    struct ErrorResponse<'a> {
        scalars {
            error = "error",
            error_description = "error_description",
            status = "status",
            sub_category = "subCategory",
            category = "category",
            message = "message",
            correlation_id = "correlationId",
            request_id = "requestId",
            error_type = "errorType",
            policy_name = "policyName",
            group_name = "groupName",
        }
        others {
            context: ListMap<'a> = "context",
            links: TextMap<'a> = "links",
            errors: Vec<DetailResponse<'a>> = "errors",
        }
    }
}

json_object! {
    struct DetailResponse<'a> {
        scalars {
            message = "message",
            code = "code",
            sub_category = "subCategory",
            location = "in",
        }
        others {
            context: ListMap<'a> = "context",
        }
    }
}

impl DetailResponse<'_> {
    #[inline]
    fn without_secrets(self, redact: &Redact<'_>) -> ErrorDetail {
        ErrorDetail {
            message: redact.field(self.message),
            code: redact.field(self.code),
            sub_category: redact.field(self.sub_category),
            location: redact.field(self.location),
            context: redact.context(self.context),
        }
    }
}

impl<'a> FromJson<'a> for DetailResponse<'a> {
    fn from_object<A: MapAccess<'a>>(object: &mut A) -> Result<Option<Self>, A::Error> {
        json::read_nested(object).map(Some)
    }
}

impl<'a> FromJson<'a> for Vec<DetailResponse<'a>> {
    fn from_array<A: SeqAccess<'a>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        let mut details = Self::new();
        while let Some(detail) = list.next_element::<Field<DetailResponse<'_>>>()? {
            details.extend(detail.into_value());
        }
        Ok(Some(details))
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    const SENT_AT: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn read(body: &str) -> ApiError {
        let response = Response::builder().status(400).body(body.as_bytes().to_vec()).unwrap();
        ApiError::read(Operation::Refresh, &response, SENT_AT, ["s3cret/x", "na1-token", ""])
    }

    /// A server that echoes the request must not get a secret into a log.
    #[test]
    fn the_requests_secrets_are_removed_from_every_field() {
        let echo = r#"{"error":"s3cret/x","error_description":"bad s3cret/x","status":"NA s3cret/x","message":"na1-token and s3cret%2Fx",
            "category":"s3cret/x","subCategory":"na1-token","correlationId":"na1-token","requestId":"na1-token","errorType":"na1-token",
            "policyName":"na1-token","groupName":"na1-token","context":{"na1-token":["s3cret/x"]},"links":{"na1-token":"s3cret/x"},
            "errors":[{"message":"na1-token","code":"na1-token","subCategory":"na1-token","in":"na1-token","context":{"a":["na1-token"]}}]}"#;
        let error = read(echo);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("na1-token"), "{shown}");
        assert_eq!(error.message.as_deref(), Some("[redacted]"));
    }

    #[test]
    fn a_secret_is_removed_in_every_escaped_form_and_whole_if_it_contains_another() {
        let message = |secrets, message: &str| {
            let body = serde_json::json!({ "message": message }).to_string();
            let response = Response::builder().status(400).body(body).unwrap();
            ApiError::read(Operation::Refresh, &response, SENT_AT, secrets).message.unwrap()
        };
        let secrets = ["a/b c", "", ""];
        for echo in ["a%2Fb%20c", "a%2fb+c", "a/b+c", "%61%2Fb c", "code=a%2Fb+c&x=1"] {
            assert_eq!(message(secrets, echo), "[redacted]", "{echo}");
        }
        assert_eq!(message(secrets, "100% of a + b"), "100% of a + b");
        let escaped = "\\u006b".repeat(16);
        assert_eq!(
            message(["kkkkkkkkkkkkkkkk", "b", ""], &escaped),
            "[redacted]",
            "with a code of one letter"
        );
        assert_eq!(message(["short", "short-and-long", ""], "is short-and-long"), "is [redacted]");
    }

    #[test]
    fn a_text_can_neither_forge_a_log_line_nor_flood_one() {
        let body = format!(r#"{{"message":"a\r\nb\u001b[31m\u202ec{}"}}"#, "x".repeat(10_000));
        let message = read(&body).message.unwrap();
        assert!(message.starts_with("a\u{fffd}\u{fffd}b\u{fffd}[31m\u{fffd}cxx"), "{message}");
        assert_eq!(message.chars().count(), 512);
    }
}
