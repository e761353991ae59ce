//! What an update would cost with more processes than there are here: a model, fitted to what was measured.
//!
//! Assumed: every process has a processor of its own and a batch of the same size; hosts run up to [`PER_HOST`] processes, which first
//! reduce among themselves, at the measured cost for each doubling; then the hosts do, over full-duplex links that do not share
//! a switch's back, each moving `2 (H - 1) / H` times the numbers (reduce-scatter, all-gather) at the measured share of the link's
//! rate, in `2 log2 H` messages of [`LATENCY_US`] each. In rank order the first host's link takes in all others' numbers one after
//! another and a tree spreads the mean. The time of an update's own work scatters normally, by as much as two processes were seen
//! to wait for each other; all wait for the slowest.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::Figures;

/// Processes of a host.
const PER_HOST: f64 = 8.0;
/// A message between hosts, microseconds: what TCP on common hardware takes.
const LATENCY_US: f64 = 30.0;
/// Bits of a number.
const BITS: f64 = 32.0;

/// What the measurements say of this machine's processes and wire.
#[derive(Debug)]
pub(super) struct Fit {
    numbers: f64,
    /// An update's own work, microseconds.
    work: f64,
    /// Its standard deviation between processes.
    scatter: f64,
    /// A reduction between two processes of a host, microseconds.
    doubling: f64,
    /// The part of a gigabit link's rate that a reduction attains.
    wire: f64,
}

impl Fit {
    /// From an update alone, of two processes of a host, and of two hosts with two each on a gigabit link.
    pub(super) fn new(alone: &Figures, shared: &Figures, network: &Figures) -> Self {
        let numbers = alone.numbers.max(shared.numbers) as f64;
        let doubling = shared.reducing_us;
        let waiting = shared.waiting_share / shared.updates_per_second * 1e6;
        // Two hosts each send and take in all numbers once; their own two processes have met before.
        let least = numbers * BITS / 1e3;
        Self {
            numbers,
            work: alone.update_us,
            // The greater of two normal numbers is on average 1/sqrt(pi) deviations above their mean: so long a process waits.
            scatter: waiting * std::f64::consts::PI.sqrt(),
            doubling,
            wire: (least / (network.reducing_us - doubling).max(least)).min(1.0),
        }
    }

    /// Microseconds of one update of `processes`, over links of so many gigabits a second.
    fn update(&self, processes: f64, gigabits: f64, rank_order: bool) -> f64 {
        let here = processes.min(PER_HOST);
        let hosts = (processes / PER_HOST).max(1.0);
        let numbers = self.numbers * BITS / (1e3 * gigabits * self.wire);
        let between = match (hosts > 1.0, rank_order) {
            (false, _) => 0.0,
            (true, false) => 2.0 * (hosts - 1.0) / hosts * numbers + 2.0 * hosts.log2() * LATENCY_US,
            // The chief is sent what every process has: nobody adds up on the way.
            (true, true) => (processes - PER_HOST) * numbers + hosts.log2() * (numbers + LATENCY_US),
        };
        let within = if rank_order { (here - 1.0) * self.doubling } else { here.log2() * self.doubling };
        self.work + self.scatter * slowest(processes) + within + between
    }
}

/// By how many standard deviations the greatest of so many normal numbers exceeds their mean (Blom's approximation of its
/// expectation).
fn slowest(count: f64) -> f64 {
    if count <= 1.0 { 0.0 } else { normal_quantile((count - 0.375) / (count + 0.25)) }
}

/// The standard normal quantile of `p` above 1/2, to 0.0005 (Abramowitz and Stegun 26.2.23).
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * (1.0 - p).ln()).sqrt();
    t - (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)))
}

/// A curve's name, link, order of summation and colour.
const CURVES: [(&str, f64, bool, &str); 4] = [
    ("all-reduce, 100 Gbit/s", 100.0, false, "#009e73"),
    ("all-reduce, 10 Gbit/s", 10.0, false, "#0072b2"),
    ("all-reduce, 1 Gbit/s", 1.0, false, "#d55e00"),
    ("rank order, 10 Gbit/s", 10.0, true, "#cc79a7"),
];

