use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use hs_oauth_blocking::{AuthorizationCode, Code, CodeVerifier, PendingAuthorization};

use crate::environment::{CODE, CODE_VERIFIER, REDIRECT_URI};
use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;
use crate::stdin::{self, StdinMarker};
use crate::{callback, private_file, secret, signals, waiting};

/// Exchange an authorization code for the first tokens of a grant
///
/// With --pending, `-` reads the callback, and its state is checked.
///
/// Without --pending, the code comes from HUBSPOT_CODE or `-`, and the code verifier, if there is one,
/// from HUBSPOT_CODE_VERIFIER or `--code-verifier -`. The redirect URI is needed, and you have to check
/// the state yourself.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Exchange {
    /// Read the code, or with --pending the callback, from standard input
    #[arg(value_name = "-")]
    stdin: Option<StdinMarker>,
    /// The file of `authorize-url --pending`; removed when HubSpot has returned the tokens
    #[arg(long, value_name = "FILE", conflicts_with_all = ["code", "code_verifier"])]
    pending: Option<PathBuf>,
    /// The same as `-` without --pending [env: HUBSPOT_CODE]
    #[arg(long, value_name = "-", conflicts_with = "stdin")]
    code: Option<StdinMarker>,
    /// `-` reads the code verifier [env: HUBSPOT_CODE_VERIFIER]
    #[arg(long, value_name = "-")]
    code_verifier: Option<StdinMarker>,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth exchange --pending pending.json --json - > tokens.json    # prompts for the callback
  HUBSPOT_CODE=… HUBSPOT_CODE_VERIFIER=… hs-oauth exchange --json";

impl Exchange {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let mut required = Vec::new();
        if self.pending.is_none() {
            required.push(&REDIRECT_URI);
            required.extend(self.stdin.or(self.code).is_none().then_some(&CODE));
        }
        let client = settings.client_requiring(required)?;
        let code = match &self.pending {
            Some(path) => self.accept_callback(path)?,
            None => {
                let code = secret::read(&CODE, self.stdin.or(self.code).is_some())?;
                if code.contains("code=") {
                    return Err(Failure::usage(
                        "this is a callback, not a code: use --pending, or pass only what follows `code=`",
                    ));
                }
                let verifier = secret::read_if_given(&CODE_VERIFIER, self.code_verifier.is_some())?;
                let redirect_uri = Settings::redirect_uri(client.app())?;
                AuthorizationCode::from_caller_who_checked_state(
                    Code::new(code)?,
                    redirect_uri,
                    verifier.map(CodeVerifier::new).transpose()?,
                )
            }
        };
        signals::defer();
        let tokens = waiting::for_hubspot(client.app(), || client.exchange_code(code))?;
        if let Some(path) = &self.pending {
            // Its code verifier belongs to a code that is spent.
            let _ = fs::remove_file(path);
        }
        Report::from_tokens(&tokens, None)
    }

    /// Reads the callback and checks its state against the pending authorization in the file.
    fn accept_callback(&self, path: &Path) -> Result<AuthorizationCode, Failure> {
        if self.stdin.is_none() {
            return Err(Failure::usage(
                "with --pending the callback comes from standard input: pass `-` and write its URL there",
            ));
        }
        let file = path.display();
        let text = private_file::read(path)
            .map_err(|error| Failure::usage(format!("could not read {file}: {error}")))?;
        let pending: PendingAuthorization = serde_json::from_str(&text)
            .map_err(|_| Failure::usage(format!("{file} is not what `authorize-url --pending` writes")))?;
        let address = stdin::read_line("callback")?;
        Ok(pending.accept(SystemTime::now().into(), callback::query(&address))?)
    }
}
