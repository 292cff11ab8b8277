//! The command line.

use std::fmt;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::case::Case;

/// Runs the herd over throw-away servers, makes faults meanwhile, and prints a table of what came of it.
///
/// Exit status: 0 as promised, 1 not as promised or not run.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The engine; may be given several times, and is both of them by default
    #[arg(long, value_enum)]
    engine: Vec<Engine>,
    /// What a refresh does to the refresh token; may be given several times
    #[arg(long, value_enum, default_value = "keep")]
    rotation: Vec<Rotation>,
    /// What happens during a run; may be given several times, and is everything by default. A run without a fault comes first in any case
    #[arg(long, value_name = "NAME", value_parser = case, long_help = fault_help())]
    fault: Vec<Case>,
    /// The driver for PostgreSQL, as the herd names it
    #[arg(long, default_value = "tokio-postgres")]
    pub(crate) driver: String,
    /// How long the herd runs. Every fault in turn takes a minute at least
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(15..=3600))]
    pub(crate) seconds: u32,
    /// How many processes the herd has
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    pub(crate) processes: u32,
    /// How many tasks each process has
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    pub(crate) tasks: u32,
    /// How many accounts there are
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub(crate) accounts: u32,
    /// How many tasks in each process call the store as fast as it answers
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) store_tasks: u32,
    /// Write the history of the store's calls in each run into this folder, and check that the store is linearizable
    #[arg(long, value_name = "FOLDER")]
    pub(crate) history: Option<PathBuf>,
    /// The herd's program. By default cargo builds it
    #[arg(long, value_name = "FILE")]
    pub(crate) herd: Option<PathBuf>,
}

impl Options {
    pub(crate) fn engines(&self) -> Vec<Engine> {
        match self.engine.is_empty() {
            true => vec![Engine::Postgres, Engine::Redis],
            false => self.engine.clone(),
        }
    }

    pub(crate) fn rotations(&self) -> Vec<Rotation> {
        self.rotation.clone()
    }

    pub(crate) fn cases(&self) -> Vec<Case> {
        match self.fault.is_empty() {
            true => Case::all().collect(),
            false => self.fault.clone(),
        }
    }
}

/// The server that holds the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Postgres,
    Redis,
}

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rotation {
    /// Keeps it, as HubSpot today.
    Keep,
    /// Replaces it.
    Rotate,
    /// Replaces it, and ends the grant if it is used again.
    Strict,
}

fn case(name: &str) -> Result<Case, String> {
    Case::all().find(|case| case.name() == name).ok_or_else(|| format!("the names are {}", names()))
}

fn fault_help() -> String {
    format!(
        "What happens during a run; may be given several times, and is everything by default: {}. A run without a fault comes first in any case",
        names()
    )
}

fn names() -> String {
    Case::all().map(Case::name).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        })
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Rotate => "rotate",
            Self::Strict => "strict",
        })
    }
}
