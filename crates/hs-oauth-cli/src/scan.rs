//! Finds what stops working when HubSpot removes `v1` of its OAuth API: paths of `v1`, and calls of SDKs that send to them.
//!
//! `files` walks the folders without what is `ignored`, `file` reads each file in pieces, `pattern` says what a finding looks like, `path` judges a path of `v1`,
//! and `rule` says what to write instead. `text` and `sarif` show the findings.

mod excerpt;
mod file;
mod files;
mod finding;
mod ignored;
mod path;
mod pattern;
mod rule;
mod sarif;
mod text;

pub(crate) use files::{Options, scan};
pub(crate) use sarif::sarif;
pub(crate) use text::text;
