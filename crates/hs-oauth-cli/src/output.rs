use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hs_oauth_blocking::{RefreshToken, TokenSet, printable};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::private_file;

/// How results are printed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print one JSON object, tokens in the clear, under HubSpot's field names
    #[arg(long, global = true)]
    json: bool,
    /// Print tokens in the clear
    #[arg(long, global = true)]
    show_tokens: bool,
}

/// What a command has to say.
#[derive(Debug)]
pub(crate) struct Report {
    /// What `--json` prints, and people read line by line.
    pub(crate) object: Map<String, Value>,
    /// One more line for people.
    note: Option<String>,
    /// Whether HubSpot has just issued the refresh token in it, so that it exists nowhere else.
    is_new: bool,
    /// A file that is of no use without what is printed.
    file: Option<PathBuf>,
}

impl Report {
    pub(crate) fn of(result: &impl Serialize) -> Result<Self, Failure> {
        match serde_json::to_value(result) {
            Ok(Value::Object(mut object)) => {
                object.retain(|_, value| !value.is_null());
                Ok(Self { object, note: None, is_new: false, file: None })
            }
            _ => Err(Failure::Other("the result is no JSON object".to_owned())),
        }
    }

    /// The tokens HubSpot gave, in exchange for `sent` if that is a token.
    pub(crate) fn of_tokens(tokens: &TokenSet, sent: Option<&RefreshToken>) -> Result<Self, Failure> {
        let mut report = Self::of(tokens)?;
        report.is_new = tokens.refresh_token.is_some() && tokens.refresh_token.as_ref() != sent;
        Ok(report)
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(crate) fn useless_unprinted(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

impl Output {
    /// What the arguments ask for, where they cannot be read as a whole.
    pub(crate) fn of(arguments: &[OsString]) -> Self {
        Self { json: arguments.iter().any(|argument| argument == "--json"), show_tokens: false }
    }

    pub(crate) fn report(&self, report: &Report) -> Result<(), Failure> {
        let text = match self.json {
            true => json(&report.object),
            false => {
                let note = report.note.iter().map(|note| format!("{note}\n"));
                self.lines(&report.object).chain(note).collect()
            }
        };
        let printed = print(&text);
        let kept = match report.is_new && !self.has_shown(&printed) {
            true => Some(self.keep(&report.object)?),
            false => None,
        };
        printed.map_err(|error| {
            if let Some(file) = &report.file {
                let _ = fs::remove_file(file);
            }
            Failure::Unprinted { error, kept }
        })
    }

    /// Tells of a failure, and gives the exit status.
    pub(crate) fn failure(&self, failure: &Failure) -> u8 {
        let rescued = failure.rescued();
        let printed = match (self.json, self.show_tokens) {
            (true, _) => print(&json(&failure.object())),
            (false, true) => print(&self.lines(&rescued).collect::<String>()),
            (false, false) => Ok(()),
        };
        complain(failure);
        let lost = match rescued.contains_key("refresh_token") && !self.has_shown(&printed) {
            true => self.keep(&rescued).err(),
            false => None,
        };
        lost.iter().for_each(complain);
        let last = lost.as_ref().unwrap_or(failure);
        let _ = writeln!(io::stderr().lock(), "next: {}", last.advice());
        last.exit_status()
    }

    /// Whether tokens reached standard output.
    fn has_shown(&self, printed: &io::Result<()>) -> bool {
        self.shows_tokens() && printed.is_ok() && !goes_nowhere()
    }

    /// Puts tokens that exist nowhere else, and that were not printed, where only the user can read them.
    fn keep(&self, tokens: &Map<String, Value>) -> Result<PathBuf, Failure> {
        let path = private_file::create_temporary(&json(tokens)).map_err(Failure::Lost)?;
        let hint = match self.shows_tokens() {
            true => "",
            false => " (--json or --show-tokens prints it instead)",
        };
        complain(format_args!(
            "the refresh token HubSpot has just issued is in {}, which only you can read: move it to where it \
             belongs{hint}",
            path.display()
        ));
        Ok(path)
    }

    fn shows_tokens(&self) -> bool {
        self.json || self.show_tokens
    }

    /// An object as people read it: a line for each field, aligned, the important ones first.
    fn lines<'a>(&self, object: &'a Map<String, Value>) -> impl Iterator<Item = String> + use<'a> {
        let show_tokens = self.show_tokens;
        let mut fields: Vec<_> = object.iter().filter(|field| field.0 != "expires_at").collect();
        fields.sort_by_key(|(name, _)| ORDER.iter().position(|first| first == name).unwrap_or(ORDER.len()));
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        fields.into_iter().map(move |(name, value)| {
            let text = match value {
                Value::String(token) if TOKENS.contains(&name.as_str()) && !show_tokens => masked(token),
                Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
                Value::Object(_) => "(--json prints it)".to_owned(),
                _ if name == "expires_in" => format!("{value} s"),
                value => text(value),
            };
            format!("{name:width$}  {text}\n")
        })
    }
}

/// Writes to standard output, and makes sure that it is there.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Whether standard output is `/dev/null`, which Rust puts in place of a closed one: writing succeeds, and nobody reads it.
fn goes_nowhere() -> bool {
    #[cfg(unix)]
    {
        use std::os::{fd::AsFd, unix::fs::MetadataExt};
        let stdout =
            io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| fs::File::from(stdout).metadata());
        matches!((stdout, fs::metadata("/dev/null")), (Ok(stdout), Ok(null)) if stdout.rdev() == null.rdev())
    }
    #[cfg(not(unix))]
    false
}

