//! The cost of sampling over the number of stored transitions, as a table and as a picture.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// Windows per CPU-second with so many transitions stored.
#[derive(Debug, Serialize)]
pub(super) struct Point {
    pub(super) transitions: usize,
    pub(super) ours: f64,
    pub(super) memcpy: f64,
}

/// Writes `replay-capacity.csv` and `replay-capacity.svg` to `folder`.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(points: &[Point], folder: &Path) -> Result<()> {
    let mut table = String::from("transitions,ours_windows_per_cpu_second,memcpy_windows_per_cpu_second\n");
    for Point { transitions, ours, memcpy } in points {
        writeln!(table, "{transitions},{ours:.0},{memcpy:.0}")?;
    }
    super::write(folder, "replay-capacity.csv", &table)?;
    super::write(folder, "replay-capacity.svg", &picture(points)?)
}

/// Edges of the plot within a picture of 640 by 400.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 340.0;

/// Microseconds of processor time per window over stored transitions, both axes logarithmic.
fn picture(points: &[Point]) -> Result<String> {
    /// Decades of the axes: 10^4 to 10^7 transitions, 0.01 to 1 microseconds.
    const TRANSITIONS: (i32, i32) = (4, 7);
    const COST: (i32, i32) = (-2, 0);
    let scale = |value: f64, (low, high): (i32, i32), from: f64, to: f64| {
        from + (value.log10() - f64::from(low)) / f64::from(high - low) * (to - from)
    };
    let x = |transitions: f64| scale(transitions, TRANSITIONS, LEFT, RIGHT);
    let y = |microseconds: f64| scale(microseconds, COST, BOTTOM, TOP);

    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 400\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"640\" height=\"400\" fill=\"white\"/>\n\
         <text x=\"80\" y=\"24\">CPU time per window of 8 transitions (24 + 6 numbers), batches of 256</text>\n\
         <text x=\"350\" y=\"385\" text-anchor=\"middle\">transitions stored</text>\n\
         <text x=\"20\" y=\"190\" text-anchor=\"middle\" transform=\"rotate(-90 20 190)\">microseconds</text>\n",
    );
    for decade in TRANSITIONS.0..=TRANSITIONS.1 {
        let at = x(10_f64.powi(decade));
        writeln!(svg, "<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/>")?;
        writeln!(svg, "<text x=\"{at:.1}\" y=\"360\" text-anchor=\"middle\">10^{decade}</text>")?;
    }
    for tick in [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0] {
        let at = y(tick);
        writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>")?;
        writeln!(svg, "<text x=\"72\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>", at + 4.0)?;
    }
    for (name, colour, at, is_ours) in [("mpo-replay", "#0072b2", 60, true), ("memcpy", "#d55e00", 80, false)] {
        let rate = |point: &Point| if is_ours { point.ours } else { point.memcpy };
        let place = |point: &Point| (x(point.transitions as f64), y(1e6 / rate(point)));
        let mut line = String::new();
        for point in points {
            let (x, y) = place(point);
            write!(line, "{x:.1},{y:.1} ")?;
            writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>")?;
        }
        let line = line.trim_end();
        writeln!(svg, "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")?;
        writeln!(svg, "<path d=\"M95 {at}h24\" stroke=\"{colour}\" stroke-width=\"2\"/>")?;
        writeln!(svg, "<text x=\"126\" y=\"{}\">{name}</text>", at + 4)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}
