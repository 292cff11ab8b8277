use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hs_oauth_blocking::{Account, TokenStore};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;
use crate::{accounts, private_file, store};

/// Print the refresh tokens of accounts, for another store or program
///
/// `import` reads what this writes. Both places can go on with the tokens, as long as HubSpot does not
/// replace a refresh token when it is used.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Export {
    /// The accounts; without them, all that are connected
    #[arg(value_name = "ACCOUNT")]
    accounts: Vec<Account>,
    /// One JSON object a line, or CSV
    #[arg(long, value_name = "jsonl|csv", default_value = "jsonl", hide_possible_values = true)]
    format: Format,
    /// Write to this new file, which only you can read
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth export --output tokens.jsonl
  hs-oauth export 62515 --format csv | hs-oauth import - --profile other";

/// An account with its refresh token.
struct Row {
    account: Account,
    refresh_token: String,
}

impl Export {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        if self.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage(
                "tokens are not shown on a terminal: pass --output FILE, or send the output elsewhere",
            ));
        }
        let profile = settings.profile()?;
        let store = store::open_if_any(&profile)?.ok_or_else(|| accounts::none_connected(&profile))?;
        let rows = self.rows(&store)?;
        let text = match self.format {
            Format::Jsonl => rows.iter().map(|row| format!("{}\n", row.object())).collect::<String>(),
            Format::Csv => ["hub_id,user_id,refresh_token\n".to_owned()]
                .into_iter()
                .chain(rows.iter().map(Row::csv))
                .collect(),
        };
        let number = rows.len();
        let Some(file) = &self.output else {
            let objects: Vec<_> = rows.iter().map(Row::object).collect();
            return Ok(Report::new(&json!({ "accounts": objects }))?.shown_as(text));
        };
        let path = file.display().to_string();
        private_file::create(file, &text)
            .map_err(|error| Failure::usage(format!("could not write the new file {path}: {error}")))?;
        let report = Report::new(&json!({ "file": path, "exported": number }))?;
        Ok(report.shown_as(format!("{number} refresh tokens are in {path}, which only you can read.\n")))
    }

    /// Loads the refresh tokens. Fails if a record cannot be read, or if an account that is named has no token.
    fn rows(&self, store: &dyn TokenStore) -> Result<Vec<Row>, Failure> {
        let is_named = !self.accounts.is_empty();
        let accounts = match is_named {
            true => self.accounts.clone(),
            false => store::read_all(store, |_| Some(()))?.into_keys().collect(),
        };
        let mut rows = Vec::new();
        for account in accounts {
            let stored = store.load(account)?.filter(|stored| stored.is_installed());
            match stored.and_then(|stored| stored.record.tokens).and_then(|tokens| tokens.refresh_token) {
                Some(token) => rows.push(Row { account, refresh_token: token.expose().to_owned() }),
                None if is_named => {
                    return Err(Failure::usage(format!("the account {account} is not connected")));
                }
                None => {}
            }
        }
        Ok(rows)
    }
}

impl Row {
    fn object(&self) -> Value {
        let Self { account, refresh_token } = self;
        match account.user_id {
            None => json!({ "hub_id": account.hub_id, "refresh_token": refresh_token }),
            Some(user_id) => {
                json!({ "hub_id": account.hub_id, "user_id": user_id, "refresh_token": refresh_token })
            }
        }
    }

    fn csv(&self) -> String {
        let Self { account, refresh_token } = self;
        let user_id = account.user_id.map(|user_id| user_id.to_string()).unwrap_or_default();
        // RFC 4180 §2: a field with a comma or a quote in it stands between quotes.
        let token = match refresh_token.contains([',', '"']) {
            true => format!("\"{}\"", refresh_token.replace('"', "\"\"")),
            false => refresh_token.clone(),
        };
        format!("{},{user_id},{token}\n", account.hub_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_csv_of_rfc_4180_and_json() {
        let row = |account, token: &str| Row { account, refresh_token: token.to_owned() };
        assert_eq!(row(Account::hub(7), "na1-a").csv(), "7,,na1-a\n");
        assert_eq!(row(Account::user(7, 8), "a,\"b").csv(), "7,8,\"a,\"\"b\"\n");
        assert_eq!(row(Account::hub(7), "a").object(), json!({"hub_id": 7, "refresh_token": "a"}));
        assert_eq!(
            row(Account::user(7, 8), "a").object(),
            json!({"hub_id": 7, "user_id": 8, "refresh_token": "a"})
        );
    }
}
