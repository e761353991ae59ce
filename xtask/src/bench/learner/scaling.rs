//! Updates per second against batch, M, width and threads: a table and its picture.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::machine;
use crate::process;

/// Size of one panel and of the room around it, in pixels.
const PANEL: (f64, f64) = (260.0, 220.0);
const MARGIN: (f64, f64) = (62.0, 46.0);

/// A measured point.
struct Point {
    varied: String,
    value: f64,
    threads: usize,
    rate: f64,
}

/// Measures, prints the table and writes it and its picture.
///
/// # Errors
/// When the example fails or answers something else, or a file cannot be written.
pub(super) fn run() -> Result<()> {
    let table = machine::ask(&["scaling"])?;
    print!("{table}");
    let points = table.lines().skip(1).map(parse).collect::<Result<Vec<_>>>()?;
    for (name, text) in [("bench-learner-scaling.csv", table), ("bench-learner-scaling.svg", draw(&points))] {
        let file = process::root().join("results").join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn parse(line: &str) -> Result<Point> {
    let fields: Vec<&str> = line.split(',').collect();
    let [varied, value, threads, rate, _] = fields[..] else { anyhow::bail!("the example answered `{line}`") };
    Ok(Point { varied: varied.to_owned(), value: value.parse()?, threads: threads.parse()?, rate: rate.parse()? })
}

/// A panel per varied quantity, both axes logarithmic, a line per number of threads.
fn draw(points: &[Point]) -> String {
    let mut names: Vec<&str> = points.iter().map(|p| p.varied.as_str()).collect();
    names.dedup();
    let mut unique: Vec<&str> = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    let width = unique.len() as f64 * (PANEL.0 + MARGIN.0) + 20.0;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{}' font-family='sans-serif' font-size='11'>\n\
         <rect width='100%' height='100%' fill='white'/>",
        PANEL.1 + 2.0 * MARGIN.1
    );
    for (index, name) in unique.iter().enumerate() {
        let of: Vec<&Point> = points.iter().filter(|p| p.varied == *name).collect();
        panel(&mut svg, name, &of, MARGIN.0 + index as f64 * (PANEL.0 + MARGIN.0));
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, name: &str, points: &[&Point], left: f64) {
    let range = |value: fn(&Point) -> f64| {
        points.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), p| (a.min(value(p)), b.max(value(p))))
    };
    let ((x0, x1), (y0, y1)) = (range(|p| p.value), range(|p| p.rate));
    let x = |value: f64| left + PANEL.0 * (value / x0).ln() / (x1 / x0).ln();
    let y = |rate: f64| MARGIN.1 + PANEL.1 * (1.0 - (rate / y0).ln() / (y1 / y0).ln());
    let bottom = MARGIN.1 + PANEL.1;
    let _ = writeln!(
        svg,
        "<rect x='{left}' y='{}' width='{}' height='{}' fill='none' stroke='#888'/>\n\
         <text x='{}' y='{}' text-anchor='middle'>{name}</text>\n\
         <text x='{left}' y='{}'>updates per second</text>",
        MARGIN.1,
        PANEL.0,
        PANEL.1,
        left + PANEL.0 / 2.0,
        bottom + 34.0,
        MARGIN.1 - 8.0
    );
    let mut ticks: Vec<f64> = points.iter().map(|p| p.value).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let every = ticks.len().div_ceil(7);
    for tick in ticks.iter().step_by(every) {
        let _ = writeln!(svg, "<text x='{:.1}' y='{}' text-anchor='middle'>{tick}</text>", x(*tick), bottom + 16.0);
    }
    let mut power = 10.0_f64.powf(y0.log10().ceil());
    while power <= y1 {
        let at = y(power);
        let _ = writeln!(
            svg,
            "<line x1='{left}' x2='{}' y1='{at:.1}' y2='{at:.1}' stroke='#ddd'/>\n\
             <text x='{}' y='{:.1}' text-anchor='end'>{power}</text>",
            left + PANEL.0,
            left - 4.0,
            at + 4.0
        );
        power *= 10.0;
    }
    for (threads, colour) in [(1, "#1b6ca8"), (2, "#c8553d")] {
        let line: Vec<&&Point> = points.iter().filter(|p| p.threads == threads).collect();
        let path: Vec<String> = line.iter().map(|p| format!("{:.1},{:.1}", x(p.value), y(p.rate))).collect();
        let _ =
            writeln!(svg, "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='1.5'/>", path.join(" "));
        let label = MARGIN.1 + 14.0 * threads as f64;
        let _ = writeln!(
            svg,
            "<text x='{}' y='{label}' fill='{colour}' text-anchor='end'>threads: {threads}</text>",
            left + PANEL.0 - 6.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_a_panel_per_quantity() {
        let table = ["batch,16,1,100.0,50.0", "batch,256,1,10.0,60.0", "M,1,2,5.5,1.0", "M,80,2,4.0,1.0"];
        let points: Vec<Point> = table.iter().map(|line| parse(line).expect("a row")).collect();
        let svg = draw(&points);
        assert_eq!(svg.matches("<rect").count(), 3, "background and two panels");
        assert!(svg.contains("points='62.0,46.0 322.0,266.0'"), "the first line runs from corner to corner: {svg}");
        assert!(parse("batch,16").is_err());
    }
}
