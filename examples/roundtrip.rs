//! Exchange, introspect, refresh, revoke against whatever server the environment names, async; one JSON line a step.

use std::process::ExitCode;

use hs_oauth_async::Client;
use hs_oauth_examples::{Given, CurrentTokens, Report, finish};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    finish(round_trip().await)
}

async fn round_trip() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let given = Given::from_env()?;
    let client = Client::new(given.app)?;
    let mut report = Report::default();
    let mut held = CurrentTokens { access_token: None, refresh_token: given.refresh_token };

    if let Some(code) = given.code {
        let result = client.exchange_code(code).await;
        report.tokens("exchange", &result);
        held.update(&result);
    }
    let from_exchange = held.access_token.clone();
    if let Some(token) = &from_exchange {
        report.introspection("introspect_access", client.introspect(token.clone()).await);
    }
    match held.refresh_token.clone() {
        Some(token) => {
            report.introspection("introspect_refresh", client.introspect(token.clone()).await);
            let result = client.refresh(&token).await;
            report.tokens("refresh", &result);
            held.update(&result);
        }
        None => report.skipped(&["introspect_refresh", "refresh"]),
    }
    match held.access_token {
        _ if from_exchange.is_some() => {}
        Some(token) => report.introspection("introspect_access", client.introspect(token).await),
        None => report.skipped(&["introspect_access"]),
    }
    match held.refresh_token {
        Some(token) => {
            report.done("revoke", client.revoke(&token).await);
            report.introspection("introspect_after", client.introspect(token).await);
        }
        None => report.skipped(&["revoke", "introspect_after"]),
    }
    Ok(report.exit_code())
}