/// Writes `distributed-model.csv` and `distributed-model.svg` to `folder`.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(fit: &Fit, folder: &Path) -> Result<()> {
    println!("{fit:?}");
    let mut table = String::from("link,reduction,processes,update_us,efficiency\n");
    for (_, gigabits, rank_order, _) in CURVES {
        for processes in processes() {
            let update = fit.update(processes, gigabits, rank_order);
            let reduction = if rank_order { "rank_order" } else { "all_reduce" };
            writeln!(table, "{gigabits} Gbit/s,{reduction},{processes},{update:.0},{:.3}", fit.work / update)?;
        }
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, contents) in [("distributed-model.csv", table), ("distributed-model.svg", picture(fit)?)] {
        let path = folder.join(name);
        std::fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn processes() -> impl Iterator<Item = f64> {
    (0..=10).map(|doublings| f64::from(1 << doublings))
}

/// Edges of the plot within a picture of 640 by 400.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 340.0;

/// Samples per second and process, one process's being 1, over the number of processes.
fn picture(fit: &Fit) -> Result<String> {
    let x = |processes: f64| LEFT + processes.log2() / 10.0 * (RIGHT - LEFT);
    let y = |efficiency: f64| BOTTOM - efficiency * (BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 400\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"640\" height=\"400\" fill=\"white\"/>\n\
         <text x=\"80\" y=\"24\">Model: samples per second and process ({:.0} numbers, {PER_HOST} processes a host)</text>\n\
         <text x=\"350\" y=\"385\" text-anchor=\"middle\">processes</text>\n\
         <text x=\"20\" y=\"190\" text-anchor=\"middle\" transform=\"rotate(-90 20 190)\">of one process alone</text>\n",
        fit.numbers
    );
    for count in processes() {
        let at = x(count);
        writeln!(svg, "<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/>")?;
        writeln!(svg, "<text x=\"{at:.1}\" y=\"360\" text-anchor=\"middle\">{count}</text>")?;
    }
    for tenth in (0..=10).step_by(2) {
        let (at, value) = (y(f64::from(tenth) / 10.0), f64::from(tenth) / 10.0);
        writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>")?;
        writeln!(svg, "<text x=\"72\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", at + 4.0)?;
    }
    for (at, (name, gigabits, rank_order, colour)) in (0..).map(|row| 240 + 20 * row).zip(CURVES) {
        let points = processes()
            .map(|count| format!("{:.1},{:.1}", x(count), y(fit.work / fit.update(count, gigabits, rank_order))));
        let line = points.collect::<Vec<_>>().join(" ");
        writeln!(svg, "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")?;
        writeln!(svg, "<path d=\"M95 {at}h24\" stroke=\"{colour}\" stroke-width=\"2\"/>")?;
        writeln!(svg, "<text x=\"126\" y=\"{}\">{name}</text>", at + 4)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: Fit = Fit { numbers: 1e5, work: 6000.0, scatter: 0.0, doubling: 100.0, wire: 0.5 };

    #[test]
    fn an_update_of_many_is_the_sum_of_its_parts() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(FIT.update(1.0, 1.0, false), 6000.0);
        close(FIT.update(8.0, 1.0, false), 6300.0);
        // 3.2 Mbit at half a gigabit a second take 6.4 ms; two hosts exchange them once, in two messages.
        close(FIT.update(16.0, 1.0, false), 6300.0 + 6400.0 + 60.0);
        // In rank order eight workers' numbers come in, and the mean goes out.
        close(FIT.update(16.0, 1.0, true), 6700.0 + 9.0 * 6400.0 + 30.0);
    }

    #[test]
    fn the_slowest_of_many_is_as_slow_as_tables_say() {
        // Expected maxima of 10 and 100 standard normal numbers (Harter 1961): 1.53875 and 2.50759.
        for (count, expected) in [(10.0, 1.538_75), (100.0, 2.507_59)] {
            assert!((slowest(count) - expected).abs() < 0.01, "{count}: {}", slowest(count));
        }
    }
}
