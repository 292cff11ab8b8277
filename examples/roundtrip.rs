//! Exchange, introspect, refresh and revoke, async, against the server that the environment names. Each step prints one JSON
//! line.

use std::process::ExitCode;

use hs_oauth_async::Client;
use hs_oauth_examples::{BoxError, Inputs, NewestTokens, Report, finish};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    finish(round_trip().await)
}

async fn round_trip() -> Result<ExitCode, BoxError> {
    let inputs = Inputs::from_env()?;
    let client = Client::new(inputs.app)?;
    let mut report = Report::default();
    let mut newest = NewestTokens { access_token: None, refresh_token: inputs.refresh_token };

    if let Some(code) = inputs.code {
        let result = client.exchange_code(code).await;
        report.print_tokens("exchange", &result);
        newest.update(&result);
    }
    let from_exchange = newest.access_token.clone();
    if let Some(token) = &from_exchange {
        report.print_introspection("introspect_access", client.introspect(token.clone()).await);
    }
    match newest.refresh_token.clone() {
        Some(token) => {
            report.print_introspection("introspect_refresh", client.introspect(token.clone()).await);
            let result = client.refresh(&token).await;
            report.print_tokens("refresh", &result);
            newest.update(&result);
        }
        None => report.print_skipped(&["introspect_refresh", "refresh"]),
    }
    match newest.access_token {
        _ if from_exchange.is_some() => {}
        Some(token) => report.print_introspection("introspect_access", client.introspect(token).await),
        None => report.print_skipped(&["introspect_access"]),
    }
    match newest.refresh_token {
        Some(token) => {
            report.print_done("revoke", client.revoke(&token).await);
            report.print_introspection("introspect_after", client.introspect(token).await);
        }
        None => report.print_skipped(&["revoke", "introspect_after"]),
    }
    Ok(report.exit_code())
}
