//! Asks a person before something that cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use crate::failure::Failure;

/// The flag of a command that asks first.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Confirm {
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
}

impl Confirm {
    /// Asks whether to do what `question` says, unless `--yes` is given. Fails if the answer is not yes, or if nobody is there to ask.
    pub(crate) fn ask(self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::usage(format!(
                "{question} Nobody can be asked, as standard input is not a terminal: pass --yes"
            )));
        }
        let _ = write!(io::stderr().lock(), "{question} [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Failure::usage(format!("could not read the answer: {error}")))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::usage("not done")),
        }
    }
}
