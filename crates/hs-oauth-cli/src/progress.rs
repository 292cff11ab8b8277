//! Progress on a terminal. Where standard error is none, nothing is shown.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// A line on standard error that says how far a command is. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts a count of things whose number is not known. `label` says what they are.
    pub(crate) fn spinner(label: &'static str) -> Self {
        Self::start(ProgressBar::no_length(), "{spinner} {human_pos} {msg}", label)
    }

    /// Starts a count of `total` things.
    pub(crate) fn bar(total: u64, label: &'static str) -> Self {
        let template = "{bar:30} {human_pos} of {human_len} {msg}, {per_sec}, {eta} left";
        Self::start(ProgressBar::new(total), template, label)
    }

    fn start(bar: ProgressBar, template: &str, label: impl Into<Cow<'static, str>>) -> Self {
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        // Only a template of this file that is wrong has no style; a test would show it.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let bar = bar.with_finish(ProgressFinish::AndClear).with_message(label);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    /// Counts one more.
    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
