use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use crate::consent::Consent;
use crate::environment::{CLIENT_ID, REDIRECT_URI};
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
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct AuthorizeUrl {
    #[command(flatten)]
    consent: Consent,
    /// Leave out PKCE, for an exchange that cannot send a code verifier
    #[arg(long)]
    no_pkce: bool,
    /// Write the state and the code verifier to this new file, for `exchange --pending`
    #[arg(long, value_name = "FILE")]
    pending: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth authorize-url --scope 'oauth crm.objects.contacts.read' --pending pending.json
  hs-oauth authorize-url --scope oauth --hub-id 62515 --json";

impl AuthorizeUrl {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let mut resolved = settings.resolve()?;
        if resolved.app.mcp && self.no_pkce {
            return Err(Failure::usage("with --mcp, PKCE is required: leave out --no-pkce"));
        }
        self.consent.apply_to(&mut resolved.app)?;
        resolved.require_with_scopes([&CLIENT_ID, &REDIRECT_URI])?;
        let app = resolved.public_app()?;
        let authorization = self.consent.begin(&app, &resolved.app, |authorize| match self.no_pkce {
            true => authorize.without_pkce(),
            false => authorize,
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
