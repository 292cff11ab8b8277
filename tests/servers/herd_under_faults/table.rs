//! The table: what a run has come to, and whether it is as promised.

use std::fmt;

use crate::case::Case;
use crate::herd::{Finished, HerdResult};
use crate::options::{Engine, Rotation};

pub(crate) const HEAD: &str = "\
| engine | rotation | fault | seconds | renewals | share | rejected | overdue | lost responses | lost | unreadable | late | failed | longest wait | store failures | kills | checked calls | verdict |
|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|";

/// The least share of the renewals of a run without a fault.
const MIN_SHARE: f64 = 0.8;

/// A run.
pub(crate) struct Row {
    engine: Engine,
    rotation: Rotation,
    case: Case,
    pub(crate) seconds: u32,
    result: HerdResult,
    /// The renewals as a share of those without a fault.
    share: Option<f64>,
    /// What is not as promised.
    pub(crate) violations: Vec<String>,
}

impl Row {
    /// Judges a run. `quiet` is the run of the same length without a fault.
    pub(crate) fn new(
        engine: Engine,
        rotation: Rotation,
        case: Case,
        seconds: u32,
        finished: Finished,
        quiet: Option<&Self>,
    ) -> Self {
        let Finished { result, mut violations } = finished;
        let share = quiet.map(|quiet| f64::from(result.renewals) / f64::from(quiet.result.renewals));
        if rotation == Rotation::Keep && share.is_some_and(|share| share < MIN_SHARE) {
            violations.push("less than four fifths of the renewals without a fault".to_owned());
        }
        Self { engine, rotation, case, seconds, result, share, violations }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, rotation, case, seconds, result, .. } = self;
        write!(f, "| {engine} | {rotation} | {case} | {seconds} | {} |", result.renewals)?;
        match self.share {
            Some(share) => write!(f, " {:.0} % |", share * 100.0)?,
            None => f.write_str(" |")?,
        }
        let counts = [
            result.rejected_bearers,
            result.overdue_calls,
            result.lost_responses,
            result.lost_accounts.into(),
            result.corrupt_files.into(),
            result.late_bearers,
            result.failed_bearers,
        ];
        for count in counts {
            write!(f, " {count} |")?;
        }
        write!(f, " {} ms | {} | {} |", result.longest_wait_ms, result.store_failures, result.kills)?;
        write!(f, " {} |", result.checked_calls)?;
        match self.violations.is_empty() {
            true => f.write_str(" as promised |"),
            false => write!(f, " **{}** |", self.violations.join("; ")),
        }
    }
}
