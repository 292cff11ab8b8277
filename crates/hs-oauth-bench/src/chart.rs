//! Charts as SVG: lines over two logarithmic axes, and bars.

mod bars;

use std::fmt::Write as _;

pub use bars::bars;

/// A chart with a title and named axes.
#[derive(Debug)]
pub struct Chart {
    title: String,
    across: String,
    up: String,
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 570.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 360.0;

/// Told apart by those who do not see colours well, too (the first seven are Okabe and Ito's).
const COLOURS: [&str; 11] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#8c510a",
    "#5e3c99", "#c7b800",
];

/// One axis: which powers of ten it spans, and where it lies on the paper.
struct Axis {
    lowest: i32,
    highest: i32,
    from: f64,
    to: f64,
}

impl Chart {
    /// An empty one. `across` and `up` name the axes, with their units.
    pub fn new(title: &str, across: &str, up: &str) -> Self {
        Self { title: title.to_owned(), across: across.to_owned(), up: up.to_owned(), lines: Vec::new() }
    }

    /// Adds a line through these points, all of them above zero.
    pub fn line(&mut self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        self.lines
            .push((name.to_owned(), points.into_iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).collect()));
    }

    /// The chart as a file's text.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let x = Axis::over(points().map(|point| point.0), LEFT, RIGHT);
        let y = Axis::over(points().map(|point| point.1), BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let middle = f64::midpoint(LEFT, RIGHT);
        text(&mut svg, middle, 28.0, "middle", "font-size=\"16\" font-weight=\"bold\"", &self.title);
        text(&mut svg, middle, BOTTOM + 45.0, "middle", "", &self.across);
        let turned = format!("transform=\"rotate(-90 20 {})\"", f64::midpoint(TOP, BOTTOM));
        text(&mut svg, 20.0, f64::midpoint(TOP, BOTTOM), "middle", &turned, &self.up);
        for power in x.lowest..=x.highest {
            let at = x.place(10_f64.powi(power));
            rule(&mut svg, (at, TOP), (at, BOTTOM));
            text(&mut svg, at, BOTTOM + 20.0, "middle", "", &short(power));
        }
        for power in y.lowest..=y.highest {
            let at = y.place(10_f64.powi(power));
            rule(&mut svg, (LEFT, at), (RIGHT, at));
            text(&mut svg, LEFT - 8.0, at + 4.0, "end", "", &short(power));
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
            for (x, y) in places {
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
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (least, most) = (least.min(value), most.max(value));
        }
        let (lowest, highest) = match least <= most {
            true => (least.log10().floor() as i32, most.log10().ceil() as i32),
            false => (0, 1),
        };
        Self { lowest, highest: highest.max(lowest + 1), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.lowest)) / f64::from(self.highest - self.lowest);
        self.from + share * (self.to - self.from)
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

/// 0.1, 1, 10, … 1k, 10k … 1M
fn short(power: i32) -> String {
    match power {
        ..0 => format!("{}", 10_f64.powi(power)),
        0..3 => format!("{}", 10_i64.pow(power.unsigned_abs())),
        3..6 => format!("{}k", 10_i64.pow(power.unsigned_abs() - 3)),
        6..9 => format!("{}M", 10_i64.pow(power.unsigned_abs() - 6)),
        _ => format!("1e{power}"),
    }
}
