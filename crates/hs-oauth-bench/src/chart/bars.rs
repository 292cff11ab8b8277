//! Charts of bars in groups, as SVG.

use std::fmt::Write as _;

use super::{COLOURS, text};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = 660.0;
const LEGEND: f64 = 740.0;
const TOP: f64 = 50.0;
const BAR: f64 = 16.0;
const GAP: f64 = 14.0;

/// Returns a chart with a bar for each named value of each group, in the unit that the title names. A name has the same colour in every
/// group.
pub fn bars(title: &str, groups: &[(String, Vec<(String, f64)>)]) -> String {
    let values = || groups.iter().flat_map(|(_, bars)| bars);
    let most = values().map(|(_, value)| *value).fold(0.0, f64::max);
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in values() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let height = groups.iter().map(|(_, bars)| bars.len() as f64 * BAR + GAP).sum::<f64>();
    let height = TOP + height.max(20.0 * names.len() as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    text(&mut svg, WIDTH / 2.0, 26.0, "middle", "font-size=\"16\" font-weight=\"bold\"", title);
    let colour = |name: &str| {
        let place = names.iter().position(|one| *one == name).unwrap_or(0);
        COLOURS.iter().cycle().nth(place).copied().unwrap_or("black")
    };
    for (index, name) in names.iter().enumerate() {
        let down = TOP + 20.0 * index as f64;
        bar(&mut svg, (LEGEND, down), BAR, colour(name));
        text(&mut svg, LEGEND + 24.0, down + 11.0, "start", "", name);
    }
    let mut down = TOP;
    for (group, bars) in groups {
        text(&mut svg, LEFT - 10.0, down + bars.len() as f64 * BAR / 2.0 + 4.0, "end", "", group);
        for (name, value) in bars {
            let length = value / most * (RIGHT - LEFT);
            bar(&mut svg, (LEFT, down), length, colour(name));
            text(&mut svg, LEFT + length + 6.0, down + 11.0, "start", "", &format!("{value:.2}"));
            down += BAR;
        }
        down += GAP;
    }
    svg += "</svg>\n";
    svg
}

fn bar(svg: &mut String, from: (f64, f64), length: f64, colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>",
        from.0,
        from.1,
        BAR - 4.0
    );
}
