//! Findings as SARIF 2.1.0, which code hosts and editors read.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use std::path::{MAIN_SEPARATOR, Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};

use crate::scan::finding::{Finding, Scanned};
use crate::scan::rule::{Language, Rule};

/// Returns the findings as a log of one run.
pub(crate) fn sarif(scanned: &Scanned) -> Value {
    let rules = Rule::ALL.map(|rule| {
        json!({
            "id": rule.id(),
            "shortDescription": {"text": rule.what()},
            "fullDescription": {"text": rule.problem()},
            "help": {"text": format!("Write instead: {}.", rule.instead(Language::Other))},
            "helpUri": "https://docs.rs/hs-oauth-async/latest/hs_oauth_async/guide/migrate/",
            "defaultConfiguration": {"level": "error"},
        })
    });
    let notifications = scanned.unreadable.iter().map(|(path, error)| {
        let location = json!({"physicalLocation": {"artifactLocation": {"uri": uri(path)}}});
        json!({"level": "error", "message": {"text": error}, "locations": [location]})
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "hs-oauth",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": "https://docs.rs/hs-oauth-cli",
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": scanned.unreadable.is_empty(),
                "toolExecutionNotifications": notifications.collect::<Vec<_>>(),
            }],
            "results": scanned.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let (level, doubt) = match finding.is_certain {
        true => ("error", ""),
        false => ("warning", " Nothing in the file names HubSpot, so this may belong to another service."),
    };
    let message = format!("{} Write instead: {}.{doubt}", finding.rule.problem(), finding.instead);
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": level,
        "message": {"text": message},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&finding.path)},
            "region": {
                "startLine": finding.line,
                "startColumn": finding.column,
                "snippet": {"text": finding.excerpt},
            },
        }}],
    })
}

/// Returns the path as a reference: relative as it is, and absolute with the scheme `file`.
fn uri(path: &Path) -> String {
    let encoded = percent_encode(path.as_os_str().as_encoded_bytes(), IN_PATH).to_string();
    let encoded = if MAIN_SEPARATOR == '\\' { encoded.replace("%5C", "/") } else { encoded };
    match path.is_absolute() {
        true => format!("file:///{}", encoded.trim_start_matches('/')),
        false => encoded,
    }
}

/// What is encoded in a path (RFC 3986 §3.3). A colon is, too: in the first part of a relative path it would end a scheme.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b'+');
