//! Brings refresh tokens from a table into the store of a profile.
//!
//! `table` reads the file in its format (`csv`, `json_lines`, `hs_config`), `plan` says what is left to do for a row, `journal` remembers
//! what was begun and done, `work` does it with several threads, and `result` adds it up.

mod csv;
mod hs_config;
mod journal;
mod json_lines;
mod plan;
mod result;
mod row;
mod table;
mod work;

pub(crate) use journal::Journal;
pub(crate) use result::{RowResult, Summary, line_of_report};
pub(crate) use table::{Format, read};
pub(crate) use work::{Imported, Settings, Target, import};