fn complain(text: impl Display) {
    // If standard error is closed, there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "hs-oauth: {text}");
}

fn json(object: &Map<String, Value>) -> String {
    // Displaying a `Value` is JSON; a map has no such form.
    format!("{}\n", Value::Object(object.clone()))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        value => value.to_string(),
    }
}

/// Enough of a token to tell it from another, and never enough to use it.
fn masked(token: &str) -> String {
    RefreshToken::new(token).map_or_else(|_| "…".to_owned(), |token| token.masked())
}

const TOKENS: [&str; 4] = ["token", "access_token", "refresh_token", "id_token"];

const ORDER: [&str; 12] = [
    "url",
    "pending",
    "state",
    "code_verifier",
    "active",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "token_type",
    "token_use",
    "expires_in",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(object: Value, show_tokens: bool) -> String {
        let output = Output { json: false, show_tokens };
        output.lines(object.as_object().unwrap()).collect()
    }

    #[test]
    fn people_read_aligned_lines_with_tokens_masked() {
        let object = json!({
            "access_token": "CKrU1234567890abcdefCANARY",
            "expires_at": 1,
            "expires_in": 1800,
            "hub_id": 7,
            "scopes": ["oauth", "crm.objects.contacts.read"],
            "signed_access_token": {"signature": "CANARY"},
        });
        assert_eq!(
            lines(object.clone(), false),
            "access_token         CKrU… (26 characters)\n\
             expires_in           1800 s\n\
             hub_id               7\n\
             scopes               oauth crm.objects.contacts.read\n\
             signed_access_token  (--json prints it)\n"
        );
        assert!(lines(object, true).starts_with("access_token         CKrU1234567890abcdefCANARY\n"));
    }

    #[test]
    fn what_hubspot_says_can_neither_forge_a_line_nor_steer_a_terminal() {
        let object = json!({"hub_domain": "a\nactive  true\u{1b}[2J\u{202e}", "scopes": ["x\ny"]});
        assert_eq!(
            lines(object, false),
            "hub_domain  a\u{fffd}active  true\u{fffd}[2J\u{fffd}\nscopes      x\u{fffd}y\n"
        );
    }
}
