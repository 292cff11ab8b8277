//! Exchange, introspect, refresh, revoke against whatever server the environment names, async; one JSON line a step.

use std::process::ExitCode;

use hs_oauth_async::Client;
use hs_oauth_examples::{Given, Report};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let given = Given::from_env()?;
    let client = Client::new(given.app)?;
    let mut report = Report::default();

    let exchanged = match given.code {
        Some(code) => report.tokens("exchange", client.exchange_code(code).await),
        None => None,
    };
    if let Some(tokens) = &exchanged {
        report.introspection(
            "introspect_access",
            client.introspect(tokens.access_token.clone()).await,
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
    report.introspection(
        "introspect_refresh",
        client.introspect(refresh_token.clone()).await,
    );

    let refreshed = report.tokens("refresh", client.refresh(&refresh_token).await);
    if exchanged.is_none()
        && let Some(tokens) = &refreshed
    {
        report.introspection(
            "introspect_access",
            client.introspect(tokens.access_token.clone()).await,
        );
    }
    let newest = refreshed
        .and_then(|tokens| tokens.refresh_token)
        .unwrap_or(refresh_token);
    report.done("revoke", client.revoke(&newest).await);
    report.introspection("introspect_after", client.introspect(newest).await);
    Ok(report.exit_code())
}
