//! Exchange, introspect, refresh, revoke against whatever server the environment names, blocking; one JSON line a step.

use std::process::ExitCode;

use hs_oauth_blocking::Client;
use hs_oauth_examples::{Given, CurrentTokens, Report, finish};

fn main() -> ExitCode {
    finish(round_trip())
}

fn round_trip() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let given = Given::from_env()?;
    let client = Client::new(given.app);
    let mut report = Report::default();
    let mut held = CurrentTokens { access_token: None, refresh_token: given.refresh_token };

    if let Some(code) = given.code {
        let result = client.exchange_code(code);
        report.tokens("exchange", &result);
        held.update(&result);
    }
    let from_exchange = held.access_token.clone();
    if let Some(token) = &from_exchange {
        report.introspection("introspect_access", client.introspect(token.clone()));
    }
    match held.refresh_token.clone() {
        Some(token) => {
            report.introspection("introspect_refresh", client.introspect(token.clone()));
            let result = client.refresh(&token);
            report.tokens("refresh", &result);
            held.update(&result);
        }
        None => report.skipped(&["introspect_refresh", "refresh"]),
    }
    match held.access_token {
        _ if from_exchange.is_some() => {}
        Some(token) => report.introspection("introspect_access", client.introspect(token)),
        None => report.skipped(&["introspect_access"]),
    }
    match held.refresh_token {
        Some(token) => {
            report.done("revoke", client.revoke(&token));
            report.introspection("introspect_after", client.introspect(token));
        }
        None => report.skipped(&["revoke", "introspect_after"]),
    }
    Ok(report.exit_code())
}
