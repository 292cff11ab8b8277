//! Exchange, introspect, refresh, revoke against whatever server the environment names, blocking; one JSON line a step.

use std::process::ExitCode;

use hs_oauth_blocking::Client;
use hs_oauth_examples::{Given, Report};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let given = Given::from_env()?;
    let client = Client::new(given.app);
    let mut report = Report::default();

    let exchanged = match given.code {
        Some(code) => report.tokens("exchange", client.exchange_code(code)),
        None => None,
    };
    if let Some(tokens) = &exchanged {
        report.introspection(
            "introspect_access",
            client.introspect(tokens.access_token.clone()),
        );
    }
    let refresh_token = exchanged
        .as_ref()
        .and_then(|tokens| tokens.refresh_token.clone())
        .or(given.refresh_token);
    let Some(refresh_token) = refresh_token else {
        report.skipped(
            "refresh",
            "no refresh token: set HUBSPOT_CODE or HUBSPOT_REFRESH_TOKEN",
        );
        return Ok(report.exit_code());
    };
    report.introspection("introspect_refresh", client.introspect(refresh_token.clone()));

    let refreshed = report.tokens("refresh", client.refresh(&refresh_token));
    if exchanged.is_none()
        && let Some(tokens) = &refreshed
    {
        report.introspection(
            "introspect_access",
            client.introspect(tokens.access_token.clone()),
        );
    }
    let newest = refreshed
        .and_then(|tokens| tokens.refresh_token)
        .unwrap_or(refresh_token);
    report.done("revoke", client.revoke(&newest));
    report.introspection("introspect_after", client.introspect(newest));
    Ok(report.exit_code())
}
