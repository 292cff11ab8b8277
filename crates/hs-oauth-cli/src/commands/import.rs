use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::{Args, ValueEnum};
use hs_oauth_blocking::{Account, TokenManager, TokenSet};
use serde_json::json;

use crate::failure::Failure;
use crate::import::{self, Imported, Journal, RowResult, Summary};
use crate::output::print_error;
use crate::private_file;
use crate::progress::Progress;
use crate::report::Report;
use crate::session::Session;
use crate::settings::Settings;
use crate::signals;
use crate::store::Store;

/// Bring refresh tokens in from a table: CSV, JSON lines or the settings of `hs`
///
/// CSV names its columns in the first line, and JSON lines have an object each: hub_id (or portalId,
/// accountId), refresh_token, and where they matter user_id and client_id. The settings of HubSpot's
/// own command line (hubspot.config.yml) are read in their older and their newer form.
///
/// Each refresh token is verified: it is used once. If that is stopped, the same command goes on
/// where it was, and nothing is lost. A token that HubSpot refuses stays in the store, marked as
/// gone, so that `list` names the account and `recheck` can try it again.
///
/// Exit status: 0 done, 6 some are refused, 5 some are not done yet, 4 all would be refused,
/// 2 usage.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Import {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// The format, if neither the name nor the content says it
    #[arg(long, value_name = "csv|jsonl|hs", hide_possible_values = true)]
    format: Option<Format>,
    /// How many tokens are verified in a second, at most
    #[arg(long, value_name = "NUMBER", default_value = "10")]
    rate: NonZeroU32,
    /// Store the tokens only; each is verified when it is first used
    #[arg(long)]
    no_verify: bool,
    /// Replace the token of an account that is connected with another one
    #[arg(long)]
    replace: bool,
    /// Go on when HubSpot refuses many accounts, which otherwise counts as a wrong app
    #[arg(long)]
    accept_refusals: bool,
    /// Write a JSON object for each row, without its token; `-` is standard output
    #[arg(long, value_name = "FILE|-")]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
    Hs,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth import accounts.csv --rate 20 --report report.jsonl
  hs-oauth import ~/.hscli/config.yml
  hs-oauth export --profile old | hs-oauth import - --profile new";

impl Import {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let resolved = settings.resolve()?;
        let user_level = resolved.app.user_level;
        let (mut session, store) = Session::open(resolved)?;
        let rows = import::read(&self.file, self.format.map(Into::into))?;
        let mut lines = self.report.as_deref().map(open_report).transpose()?;
        let path = session.profile.folder().join("import");
        let journal = Journal::open(&path).map_err(|error| {
            Failure::Other(format!("could not write down what is imported in {}: {error}", path.display()))
        })?;

        let manager = self.manager(&session, &store, user_level);
        let import_settings = import::Settings {
            user_level,
            verify: !self.no_verify,
            replace: self.replace,
            threads: self.rate.min(MAX_THREADS),
        };
        let stop = signals::stop();
        let progress = Progress::bar(rows.len() as u64, "rows");
        let mut collected = Collected::default();
        let client_id = session.app().client_id().to_owned();
        let target =
            import::Target { client_id: &client_id, manager: &manager, store: &*store, journal: &journal };
        let Imported { failure, unsaved } = import::import(rows, target, import_settings, &stop, |result| {
            progress.advance();
            if result.outcome.is_success() && !collected.has_settings {
                // From then on the other commands know the profile, whatever happens to this one.
                collected.has_settings = true;
                collected.note(session.keep_settings());
            }
            if let Some(lines) = &mut lines {
                collected.note(write_line(lines, &result));
            }
            collected.add(result);
        });
        progress.finish();
        if let Some(mut lines) = lines {
            collected.note(lines.flush().map_err(not_written));
        }
        if !unsaved.is_empty() {
            save(&unsaved)?;
        }
        let text = collected.text(stop.load(Ordering::Relaxed));
        if let Some(failure) = failure.or(collected.failure) {
            print_error(collected.summary.text());
            return Err(failure);
        }
        let exit_status = match collected.summary {
            Summary { pending: 1.., .. } => 5,
            Summary { refused: 1.., .. } => 6,
            _ => 0,
        };
        let mut report = Report::new(&collected.summary.object())?.with_exit_status(exit_status);
        let refused = collected.refused.iter().map(import::line_of_report).collect();
        report.object.insert("refused_rows".to_owned(), refused);
        Ok(match self.report.as_deref() == Some(Path::new("-")) {
            // Standard output has the rows, and nothing else.
            true => {
                print_error(collected.summary.text());
                report.shown_as("")
            }
            false => report.shown_as(text),
        })
    }

    /// Returns a manager that renews within the rate.
    fn manager(&self, session: &Session, store: &Store, user_level: bool) -> TokenManager {
        let client = session.manager.client().clone();
        let mut manager = TokenManager::builder(client, Store::clone(store))
            .with_user_level(user_level)
            .with_renewals_per_second(self.rate);
        if self.accept_refusals {
            manager = manager.with_mass_refusal_limit(None);
        }
        manager.build()
    }
}

