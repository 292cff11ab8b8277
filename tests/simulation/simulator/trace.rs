//! The trace of a schedule, in which tokens have short names: `a0` is an access token, `r1` a refresh token.

use std::fmt::Write as _;

use hs_oauth_core::renewal::{CurrentTokens, HolderId, Input, Record, TokenError};
use hs_oauth_core::{Error, TokenSet};

use super::super::rules::refresh_token;
use super::events::Action;
use super::{SECOND, START, Simulator};

impl Simulator {
    /// Adds a line to the trace, if there is one.
    pub(super) fn log(&mut self, line: impl FnOnce(&mut Self) -> String) {
        if self.trace.is_some() {
            let line = line(self);
            let (seconds, milliseconds) = ((self.now - START) / SECOND, self.now % SECOND);
            if let Some(trace) = &mut self.trace {
                writeln!(trace, "{seconds:>6}.{milliseconds:03}  {line}").unwrap();
            }
        }
    }

    pub(super) fn name(&mut self, token: &str) -> String {
        let next = format!("{}{}", if token.starts_with("na1-") { 'r' } else { 'a' }, self.names.len());
        self.names.entry(token.to_owned()).or_insert(next).clone()
    }

    pub(super) fn describe(&mut self, record: &Record) -> String {
        let mut text = format!("{:?}", record.state);
        if let Some(tokens) = &record.tokens {
            text += &format!(" {}", self.describe_tokens(tokens));
        }
        if let Some(lease) = &record.lease {
            let name = self.describe_holder(lease.holder);
            write!(text, ", leased by {name} until {}", lease.until.as_millis() - START).unwrap();
        }
        if let Some(retry) = &record.retry {
            let at = retry.at.as_millis().saturating_sub(START);
            write!(text, ", retry at {at} after {}", retry.failures).unwrap();
            let cause = retry.cause.as_ref().map_or("", |cause| cause.as_str());
            write!(text, " ({cause}{})", if retry.requested { ", requested" } else { "" }).unwrap();
        }
        if let Some(client_id) = &record.client_id {
            write!(text, ", of {client_id}").unwrap();
        }
        if record.unsettled {
            text += ", unsettled";
        }
        text
    }

    fn describe_tokens(&mut self, tokens: &TokenSet) -> String {
        let refresh_token = refresh_token(tokens).map(|token| self.name(&token)).unwrap_or_default();
        format!("{}/{refresh_token}", self.name(tokens.access_token.expose()))
    }

    fn describe_holder(&self, holder: HolderId) -> String {
        let run = self.runs.iter().find(|(_, active)| active.holder == Some(holder)).map(|(run, _)| *run);
        run.map_or("a run that has ended".to_owned(), |run| format!("run {run}"))
    }

    pub(super) fn describe_action(&mut self, action: &Action) -> String {
        match action {
            Action::Load => "load".to_owned(),
            Action::Swap(expected, record) => format!("swap {expected:?} for {}", self.describe(record)),
            Action::Send(refresh) => format!("send {}", self.name(refresh.refresh_token().expose())),
            Action::Introspect(_) => "introspect".to_owned(),
            Action::Revoke(revoke) => format!("revoke {}", self.name(revoke.refresh_token().expose())),
        }
    }

    pub(super) fn describe_input(&mut self, input: &Input) -> String {
        match input {
            Input::Loaded(Some(stored)) => {
                format!("version {}: {}", stored.version, self.describe(&stored.record))
            }
            Input::Loaded(None) => "nothing is stored".to_owned(),
            Input::Refreshed { response, is_mass_refusal } => {
                let during = if *is_mass_refusal { " during a mass refusal" } else { "" };
                format!("{}{during}", self.describe_refresh(response))
            }
            Input::Introspected(Ok(_)) => "whose the token is".to_owned(),
            Input::Introspected(Err(error)) => error.to_string(),
            other => format!("{other:?}"),
        }
    }

    pub(super) fn describe_refresh(&mut self, result: &Result<TokenSet, Error>) -> String {
        match result {
            Ok(tokens) => self.describe_tokens(tokens),
            Err(error) => error.to_string(),
        }
    }

    pub(super) fn describe_result(&mut self, result: &Result<CurrentTokens, TokenError>) -> String {
        match result {
            Ok(current) => format!(
                "{}{}",
                self.name(current.tokens.access_token.expose()),
                if current.renewed { ", renewed" } else { "" }
            ),
            Err(error) => error.to_string(),
        }
    }
}
