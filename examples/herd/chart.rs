//! A chart of bearers and renewals over time with the verdict, as SVG for light and dark pages.

use std::fmt::Write;

use hs_oauth_async::Timestamp;

use crate::fleet::Fleet;
use crate::journal::JournalReader;
use crate::options::Options;
use crate::result::Verdict;

/// What the chart shows.
pub(crate) struct Chart<'a> {
    pub(crate) options: &'a Options,
    pub(crate) started: Timestamp,
    pub(crate) fleet: &'a Fleet,
    pub(crate) journal: &'a JournalReader,
    pub(crate) verdict: Verdict,
}

/// One of the two panels, which share their time axis.
struct Panel {
    top: f64,
    name: &'static str,
    /// The class of its bars and of its name.
    class: &'static str,
    /// The events per second in each bin of time.
    rates: Vec<f64>,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 92.0;
const PANEL: f64 = 168.0;
const GAP: f64 = 44.0;
const BOTTOM: f64 = TOP + PANEL + GAP + PANEL;
const HEIGHT: f64 = BOTTOM + 56.0;

const MAX_LINES: usize = 60;
/// The most bars of a panel: a bar is at least a pixel wide.
const MAX_BINS: u32 = 850;

/// The colours, on a light and on a dark page.
const STYLE: &str = "\
<style>
text { fill: #444 }
.page { fill: #fff }
.title { fill: #1d1d1d }
.grid { stroke: #e4e4e4 }
.axis { stroke: #888 }
.bearers { fill: #2f6db3 }
.renewals { fill: #2e8b57 }
.kills { fill: #c8322b }
.kill { stroke: #c8322b }
.kept { fill: #1a7f37 }
.broken { fill: #c8322b }
@media (prefers-color-scheme: dark) {
text { fill: #b4bcc6 }
.page { fill: #0d1117 }
.title { fill: #f0f3f6 }
.grid { stroke: #262c36 }
.axis { stroke: #6e7681 }
.bearers { fill: #58a6ff }
.renewals { fill: #3fb950 }
.kills { fill: #ff7b72 }
.kill { stroke: #ff7b72 }
.kept { fill: #3fb950 }
.broken { fill: #ff7b72 }
}
</style>";

impl Chart<'_> {
    /// Returns the chart as the text of an SVG file.
    pub(crate) fn svg(&self) -> String {
        let bearers = self.fleet.bearer_counts().iter().map(|(at, count)| (*at, *count));
        let renewals = self.journal.renewal_times().iter().map(|at| (*at, 1));
        let panels = [
            Panel { top: TOP, name: "bearers per second", class: "bearers", rates: self.rates(bearers) },
            Panel {
                top: TOP + PANEL + GAP,
                name: "renewals per second",
                class: "renewals",
                rates: self.rates(renewals),
            },
        ];
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">
<title>A herd of processes that share tokens: {}</title>
{STYLE}
<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>
"##,
            self.verdict
        );
        self.heading(&mut svg);
        for panel in &panels {
            panel.draw(&mut svg);
        }
        self.kills(&mut svg, &panels);
        self.time_axis(&mut svg, &panels);
        svg + "</svg>\n"
    }

    fn heading(&self, svg: &mut String) {
        let Options { processes, tasks, accounts, token_lifetime, rotation, .. } = self.options;
        let rotation = format!("{rotation:?}").to_lowercase();
        let _ = writeln!(
            svg,
            r##"<text class="title" x="{LEFT}" y="32" font-size="19" font-weight="600">{processes} processes share the tokens of {accounts} accounts</text>
<text x="{LEFT}" y="54">{tasks} tasks in each process; access tokens live {token_lifetime} s; refresh tokens: {rotation}</text>
<text class="{}" x="{RIGHT}" y="32" font-size="17" font-weight="600" text-anchor="end">{}</text>"##,
            if self.verdict.is_as_promised { "kept" } else { "broken" },
            self.verdict
        );
        let kills = self.fleet.kills().len();
        if kills > 0 {
            let (from, to, middle) = (RIGHT - 148.0, RIGHT - 136.0, RIGHT - 142.0);
            let _ = writeln!(
                svg,
                r##"<path class="kills" d="M{from} 44h12L{middle} 54z"/><text class="kills" x="{}" y="54">{kills} processes killed</text>"##,
                to + 6.0
            );
        }
    }

    fn kills(&self, svg: &mut String, panels: &[Panel]) {
        // Too many lines would hide the bars.
        let opacity = if self.fleet.kills().len() > MAX_LINES { 0.0 } else { 0.35 };
        for kill in self.fleet.kills() {
            let x = self.x(kill.at);
            for Panel { top, .. } in panels {
                let _ = writeln!(
                    svg,
                    r##"<path class="kills" d="M{:.1} {}h8L{x:.1} {}z"/><path class="kill" d="M{x:.1} {}v{PANEL}" stroke-opacity="{opacity}" stroke-dasharray="2 3"/>"##,
                    x - 4.0,
                    top - 8.0,
                    top - 1.0,
                    top
                );
            }
        }
    }

    fn time_axis(&self, svg: &mut String, panels: &[Panel]) {
        let seconds = self.options.seconds;
        let steps = [1, 2, 5, 10, 30, 60, 300, 600, 3600, 7200];
        let step = steps.into_iter().find(|step| seconds / step <= 12).unwrap_or(seconds);
        for second in (0..=seconds).filter(|second| second % step == 0) {
            let x = LEFT + (RIGHT - LEFT) * f64::from(second) / f64::from(seconds);
            for Panel { top, .. } in panels {
                let _ = writeln!(svg, r##"<path class="axis" d="M{x:.1} {}v5"/>"##, top + PANEL);
            }
            let y = BOTTOM + 20.0;
            let _ = writeln!(svg, r##"<text x="{x:.1}" y="{y}" text-anchor="middle">{second}</text>"##);
        }
        let (x, y) = ((LEFT + RIGHT) / 2.0, BOTTOM + 42.0);
        let _ =
            writeln!(svg, r##"<text x="{x}" y="{y}" text-anchor="middle">seconds since the start</text>"##);
    }

    /// Returns the events per second in each bin. A bin is a second, or as many whole seconds as a long run needs.
    fn rates(&self, events: impl Iterator<Item = (Timestamp, u64)>) -> Vec<f64> {
        let bin = self.bin();
        let bins = self.options.seconds.div_ceil(bin);
        let mut rates = vec![0.0; usize::try_from(bins).unwrap_or(0)];
        for (at, count) in events {
            let index = at.since(self.started).as_secs() / u64::from(bin);
            if let Some(rate) = usize::try_from(index).ok().and_then(|index| rates.get_mut(index)) {
                *rate += f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(bin);
            }
        }
        rates
    }

    /// Returns the length of a bin, in seconds.
    fn bin(&self) -> u32 {
        self.options.seconds.div_ceil(MAX_BINS).max(1)
    }

    /// Returns the position of a moment on the time axis.
    fn x(&self, at: Timestamp) -> f64 {
        let share = at.since(self.started).as_secs_f64() / self.options.run_time().as_secs_f64();
        LEFT + (RIGHT - LEFT) * share.min(1.0)
    }
}

impl Panel {
    fn draw(&self, svg: &mut String) {
        let Self { top, name, class, rates } = self;
        let (step, lines) = scale(rates.iter().copied().fold(0.0, f64::max));
        let bottom = top + PANEL;
        for line in 0..=lines {
            let y = bottom - PANEL * f64::from(line) / f64::from(lines);
            let value = grouped(step * u64::from(line));
            let stroke = if line == 0 { "axis" } else { "grid" };
            let _ = writeln!(
                svg,
                r##"<path class="{stroke}" d="M{LEFT} {y:.1}H{RIGHT}"/><text x="{}" y="{:.1}" text-anchor="end">{value}</text>"##,
                LEFT - 8.0,
                y + 4.5
            );
        }
        let full = f64::from(lines) * f64::from(u32::try_from(step).unwrap_or(u32::MAX));
        let width = (RIGHT - LEFT) / f64::from(u32::try_from(rates.len()).unwrap_or(1).max(1));
        let mut x = LEFT;
        for rate in rates {
            let height = PANEL * rate / full;
            let (y, bar) = (bottom - height, width * 0.82);
            let _ = writeln!(
                svg,
                r##"<rect class="{class}" x="{:.1}" y="{y:.1}" width="{bar:.1}" height="{height:.1}"/>"##,
                x + width * 0.09
            );
            x += width;
        }
        let middle = top + PANEL / 2.0;
        let _ = writeln!(
            svg,
            r##"<text class="{class}" transform="translate(20 {middle}) rotate(-90)" text-anchor="middle" font-weight="600">{name}</text>"##
        );
    }
}

/// Returns round steps for an axis that reaches `max`: the size of a step and the number of steps.
fn scale(max: f64) -> (u64, u32) {
    let mut decade = 1;
    loop {
        for step in [decade, decade * 2, decade * 5] {
            for lines in 2..=5 {
                if f64::from(u32::try_from(step).unwrap_or(u32::MAX)) * f64::from(lines) >= max {
                    return (step, lines);
                }
            }
        }
        if decade >= 1_000_000_000 {
            return (decade, 5);
        }
        decade *= 10;
    }
}

/// Returns a number with spaces between its thousands.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{} {:03}", grouped(number / 1000), number % 1000),
    }
}
