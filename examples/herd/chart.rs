//! A chart of bearers and renewals over time, as SVG.

use std::fmt::Write;
use std::time::Duration;

use hs_oauth_async::Timestamp;

use crate::fleet::Fleet;
use crate::journal::JournalReader;
use crate::options::Options;

/// What the chart shows.
pub(crate) struct Chart<'a> {
    pub(crate) options: &'a Options,
    pub(crate) started: Timestamp,
    pub(crate) fleet: &'a Fleet,
    pub(crate) journal: &'a JournalReader,
}

/// One of the two panels, which share their time axis.
struct Panel {
    top: f64,
    name: &'static str,
    color: &'static str,
    /// The events per second in each slot of time.
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

const BEARERS: &str = "#2f6db3";
const RENEWALS: &str = "#2e8b57";
const KILLS: &str = "#c8322b";
const MAX_LINES: usize = 60;

impl Chart<'_> {
    /// Returns the chart as the text of an SVG file.
    pub(crate) fn svg(&self) -> String {
        let bearers = self.fleet.bearer_counts().iter().map(|(at, count)| (*at, *count));
        let renewals = self.journal.renewal_times().iter().map(|at| (*at, 1));
        let panels = [
            Panel { top: TOP, name: "bearers per second", color: BEARERS, rates: self.rates(bearers) },
            Panel {
                top: TOP + PANEL + GAP,
                name: "renewals per second",
                color: RENEWALS,
                rates: self.rates(renewals),
            },
        ];
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13" fill="#444">
<title>A herd of processes that share tokens</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
"##
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
            r##"<text x="{LEFT}" y="32" font-size="19" font-weight="600" fill="#1d1d1d">{processes} processes share the tokens of {accounts} accounts</text>
<text x="{LEFT}" y="54">{tasks} tasks in each process; access tokens live {token_lifetime} s; refresh tokens: {rotation}</text>"##
        );
        let kills = self.fleet.kills().len();
        if kills > 0 {
            let (from, to, middle) = (RIGHT - 148.0, RIGHT - 136.0, RIGHT - 142.0);
            let _ = writeln!(
                svg,
                r##"<path d="M{from} 44h12L{middle} 54z" fill="{KILLS}"/><text x="{}" y="54" fill="{KILLS}">{kills} processes killed</text>"##,
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
                    r##"<path d="M{:.1} {}h8L{x:.1} {}z" fill="{KILLS}"/><path d="M{x:.1} {}v{PANEL}" stroke="{KILLS}" stroke-opacity="{opacity}" stroke-dasharray="2 3"/>"##,
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
                let _ = writeln!(svg, r##"<path d="M{x:.1} {}v5" stroke="#888"/>"##, top + PANEL);
            }
            let y = BOTTOM + 20.0;
            let _ = writeln!(svg, r##"<text x="{x:.1}" y="{y}" text-anchor="middle">{second}</text>"##);
        }
        let (x, y) = ((LEFT + RIGHT) / 2.0, BOTTOM + 42.0);
        let _ =
            writeln!(svg, r##"<text x="{x}" y="{y}" text-anchor="middle">seconds since the start</text>"##);
    }

    /// Returns the events per second in each slot. A slot is half a second, or a hundredth of a run longer than 50 seconds.
    fn rates(&self, events: impl Iterator<Item = (Timestamp, u64)>) -> Vec<f64> {
        let slots = (self.options.seconds * 2).min(100);
        let slot = self.options.run_time() / slots;
        let mut rates = vec![0.0; usize::try_from(slots).unwrap_or(0)];
        for (at, count) in events {
            let index = at.since(self.started).as_millis() / slot.max(Duration::from_millis(1)).as_millis();
            if let Some(rate) = usize::try_from(index).ok().and_then(|index| rates.get_mut(index)) {
                *rate += f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / slot.as_secs_f64();
            }
        }
        rates
    }

    /// Returns the position of a moment on the time axis.
    fn x(&self, at: Timestamp) -> f64 {
        let share = at.since(self.started).as_secs_f64() / self.options.run_time().as_secs_f64();
        LEFT + (RIGHT - LEFT) * share.min(1.0)
    }
}

impl Panel {
    fn draw(&self, svg: &mut String) {
        let Self { top, name, color, rates } = self;
        let (step, lines) = scale(rates.iter().copied().fold(0.0, f64::max));
        let bottom = top + PANEL;
        for line in 0..=lines {
            let y = bottom - PANEL * f64::from(line) / f64::from(lines);
            let value = grouped(step * u64::from(line));
            let stroke = if line == 0 { "#888" } else { "#e4e4e4" };
            let _ = writeln!(
                svg,
                r##"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="{stroke}"/><text x="{}" y="{:.1}" text-anchor="end">{value}</text>"##,
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
                r##"<rect x="{:.1}" y="{y:.1}" width="{bar:.1}" height="{height:.1}" fill="{color}"/>"##,
                x + width * 0.09
            );
            x += width;
        }
        let middle = top + PANEL / 2.0;
        let _ = writeln!(
            svg,
            r##"<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle" font-weight="600" fill="{color}">{name}</text>"##
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
