//! Exchange, introspect, refresh and revoke, blocking, against the server that the environment names. Each step prints one JSON
//! line.

use std::process::ExitCode;

use hs_oauth_blocking::Client;
use hs_oauth_examples::{BoxError, Inputs, NewestTokens, Report, finish};

fn main() -> ExitCode {
    finish(round_trip())
}

fn round_trip() -> Result<ExitCode, BoxError> {
    let inputs = Inputs::from_env()?;
    let client = Client::new(inputs.app);
    let mut report = Report::default();
    let mut newest = NewestTokens { access_token: None, refresh_token: inputs.refresh_token };

    if let Some(code) = inputs.code {
        let result = client.exchange_code(code);
        report.print_tokens("exchange", &result);
        newest.update(&result);
    }
    let from_exchange = newest.access_token.clone();
    if let Some(token) = &from_exchange {
        report.print_introspection("introspect_access", client.introspect(token.clone()));
    }
    match newest.refresh_token.clone() {
        Some(token) => {
            report.print_introspection("introspect_refresh", client.introspect(token.clone()));
            let result = client.refresh(&token);
            report.print_tokens("refresh", &result);
            newest.update(&result);
        }
        None => report.print_skipped(&["introspect_refresh", "refresh"]),
    }
    match newest.access_token {
        _ if from_exchange.is_some() => {}
        Some(token) => report.print_introspection("introspect_access", client.introspect(token)),
        None => report.print_skipped(&["introspect_access"]),
    }
    match newest.refresh_token {
        Some(token) => {
            report.print_done("revoke", client.revoke(&token));
            report.print_introspection("introspect_after", client.introspect(token));
        }
        None => report.print_skipped(&["revoke", "introspect_after"]),
    }
    Ok(report.exit_code())
}
