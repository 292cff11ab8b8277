//! Charts as SVG: lines over logarithmic or linear axes, and bars.

mod bars;

use std::fmt::Write as _;

pub use bars::bars;

/// A chart of lines, with a title and named axes.
#[derive(Debug)]
pub struct Chart {
    title: String,
    across: String,
    up: String,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    is_linear: bool,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 570.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 360.0;

/// Colours that people with a colour vision deficiency can distinguish. The first seven are those of Okabe and Ito.
const COLOURS: [&str; 11] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#8c510a",
    "#5e3c99", "#c7b800",
];

/// One axis: its range, in powers of ten or in linear steps from zero, and its ends in the picture.
struct Axis {
    is_linear: bool,
    lowest: f64,
    highest: f64,
    step: f64,
    from: f64,
    to: f64,
}

impl Chart {
    /// Creates a chart without lines. `across` and `up` name the axes, with their units.
    pub fn new(title: &str, across: &str, up: &str) -> Self {
        let [title, across, up] = [title, across, up].map(str::to_owned);
        Self { title, across, up, lines: Vec::new(), is_linear: false }
    }

    /// Returns the chart with linear axes that begin at zero.
    #[must_use]
    pub fn with_linear_axes(mut self) -> Self {
        self.is_linear = true;
        self
    }

    /// Adds a line through these points. Points that are not above zero are left out.
    pub fn line(&mut self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        self.lines
            .push((name.to_owned(), points.into_iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).collect()));
    }

    /// Returns the chart as the text of an SVG file.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let x = Axis::over(self.is_linear, points().map(|point| point.0), LEFT, RIGHT);
        let y = Axis::over(self.is_linear, points().map(|point| point.1), BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let middle = f64::midpoint(LEFT, RIGHT);
        text(&mut svg, middle, 28.0, "middle", "font-size=\"16\" font-weight=\"bold\"", &self.title);
        text(&mut svg, middle, BOTTOM + 45.0, "middle", "", &self.across);
        let rotated = format!("transform=\"rotate(-90 20 {})\"", f64::midpoint(TOP, BOTTOM));
        text(&mut svg, 20.0, f64::midpoint(TOP, BOTTOM), "middle", &rotated, &self.up);
        for (at, name) in x.marks() {
            rule(&mut svg, (at, TOP), (at, BOTTOM));
            text(&mut svg, at, BOTTOM + 20.0, "middle", "", &name);
        }
        for (at, name) in y.marks() {
            rule(&mut svg, (LEFT, at), (RIGHT, at));
            text(&mut svg, LEFT - 8.0, at + 4.0, "end", "", &name);
        }
        for (index, ((name, points), colour)) in self.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let places: Vec<(f64, f64)> =
                points.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for (x, y) in places.into_iter().filter(|_| !self.is_linear) {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
            }
            let row = TOP + 12.0 + 22.0 * index as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>",
                RIGHT + 14.0,
                row - 6.0
            );
            text(&mut svg, RIGHT + 34.0, row, "start", "", name);
        }
        svg += "</svg>\n";
        svg
    }
}

impl Axis {
    fn over(is_linear: bool, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (least, most) = (least.min(value), most.max(value));
        }
        let (lowest, highest, step) = match (is_linear, least <= most) {
            (_, false) => (0.0, 1.0, 1.0),
            (false, true) => {
                let lowest = least.log10().floor();
                (lowest, most.log10().ceil().max(lowest + 1.0), 1.0)
            }
            (true, true) => {
                let power = 10_f64.powf((most / 5.0).log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
                let step = step.into_iter().find(|step| most / step <= 5.0).unwrap_or(most);
                (0.0, (most / step).ceil() * step, step)
            }
        };
        Self { is_linear, lowest, highest, step, from, to }
    }

    /// Returns the place of a value in the picture.
    fn place(&self, value: f64) -> f64 {
        let value = if self.is_linear { value } else { value.log10() };
        let share = (value - self.lowest) / (self.highest - self.lowest);
        self.from + share * (self.to - self.from)
    }

    /// Returns the places of the marks, and their labels.
    fn marks(&self) -> impl Iterator<Item = (f64, String)> {
        let count = ((self.highest - self.lowest) / self.step).round() as i32;
        (0..=count).map(|mark| {
            let value = self.lowest + f64::from(mark) * self.step;
            match self.is_linear {
                true => (self.place(value), format!("{value}")),
                false => (self.place(10_f64.powf(value)), short(value as i32)),
            }
        })
    }
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, more: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{text}</text>");
}

/// Returns the label of a power of ten: 0.1, 1, 10, … 1k, 10k … 1M.
fn short(power: i32) -> String {
    match power {
        ..0 => format!("{}", 10_f64.powi(power)),
        0..3 => format!("{}", 10_i64.pow(power.unsigned_abs())),
        3..6 => format!("{}k", 10_i64.pow(power.unsigned_abs() - 3)),
        6..9 => format!("{}M", 10_i64.pow(power.unsigned_abs() - 6)),
        _ => format!("1e{power}"),
    }
}
