//! The load over time, as SVG: a column for each event, and a row for each number.

use std::fmt::Write;

use crate::counts::{Counts, Series, grouped};
use crate::event::BEGIN;
use crate::options::Options;

const LEFT: f64 = 24.0;
const TOP: f64 = 112.0;
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 150.0;
const GAP_X: f64 = 32.0;
const GAP_Y: f64 = 64.0;
/// The most points of a line.
const POINTS: usize = 380;

const ROWS: [(&str, &str); 3] = [
    ("store reads a second", "#2f6db3"),
    ("store writes a second", "#8a5fb0"),
    ("HubSpot requests a second", "#2e8b57"),
];
const EVENT: &str = "#c8322b";

/// Returns the chart as the text of an SVG file.
pub(crate) fn svg(options: &Options, all: &[Counts]) -> String {
    let columns = f64::from(u32::try_from(all.len()).unwrap_or(1));
    let width = LEFT * 2.0 + columns * (WIDTH + GAP_X) - GAP_X;
    let height = TOP + 3.0 * (HEIGHT + GAP_Y);
    let Options { replicas, accounts, replicas_per_account, calls_per_hour, .. } = options;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13" fill="#444">
<title>What a fleet asks of its store and of HubSpot</title>
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="{LEFT}" y="32" font-size="19" font-weight="600" fill="#1d1d1d">{} accounts, {} replicas</text>
<text x="{LEFT}" y="54">{calls_per_hour} calls an hour for each account, which reach {replicas_per_account} of the replicas; minutes since the begin</text>
"##,
        grouped((*accounts).into()),
        grouped((*replicas).into()),
    );
    // The panels of a row share their scale, so that events can be compared.
    for (row, (name, color)) in ROWS.iter().enumerate() {
        let series: Vec<_> = all.iter().map(|counts| series(counts, row)).collect();
        let max = series.iter().flat_map(|series| series.seconds()).copied().max().unwrap_or(0);
        for (column, (counts, series)) in all.iter().zip(series).enumerate() {
            let x = LEFT + number(column) * (WIDTH + GAP_X);
            let y = TOP + number(row) * (HEIGHT + GAP_Y);
            if row == 0 {
                let event = counts.event.name();
                let _ = writeln!(svg, r##"<text x="{x}" y="{}" font-weight="600">{event}</text>"##, y - 28.0);
            }
            panel(&mut svg, (x, y), counts, series, max, (name, color));
        }
    }
    svg + "</svg>\n"
}

fn series(counts: &Counts, row: usize) -> &Series {
    match row {
        0 => &counts.store_reads,
        1 => &counts.store_writes,
        _ => &counts.requests,
    }
}

fn panel(
    svg: &mut String,
    (x, y): (f64, f64),
    counts: &Counts,
    series: &Series,
    max: u32,
    (name, color): (&str, &str),
) {
    let seconds = series.seconds();
    let x_of = |second: f64| x + WIDTH * second / number(seconds.len().max(1));
    let (from, until) = (x_of(BEGIN.as_secs_f64()), x_of(counts.event.end().as_secs_f64()));
    let bottom = y + HEIGHT;
    let _ = writeln!(
        svg,
        r##"<rect x="{from:.1}" y="{y}" width="{:.1}" height="{HEIGHT}" fill="{EVENT}" fill-opacity="0.15"/>"##,
        (until - from).max(1.5)
    );
    // Of the seconds that share a point, the highest is drawn.
    let step = seconds.len().div_ceil(POINTS).max(1);
    let mut path = format!("M{x} {bottom}");
    for (index, chunk) in seconds.chunks(step).enumerate() {
        let value = chunk.iter().copied().max().unwrap_or(0);
        let height = HEIGHT * f64::from(value) / f64::from(max.max(1));
        let _ = write!(path, "L{:.1} {:.1}", x_of(number(index * step)), bottom - height);
    }
    let _ = writeln!(
        svg,
        r##"<path d="{path}L{:.1} {bottom}z" fill="{color}" fill-opacity="0.25" stroke="{color}"/>
<path d="M{x} {bottom}h{WIDTH}" stroke="#888"/>"##,
        x + WIDTH
    );
    let peak = seconds.iter().copied().max().unwrap_or(0);
    let _ = writeln!(
        svg,
        r##"<text x="{x}" y="{}" fill="{color}">{name}: at most {}</text>"##,
        y - 8.0,
        grouped(peak.into())
    );
    let minutes = seconds.len() / 60;
    let ticks = if minutes > 60 { 15 } else { 5 };
    for minute in (0..=minutes).filter(|minute| minute % ticks == 0) {
        let x = x_of(number(minute * 60));
        let _ = writeln!(
            svg,
            r##"<path d="M{x:.1} {bottom}v4" stroke="#888"/><text x="{x:.1}" y="{}" text-anchor="middle" font-size="11">{minute}</text>"##,
            bottom + 18.0
        );
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
