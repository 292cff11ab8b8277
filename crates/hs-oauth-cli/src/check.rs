//! The result of one check of `doctor`, and how it is shown.

use std::io::{self, IsTerminal};

use hs_oauth_blocking::NextStep;
use serde_json::{Value, json};

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) level: Level,
    /// What was found.
    pub(crate) text: String,
    /// What to do, unless all is well.
    pub(crate) advice: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// All is well.
    Good,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work now, and may work later.
    Later,
    /// It does not work until somebody changes something.
    Bad,
}

impl Check {
    pub(crate) fn good(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Good, text: text.into(), advice: None }
    }

    pub(crate) fn warning(
        name: impl Into<String>,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), level: Level::Warning, text: text.into(), advice: Some(advice.into()) }
    }

    pub(crate) fn bad(name: impl Into<String>, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Bad, text: text.into(), advice: Some(advice.into()) }
    }

    /// Returns the check of something that failed, which may pass if the next step is to try later.
    pub(crate) fn failed(
        name: impl Into<String>,
        text: impl Into<String>,
        step: NextStep,
        advice: impl Into<String>,
    ) -> Self {
        let level = match step {
            NextStep::RetryAfter(_) => Level::Later,
            _ => Level::Bad,
        };
        Self { level, ..Self::bad(name, text, advice) }
    }

    pub(crate) fn object(&self) -> Value {
        let Self { name, level, text, advice } = self;
        json!({ "check": name, "level": level.name(), "text": text, "advice": advice })
    }
}

impl Level {
    /// Returns the level's name for programs: the colour that it has on a terminal.
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "green",
            Self::Warning => "yellow",
            Self::Later | Self::Bad => "red",
        }
    }

    /// Returns the word at the start of a line. It says the same without the colour.
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "look",
            Self::Later => "later",
            Self::Bad => "fix",
        }
    }

    /// Returns the sequence that begins the colour on a terminal.
    const fn colour(self) -> &'static str {
        match self {
            Self::Good => "\u{1b}[32m",
            Self::Warning => "\u{1b}[33m",
            Self::Later | Self::Bad => "\u{1b}[31m",
        }
    }
}

/// Returns the exit status for these checks: that of the worst.
pub(crate) fn exit_status(checks: &[Check]) -> u8 {
    match checks.iter().map(|check| check.level).max() {
        None | Some(Level::Good | Level::Warning) => 0,
        Some(Level::Later) => 5,
        Some(Level::Bad) => 4,
    }
}

/// Returns the line of each check, and below it what to do.
pub(crate) fn text(checks: &[Check], in_colour: bool) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { name, level, text: found, advice } in checks {
        let word = format!("{:5}", level.word());
        let word = match in_colour {
            true => format!("{}{word}\u{1b}[0m", level.colour()),
            false => word,
        };
        text.push_str(&format!("{word}  {name:width$}  {found}\n"));
        if let Some(advice) = advice {
            text.push_str(&format!("       {:width$}  → {advice}\n", ""));
        }
    }
    text
}

/// Returns whether standard output is a terminal that shows colours, and the person wants them (<https://no-color.org>).
pub(crate) fn is_in_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides_and_what_can_wait_is_told_from_what_must_be_fixed() {
        let good = Check::good("a", "b");
        let warning = Check::warning("a", "b", "c");
        let later = Check::failed("a", "b", NextStep::RetryAfter(None), "c");
        let bad = Check::failed("a", "b", NextStep::FixConfiguration, "c");
        for (checks, status) in [
            (vec![], 0),
            (vec![good.clone(), warning.clone()], 0),
            (vec![later.clone(), warning], 5),
            (vec![later, bad, good], 4),
        ] {
            assert_eq!(exit_status(&checks), status, "{checks:?}");
        }
    }

    #[test]
    fn a_check_is_a_line_and_what_to_do_stands_below() {
        let checks = [Check::good("DNS", "found"), Check::bad("client secret", "refused", "set it")];
        assert_eq!(
            text(&checks, false),
            "ok     DNS            found\n\
             fix    client secret  refused\n                      → set it\n"
        );
        assert!(text(&checks, true).starts_with("\u{1b}[32mok   \u{1b}[0m  DNS"));
    }
}