impl From<Format> for import::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv,
            Format::Jsonl => Self::JsonLines,
            Format::Hs => Self::HsConfig,
        }
    }
}

/// What came of the rows so far.
#[derive(Default)]
struct Collected {
    summary: Summary,
    /// The rows that are refused.
    refused: Vec<RowResult>,
    has_settings: bool,
    /// The first thing besides the rows that has failed.
    failure: Option<Failure>,
}

impl Collected {
    fn add(&mut self, result: RowResult) {
        self.summary.add(&result.outcome);
        if result.outcome.is_refused() {
            self.refused.push(result);
        }
    }

    fn note(&mut self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.failure.get_or_insert(failure);
        }
    }

    /// Returns what people read: the first rows that are refused, and the sums.
    fn text(&self, is_stopped: bool) -> String {
        let mut text = String::new();
        for row in self.refused.iter().take(MAX_SHOWN) {
            text.push_str(&format!("{row}\n"));
        }
        if self.refused.len() > MAX_SHOWN {
            text.push_str(&format!(
                "… and {} more that are refused: --report names them\n",
                self.refused.len() - MAX_SHOWN
            ));
        }
        text.push_str(&format!("{}\n", self.summary.text()));
        if is_stopped || self.summary.pending > 0 {
            text.push_str("the same command goes on where this one has ended\n");
        }
        text
    }
}

/// Opens the report before the first row is imported, so that a wrong path costs nothing.
fn open_report(path: &Path) -> Result<Box<dyn Write>, Failure> {
    match path == Path::new("-") {
        true => Ok(Box::new(BufWriter::new(io::stdout()))),
        false => match File::create(path) {
            // A line is written at once, so that the report has it if the program is killed.
            Ok(file) => Ok(Box::new(file)),
            Err(error) => {
                Err(Failure::usage(format!("could not write the report {}: {error}", path.display())))
            }
        },
    }
}

fn write_line(lines: &mut dyn Write, result: &RowResult) -> Result<(), Failure> {
    writeln!(lines, "{}", import::line_of_report(result)).map_err(not_written)
}

fn not_written(error: io::Error) -> Failure {
    Failure::Other(format!("could not write the report: {error}"))
}

/// Saves tokens that the store has not taken to a new file that only the user can read, as a table that this command reads.
fn save(unsaved: &[(Account, TokenSet)]) -> Result<(), Failure> {
    let row = |(account, tokens): &(Account, TokenSet)| {
        let token = tokens.refresh_token.as_ref()?.expose();
        Some(format!(
            "{}\n",
            json!({"hub_id": account.hub_id, "user_id": account.user_id, "refresh_token": token})
        ))
    };
    let text: String = unsaved.iter().filter_map(row).collect();
    let path = private_file::create_temporary(&text).map_err(Failure::TokensLost)?;
    print_error(format_args!(
        "{} refresh tokens could not be stored and are in {}, which only you can read: import that file with --replace \
         --format jsonl",
        unsaved.len(),
        path.display()
    ));
    Ok(())
}

/// How many rows that are refused are shown to people.
const MAX_SHOWN: usize = 20;

/// The most threads that work. More of them do not make HubSpot faster.
const MAX_THREADS: NonZeroU32 = NonZeroU32::MIN.saturating_add(31);
