use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::command_line::Cli;
use crate::failure::Failure;
use crate::report::Report;

/// Print a script that completes commands and flags in a shell
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth completions bash > ~/.local/share/bash-completion/completions/hs-oauth
  hs-oauth completions zsh > ~/.zfunc/_hs-oauth
  hs-oauth completions fish > ~/.config/fish/completions/hs-oauth.fish";

impl Completions {
    pub(crate) fn run(&self) -> Result<Report, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "hs-oauth", &mut script);
        let text = String::from_utf8_lossy(&script);
        Ok(Report::new(&json!({ "shell": self.shell.to_string(), "script": text }))?.shown_as(script))
    }
}
