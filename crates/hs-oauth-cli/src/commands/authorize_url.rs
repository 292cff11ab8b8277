use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use hs_oauth_blocking::{Authorize, BeginError, InvalidArgument};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::private_file;
use crate::report::Report;
use crate::settings::Settings;

/// Make the URL of HubSpot's consent page
///
/// Prints the URL with the state and the code verifier (RFC 7636). The code verifier is a secret that
/// `exchange` needs. With --pending, state and code verifier are written to a file instead. No client
/// secret is needed.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct AuthorizeUrl {
    /// Scopes that must be granted, separated by spaces or each with its own flag
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
    /// Scopes that HubSpot may leave out if the account cannot grant them
    #[arg(long, value_name = "SCOPES")]
    optional_scope: Vec<String>,
    /// Preselect this account
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(1..))]
    hub_id: Option<i64>,
    /// Leave out PKCE, for an exchange that cannot send a code verifier
    #[arg(long)]
    no_pkce: bool,
    /// Write the state and the code verifier to this new file, for `exchange --pending`
    #[arg(long, value_name = "FILE")]
    pending: Option<PathBuf>,
}

impl AuthorizeUrl {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        if settings.is_mcp()? {
            let has_scopes = !self.scope.is_empty() || !self.optional_scope.is_empty();
            if has_scopes || self.hub_id.is_some() || self.no_pkce {
                return Err(Failure::usage(
                    "with --mcp, HubSpot decides on scopes and account, and PKCE is required: leave out --scope, \
                     --optional-scope, --hub-id and --no-pkce",
                ));
            }
        } else if self.scope.iter().all(|scopes| scopes.trim().is_empty()) {
            return Err(Failure::usage(
                "no scope: pass --scope with the scopes that the app's settings require, at least `oauth`",
            ));
        }
        let app = settings.public_app()?;
        Settings::redirect_uri(&app)?;
        let optional_scopes =
            self.optional_scope.join(" ").parse().map_err(|mut invalid: InvalidArgument| {
                invalid.argument = "optional_scope";
                invalid
            })?;
        let mut authorize =
            Authorize::new(self.scope.join(" ").parse()?).with_optional_scopes(optional_scopes);
        if let Some(hub_id) = self.hub_id {
            authorize = authorize.with_hub_id(hub_id);
        }
        if self.no_pkce {
            authorize = authorize.without_pkce();
        }
        let authorization = authorize.begin(&app, SystemTime::now().into()).map_err(|error| match error {
            BeginError::App(invalid) => invalid.into(),
            error => Failure::Other(error.to_string()),
        })?;

        let pending = Report::new(&authorization.pending)?;
        let mut report = match &self.pending {
            None => pending.with_note(
                "open the URL; if the browser comes back with this state, pass the code to `hs-oauth exchange`",
            ),
            Some(file) => {
                write_pending(file, pending.object)?;
                let path = file.display().to_string();
                let note = format!(
                    "open the URL, then pass the address that the browser ends at to `hs-oauth exchange --pending {path} -`"
                );
                Report::new(&serde_json::json!({ "pending": path }))?.with_note(note).remove_unless_printed(file)
            }
        };
        let url = authorization.url.as_str().into();
        report.object.insert("url".to_owned(), url);
        Ok(report)
    }
}

fn write_pending(path: &Path, pending: Map<String, Value>) -> Result<(), Failure> {
    private_file::create(path, &Value::Object(pending).to_string()).map_err(|error| {
        let path = path.display();
        Failure::usage(match error.kind() {
            ErrorKind::AlreadyExists => format!("{path} exists already: delete it or name another file"),
            _ => format!("could not write {path}: {error}"),
        })
    })
}
