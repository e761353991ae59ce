//! Figures from run directories.

mod common;

use std::{fmt::Write as _, fs, path::Path};

use common::{rising, write_run, write_run_of};
use mpo_agent::Algorithm;
use mpo_bench::{
    courses::Axis,
    plot::{self, Figure},
    records, table,
};

fn figure(tasks: &[&str], seeds: u64, steps: u64) -> Figure {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (index, task) in tasks.iter().enumerate() {
        for seed in 0..seeds {
            write_run(root.path(), task, seed, true, &rising(steps, 300.0 + 100.0 * (index as u64 + seed) as f64));
        }
    }
    let records = records::find(&[root.path().to_owned()]).expect("the runs can be read");
    Figure::new(Some("A title & more".to_owned()), &records, None)
}

#[test]
fn a_panel_summarises_the_seeds_of_a_task() {
    let figure = figure(&["walker-walk", "cheetah-run"], 3, 250_000);
    let names: Vec<&str> = figure.panels.iter().map(|panel| panel.task.as_str()).collect();
    assert_eq!(names, ["cheetah-run", "walker-walk"]);
    let walker = &figure.panels[1];
    let [curve] = &walker.curves[..] else { panic!("one learner has one curve") };
    assert_eq!((curve.points.len(), curve.seeds, curve.star), (11, 3, None));
    let last = curve.points.last().expect("the curve has points");
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

/// Seven learners on two tasks; PPO trains four times as long.
fn seven(seeds: u64) -> Figure {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (index, algorithm) in Algorithm::ALL.into_iter().enumerate() {
        for task in ["walker-walk", "acrobot-swingup"] {
            for seed in 0..seeds {
                let end = 900.0 - 100.0 * index as f64 + 10.0 * seed as f64;
                let steps = if algorithm == Algorithm::Ppo { 400_000 } else { 100_000 };
                let folder = root.path().join(algorithm.name());
                write_run_of(&folder, algorithm.name(), task, seed, true, &rising(steps, end));
            }
        }
    }
    let records = records::find(&[root.path().to_owned()]).expect("the runs can be read");
    Figure::new(Some("Seven learners".to_owned()), &records, Some(100_000))
}

#[test]
fn learners_keep_their_place_and_longer_runs_end_in_a_star() {
    let figure = seven(3);
    let names: Vec<&str> = figure.learners.iter().map(|learner| learner.name.as_str()).collect();
    assert_eq!(names, Algorithm::ALL.map(Algorithm::title));
    assert!(figure.learners.iter().enumerate().all(|(index, learner)| learner.style == index));
    for panel in &figure.panels {
        assert_eq!((panel.curves.len(), panel.published.len()), (7, 0));
        for curve in &panel.curves {
            assert!(curve.points.iter().all(|point| point.step <= 100_000), "{}", panel.task);
            assert_eq!(curve.star.is_some(), names[curve.learner] == "PPO", "{}", panel.task);
        }
        let star = panel.curves[6].star.expect("PPO trained longer");
        assert_eq!(star.step, 400_000);
        // The median of seeds that end at (1 - e^-4) times 300, 310 and 320.
        assert!((star.level - 310.0 * (1.0 - (-4.0f64).exp())).abs() < 1e-9);
    }
}

#[test]
fn a_longer_run_that_still_trains_has_no_star() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (seed, finished) in [(0, true), (1, false)] {
        write_run(root.path(), "walker-walk", seed, finished, &rising(400_000, 200.0 + 600.0 * seed as f64));
    }
    let records = records::find(&[root.path().to_owned()]).expect("the runs can be read");
    let figure = Figure::new(None, &records, Some(200_000));
    let star = figure.panels[0].curves[0].star.expect("one run has finished");
    assert!((star.level - 200.0 * (1.0 - (-4.0f64).exp())).abs() < 1e-9, "of the finished run alone");
    assert_eq!(Figure::new(None, &records[1..], Some(200_000)).panels[0].curves[0].star, None);
}

#[test]
fn an_algorithm_has_its_colour_also_without_the_others() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for name in ["mpo", "ppo"] {
        write_run_of(&root.path().join(name), name, "walker-walk", 0, true, &rising(100_000, 500.0));
    }
    let records = records::find(&[root.path().to_owned()]).expect("the runs can be read");
    let styles: Vec<usize> = Figure::new(None, &records, None).learners.iter().map(|learner| learner.style).collect();
    assert_eq!(styles, [0, 6]);
}

#[test]
fn a_figure_of_seven_has_their_names_bands_and_stars() {
    let document = plot::svg(&seven(3)).expect("the figure can be drawn");
    for text in Algorithm::ALL.map(Algorithm::title) {
        assert!(document.lines().any(|line| line == text), "{text} is missing");
    }
    for text in [
        "final level of longer runs: PPO 400k steps",
        "medians and interquartile ranges of 3 seeds; return of an episode against environment steps",
    ] {
        assert!(document.lines().any(|line| line == text), "{text} is missing");
    }
    assert!(!document.contains("published MPO"));
    // In two panels and the legend: seven bands each; two polygons a star, one in the legend.
    assert_eq!(document.matches("<polygon").count(), 3 * 7 + 2 * 2 + 1);
    let colours: std::collections::BTreeSet<&str> = document
        .match_indices("<polyline")
        .filter_map(|(at, _)| document[at..].split("stroke=\"").nth(1)?.split('"').next())
        .collect();
    // Seven of the palette, and the grey of grid, axes and the random policy.
    assert!(colours.len() >= 9, "{colours:?}");
    let alone = plot::svg(&seven(1)).expect("the figure can be drawn");
    assert!(alone.contains("one seed; return of an episode"), "no band, and said so");
    assert_eq!(alone.matches("<polygon").count(), 5, "the stars alone");
}

