//! Figures from run directories.

mod common;

use common::{rising, write_run};
use mpo_bench::{
    plot::{self, Figure},
    records,
};

fn figure(tasks: &[&str], seeds: u64, steps: u64) -> Figure {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (index, task) in tasks.iter().enumerate() {
        for seed in 0..seeds {
            write_run(root.path(), task, seed, true, &rising(steps, 300.0 + 100.0 * (index as u64 + seed) as f64));
        }
    }
    let records = records::find(&[root.path().to_owned()]).expect("the runs can be read");
    Figure::new(Some("A title & more".to_owned()), &records)
}

#[test]
fn a_panel_summarises_the_seeds_of_a_task() {
    let figure = figure(&["walker-walk", "cheetah-run"], 3, 250_000);
    let names: Vec<&str> = figure.panels.iter().map(|panel| panel.task.as_str()).collect();
    assert_eq!(names, ["cheetah-run", "walker-walk"]);
    let walker = &figure.panels[1];
    assert_eq!((walker.curve.len(), walker.seeds), (11, 3));
    let last = walker.curve.last().expect("the curve has points");
    assert_eq!(last.step, 250_000);
    // The seeds end at (1 - e^-4) times 300, 400 and 500.
    let part = 1.0 - (-4.0f64).exp();
    assert!((last.spread.median - 400.0 * part).abs() < 1e-9);
    assert!((last.spread.lower - 350.0 * part).abs() < 1e-9);
    assert!((last.spread.upper - 450.0 * part).abs() < 1e-9);
    let level = walker.level.expect("walker-walk is published");
    assert_eq!((walker.published[level].step, walker.published.len()), (250_000, 3));
}

#[test]
fn svg_text_is_text_and_every_panel_and_entry_is_there() {
    let document = plot::svg(&figure(&["walker-walk", "cheetah-run"], 3, 250_000)).expect("the figure can be drawn");
    assert!(
        document.starts_with("<svg width=\"490\" height=\"288\" viewBox=\"0 0 4900 2880\""),
        "{}",
        &document[..120]
    );
    assert!(document.ends_with("</svg>\n"));
    for text in [
        "A title &amp; more",
        "walker-walk",
        "cheetah-run",
        "MPO, this work: median and interquartile range of 3 seeds",
        "published MPO at 250k steps",
        "250k",
        "1000",
    ] {
        assert!(document.lines().any(|line| line == text), "{text} is missing");
    }
    assert!(document.contains("font-family=\"sans-serif\""));
    // Markers at 100k and 250k in both panels, a white rim each.
    assert_eq!(document.matches("<circle").count(), 8);
    assert_eq!(document.matches("<polygon").count(), 3, "a band per panel and one in the legend");
}

#[test]
fn one_seed_has_no_band_and_a_level_published_later_has_no_marker() {
    let document = plot::svg(&figure(&["walker-walk"], 1, 60_000)).expect("the figure can be drawn");
    assert!(document.contains("MPO, this work (one seed)"));
    assert!(document.contains("published MPO at 100k steps"));
    assert_eq!(document.matches("<polygon").count(), 0);
    assert_eq!(document.matches("<circle").count(), 0);
}

#[test]
fn the_png_is_twice_as_large_and_shows_the_curve() {
    let file = plot::png(&figure(&["walker-walk"], 3, 250_000)).expect("the figure can be drawn");
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("the file is a PNG picture");
    let mut pixels = vec![0; reader.output_buffer_size().expect("the picture fits into memory")];
    let info = reader.next_frame(&mut pixels).expect("the picture can be decoded");
    let svg = plot::svg(&figure(&["walker-walk"], 3, 250_000)).expect("the figure can be drawn");
    assert!(svg.starts_with(&format!("<svg width=\"{}\" height=\"{}\"", info.width / 2, info.height / 2)));
    let count = |colour: [u8; 3]| pixels.chunks_exact(3).filter(|pixel| *pixel == colour).count();
    assert!(count([0, 114, 178]) > 500, "our curve's blue");
    assert!(count([213, 94, 0]) > 200, "the published level's vermilion");
    assert!(count([40, 44, 52]) > 100, "the text's ink");
}
