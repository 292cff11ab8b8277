use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use hs_oauth_blocking::{Authorize, InvalidArgument};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::output::Report;
use crate::private_file;
use crate::settings::Settings;

/// Make the URL of HubSpot's consent page
///
/// It is printed with the state and the code verifier (RFC 7636), a secret that `exchange` needs; with
/// --pending both go into a file instead. No client secret is needed.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct AuthorizeUrl {
    /// Scopes that must be granted, with spaces between them or each with a flag
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
    /// Scopes HubSpot may leave out if the account cannot grant them
    #[arg(long, value_name = "SCOPES")]
    optional_scope: Vec<String>,
    /// Preselect this account
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(1..))]
    hub_id: Option<i64>,
    /// Leave out PKCE, if what exchanges the code cannot send a code verifier
    #[arg(long)]
    no_pkce: bool,
    /// Write state and code verifier to this new file, for `exchange --pending`
    #[arg(long, value_name = "FILE")]
    pending: Option<PathBuf>,
}

impl AuthorizeUrl {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        if settings.mcp {
            let asks = !self.scope.is_empty() || !self.optional_scope.is_empty();
            if asks || self.hub_id.is_some() || self.no_pkce {
                return Err(Failure::usage(
                    "with --mcp HubSpot decides scopes and account and PKCE is required: leave out --scope, \
                     --optional-scope, --hub-id and --no-pkce",
                ));
            }
        } else if self.scope.iter().all(|scopes| scopes.trim().is_empty()) {
            return Err(Failure::usage(
                "no scope: pass --scope with those the app's settings require, `oauth` at least",
            ));
        }
        let app = settings.public_app()?;
        Settings::redirect_uri(&app)?;
        let optional_scopes =
            self.optional_scope.join(" ").parse().map_err(|mut invalid: InvalidArgument| {
                invalid.argument = "optional_scope";
                invalid
            })?;
        let mut authorize = Authorize::new(self.scope.join(" ").parse()?).with_optional_scopes(optional_scopes);
        if let Some(hub_id) = self.hub_id {
            authorize = authorize.hub_id(hub_id);
        }
        if self.no_pkce {
            authorize = authorize.without_pkce();
        }
        let authorization = authorize.begin(&app).map_err(|error| Failure::Other(error.to_string()))?;

        let pending = Report::of(&authorization.pending)?;
        let mut report = match &self.pending {
            None => pending.note(
                "open the URL; if the browser comes back with this state, `hs-oauth exchange` takes its code",
            ),
            Some(file) => {
                create(file, pending.object)?;
                let path = file.display().to_string();
                let note = format!(
                    "open the URL; `hs-oauth exchange --pending {path} -` takes the address the browser comes back to"
                );
                Report::of(&serde_json::json!({ "pending": path }))?.note(note).useless_unprinted(file)
            }
        };
        let url = authorization.url.as_str().into();
        report.object.insert("url".to_owned(), url);
        Ok(report)
    }
}

fn create(path: &Path, pending: Map<String, Value>) -> Result<(), Failure> {
    private_file::create(path, &Value::Object(pending).to_string()).map_err(|error| {
        let path = path.display();
        Failure::usage(match error.kind() {
            ErrorKind::AlreadyExists => format!("{path} is there already: delete it or name another file"),
            _ => format!("could not write {path}: {error}"),
        })
    })
}