/// A finished run on a course, with episodes of a hundred steps, whose distance is a tenth of its return and which passes an
/// obstacle in every second episode.
fn write_course(root: &Path, algorithm: &str, task: &str, seed: u64, curve: &[(u64, f64)]) {
    write_run_of(root, algorithm, task, seed, true, curve);
    let dir = root.join(task).join(format!("seed-{seed}"));
    let (mut progress, mut metrics) =
        (String::from("step,episode,distance,obstacles\n"), String::from("step,episode,return\n"));
    for &(step, mean) in curve {
        let _ = write!(progress, "{step},0,{},0\n{step},1,{},1\n", 0.1 * mean, 0.1 * mean);
    }
    for episode in 1..=curve.last().map_or(0, |&(step, _)| step) / 100 {
        let _ = writeln!(metrics, "{},{episode},1.0", 100 * episode);
    }
    fs::write(dir.join("progress.csv"), progress).expect("the temporary folder can be written");
    fs::write(dir.join("metrics.csv"), metrics).expect("the temporary folder can be written");
}

/// Two learners on a walker's course, and one on a humanoid's.
fn courses() -> Vec<records::Record> {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (algorithm, task, end) in [
        ("mpo", "parkour/walker-hurdles", 300.0),
        ("ppo", "parkour/walker-hurdles", 60.0),
        ("mpo", "parkour/humanoid-flat", 100.0),
    ] {
        write_course(&root.path().join(algorithm), algorithm, task, 0, &rising(250_000, end));
    }
    records::find(&[root.path().to_owned()]).expect("the runs can be read")
}

#[test]
fn what_the_papers_walker_took_is_marked_over_steps_and_trajectories() {
    let records = courses();
    for (figure, axis, words) in [
        (Figure::new(None, &records, None), Axis::Steps, " walker: MPO 60M steps"),
        (Figure::over_trajectories(None, &records, None), Axis::Trajectories, " walker: MPO 70k, PPO 1M trajectories"),
    ] {
        assert_eq!(figure.axis, axis);
        let tasks: Vec<&str> = figure.panels.iter().map(|panel| panel.task.as_str()).collect();
        assert_eq!(tasks, ["parkour/humanoid-flat", "parkour/walker-hurdles"]);
        let marks = figure.panels[1].marks.len();
        assert_eq!((figure.panels[0].marks.len(), marks), (0, if axis == Axis::Steps { 1 } else { 2 }));
        let ends: Vec<u64> =
            figure.panels[1].curves.iter().filter_map(|curve| Some(curve.points.last()?.step)).collect();
        assert_eq!(ends, [if axis == Axis::Steps { 250_000 } else { 2_500 }; 2]);
        let document = plot::svg(&figure).expect("the figure can be drawn");
        // The apostrophe before it is an entity there.
        assert!(document.lines().any(|line| line.ends_with(words)), "{words} is missing");
        // The logarithmic axis has decades as far as the mark, the other even steps.
        assert!(document.lines().any(|line| line == "1M"), "the mark's decade is missing");
    }
    let others = figure(&["walker-walk"], 1, 60_000);
    assert!(others.panels[0].marks.is_empty(), "the suite's walker is another");
    assert!(Figure::over_trajectories(None, &records[..0], None).panels.is_empty());
}

#[test]
fn seeds_of_different_lengths_of_episodes_are_one_curve_over_trajectories() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for seed in 0..3 {
        write_course(root.path(), "mpo", "parkour/walker-flat", seed, &rising(10_000, 50.0));
        let metrics = root.path().join(format!("parkour/walker-flat/seed-{seed}/metrics.csv"));
        let rows: Vec<String> =
            (1..=10).map(|tenth| format!("{},{},1.0\n", 1000 * tenth, (seed + 1) * tenth)).collect();
        fs::write(metrics, format!("step,episode,return\n{}", rows.concat())).expect("the run can be written");
    }
    let records = records::find(&[root.path().to_owned()]).expect("the runs can be read");
    let figure = Figure::over_trajectories(None, &records, None);
    let curve = &figure.panels[0].curves[0];
    let steps: Vec<u64> = curve.points.iter().map(|point| point.step).collect();
    assert_eq!(steps, (0..=10).map(|tenth| 2 * tenth).collect::<Vec<_>>());
    assert_eq!(curve.seeds, 3);
}

#[test]
fn courses_have_a_table_of_their_own() {
    let rows = table::rows(&courses());
    let text = table::text(&rows);
    let line = |name: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a row");
        line.split_whitespace().map(str::to_owned).collect()
    };
    // 300 (1 - e^-4) and a tenth of it; an obstacle in every second episode.
    let hurdles = line("walker-hurdles");
    assert_eq!(hurdles[..7], ["walker-hurdles", "MPO", "250k", "2500", "1", "294.5", "–"]);
    assert_eq!(hurdles[7..12], ["29.5", "m", "0.5", "50", "%"]);
    // On level ground there is nothing to pass.
    assert_eq!(line("humanoid-flat")[9..11], ["–", "–"]);
    let files = table::csv_files(&rows);
    assert_eq!(files.len(), 1, "courses alone need no name of their own");
    assert!(files[0].1.starts_with("task,learner,algorithm,steps,trajectories,"), "{}", files[0].1);
    let json: serde_json::Value = serde_json::from_str(&table::json(&rows)).expect("JSON");
    assert!(json[1]["course"]["past_first"].as_f64().is_some_and(|share| (share - 0.5).abs() < 1e-12), "{json}");
}
