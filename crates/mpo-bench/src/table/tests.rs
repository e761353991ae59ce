use std::path::PathBuf;

use mpo_agent::Algorithm;

use super::*;
use crate::records::Evaluation;

fn run(task: &str, seed: u64, finished: bool, evaluations: &[(u64, [f64; 2])]) -> Record {
    run_of(Algorithm::Mpo, task, seed, finished, evaluations)
}

fn run_of(algorithm: Algorithm, task: &str, seed: u64, finished: bool, evaluations: &[(u64, [f64; 2])]) -> Record {
    Record {
        dir: PathBuf::from(format!("{task}/seed-{seed}")),
        task: task.to_owned(),
        seed,
        algorithm,
        group: None,
        variant: None,
        evaluations: evaluations
            .iter()
            .map(|&(step, returns)| Evaluation { step, returns: returns.to_vec(), ..Evaluation::default() })
            .collect(),
        finished,
    }
}

fn reference(steps: u64, mean: f64) -> Reference {
    Reference { steps, mean, std: 1.5, seeds: 10, source: "somewhere".to_owned() }
}

fn examples() -> Vec<Row> {
    let walker = Row {
        task: "walker-walk".to_owned(),
        series: "MPO".to_owned(),
        algorithm: "mpo".to_owned(),
        headline: true,
        steps: 60_000,
        seeds: 3,
        finished: true,
        median: 812.34,
        lower: 790.0,
        upper: 850.06,
        best: 900.0,
        best_lower: 880.0,
        best_upper: 910.0,
        random: Some(42.25),
        mpo: Some(reference(100_000, 235.5)),
        dmpo: None,
        d4pg: Some(reference(60_000, 300.0)),
        course: None,
    };
    let humanoid = Row {
        task: "humanoid-run".to_owned(),
        series: "MPO (joint KL)".to_owned(),
        algorithm: "mpo_joint_kl".to_owned(),
        headline: false,
        steps: 20_000,
        seeds: 1,
        finished: false,
        median: 1.0,
        lower: 1.0,
        upper: 1.0,
        best: 2.0,
        best_lower: 2.0,
        best_upper: 2.0,
        random: None,
        mpo: None,
        dmpo: None,
        d4pg: None,
        course: None,
    };
    vec![walker, humanoid]
}

#[test]
fn text_is_aligned() {
    let expected = "\
Task                       Learner         Steps  Seeds   Ours          IQR  Random   MPO (publ.)  DMPO (publ.)  D4PG (publ.)
─────────────────────────  ──────────────  ─────  ─────  ─────  ───────────  ──────  ────────────  ────────────  ────────────
walker-walk*               MPO               60k      3  812.3  790.0–850.1    42.2  235.5 @ 100k             –         300.0
humanoid-run (unfinished)  MPO (joint KL)    20k      1    1.0            –       –             –             –             –

Ours: median over seeds of the mean return of the last evaluation; IQR: 25 % to 75 % quantile over seeds.
publ.: published mean over seeds, at the same number of environment steps or at the one named.
*: one of the 18 tasks that published MPO figures exist for.
unfinished: no run has reached its end; figures at the latest step that all runs have reached.
";
    assert_eq!(text(&examples()), expected);
}

#[test]
fn markdown_has_a_row_per_task() {
    let expected = "\
| Task | Learner | Steps | Seeds | Ours | IQR | Random | MPO (publ.) | DMPO (publ.) | D4PG (publ.) |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| walker-walk\\* | MPO | 60k | 3 | 812.3 | 790.0–850.1 | 42.2 | 235.5 @ 100k | – | 300.0 |

Ours: median over seeds of the mean return of the last evaluation; IQR: 25 % to 75 % quantile over seeds.  
publ.: published mean over seeds, at the same number of environment steps or at the one named.  
\\*: one of the 18 tasks that published MPO figures exist for.
";
    assert_eq!(markdown(&examples()[..1]), expected);
}

#[test]
fn csv_has_full_figures_and_empty_fields() {
    let expected = "\
task,learner,algorithm,headline,steps,seeds,finished,median,q25,q75,best,random,\
mpo_steps,mpo_mean,mpo_std,dmpo_steps,dmpo_mean,dmpo_std,d4pg_steps,d4pg_mean,d4pg_std
walker-walk,MPO,mpo,true,60000,3,true,812.34,790.0,850.06,900.0,42.25,100000,235.5,1.5,,,,60000,300.0,1.5
humanoid-run,MPO (joint KL),mpo_joint_kl,false,20000,1,false,1.0,1.0,1.0,2.0,,,,,,,,,,
";
    assert_eq!(csv(&examples()), expected);
}

#[test]
fn json_keeps_sources() {
    let parsed: serde_json::Value = serde_json::from_str(&json(&examples())).expect("the export is JSON");
    assert_eq!(parsed[0]["mpo"]["source"], "somewhere");
    assert_eq!(parsed[0]["median"], 812.34);
    assert_eq!(parsed[1]["mpo"], serde_json::Value::Null);
}

#[test]
fn a_finished_task_takes_the_median_of_last_evaluations() {
    let records = [
        run("walker-walk", 0, true, &[(0, [10.0, 30.0]), (1000, [900.0, 900.0]), (2000, [100.0, 200.0])]),
        run("walker-walk", 1, true, &[(0, [0.0, 0.0]), (2000, [300.0, 500.0])]),
        run("walker-walk", 2, true, &[(0, [0.0, 0.0]), (2000, [800.0, 800.0])]),
        // Not finished: it does not count beside finished runs.
        run("walker-walk", 3, false, &[(0, [0.0, 0.0]), (1000, [1.0, 1.0])]),
    ];
    let rows = rows(&records);
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert!(row.headline && row.finished);
    assert_eq!((row.steps, row.seeds), (2000, 3));
    let spread = Spread { lower: row.lower, median: row.median, upper: row.upper };
    assert_eq!(spread, Spread { lower: 275.0, median: 400.0, upper: 600.0 });
    // The bests are 900, 400 and 800.
    assert!((row.best - 800.0).abs() < 1e-9);
    let mpo = row.mpo.as_ref().expect("walker-walk is published");
    assert_eq!((mpo.steps, mpo.seeds), (100_000, 10));
}

#[test]
fn unfinished_runs_are_compared_at_the_step_that_all_have_reached() {
    let records = [
        run("walker-walk", 0, false, &[(0, [0.0, 0.0]), (1000, [100.0, 100.0]), (2000, [700.0, 700.0])]),
        run("walker-walk", 1, false, &[(0, [0.0, 0.0]), (1000, [200.0, 200.0])]),
        run("walker-walk", 2, false, &[]),
    ];
    let rows = rows(&records);
    let row = &rows[0];
    assert!(!row.finished);
    assert_eq!((row.steps, row.seeds), (1000, 2));
    assert!((row.median - 150.0).abs() < 1e-9);
    assert!((row.best - 150.0).abs() < 1e-9);
}

#[test]
fn tasks_stand_in_the_suites_order_and_need_an_evaluation() {
    let records = [
        run("something-else", 0, true, &[(0, [1.0, 1.0])]),
        run("walker-walk", 0, true, &[(0, [1.0, 1.0])]),
        run("cheetah-run", 0, true, &[(0, [1.0, 1.0])]),
        run("cartpole-balance", 0, true, &[]),
    ];
    let names: Vec<String> = rows(&records).into_iter().map(|row| row.task).collect();
    assert_eq!(names, ["cheetah-run", "walker-walk", "something-else"]);
}

#[test]
fn the_last_row_is_a_mean_over_tasks_that_all_have_been_published_for() {
    let at_the_end = |task: &str, score: f64| run(task, 0, true, &[(0, [0.0, 0.0]), (500_000, [score, score])]);
    let mut records = vec![at_the_end("walker-walk", 900.0), at_the_end("humanoid-run", 0.0)];
    assert_eq!(means(&rows(&records)), [], "one task has no mean");
    records.push(at_the_end("cheetah-run", 600.0));
    let rows = rows(&records);
    let mean = &means(&rows)[0];
    assert_eq!((mean.tasks, mean.steps, mean.finished), (2, Some(500_000), true));
    assert!((mean.ours - 750.0).abs() < 1e-9);
    // data/anchors.csv at 500k steps, cheetah and walker.
    for ((figure, steps), algorithm) in mean.published.into_iter().zip(["mpo", "dmpo", "d4pg"]) {
        let of = |task| anchors::nearest(task, algorithm, 500_000).expect("it is published").mean;
        assert!((figure - 0.5 * (of("cheetah-run") + of("walker-walk"))).abs() < 1e-9, "{algorithm}");
        assert_eq!(steps, Some(500_000));
    }
    let text = text(&rows);
    let line = text.lines().find(|line| line.starts_with("mean of 2 tasks")).expect("the mean has a row");
    assert!(line.contains(" 750.0 ") && line.contains("MPO") && line.contains("500k"), "{line}");
    assert!(markdown(&rows).contains("| mean of 2 tasks | MPO | 500k |"));
    assert_eq!(csv(&rows).lines().count(), 4, "a row per task and no other");
}

#[test]
fn learners_are_compared_over_the_tasks_that_all_have() {
    let scored = |algorithm, task: &str, seed, score: f64| {
        run_of(algorithm, task, seed, true, &[(0, [0.0; 2]), (1000, [score; 2])])
    };
    let records = [
        scored(Algorithm::Epg, "something-else", 0, 500.0),
        scored(Algorithm::Mpo, "something-else", 0, 300.0),
        scored(Algorithm::Mpo, "something-else", 1, 700.0),
        scored(Algorithm::Mpo, "walker-walk", 0, 900.0),
    ];
    let rows = rows(&records);
    let order: Vec<(&str, &str)> = rows.iter().map(|row| (row.task.as_str(), row.algorithm.as_str())).collect();
    assert_eq!(order, [("walker-walk", "mpo"), ("something-else", "mpo"), ("something-else", "epg")]);
    let beside = comparison(&rows);
    assert_eq!((beside.tasks.as_slice(), beside.common), (["walker-walk", "something-else"].as_slice(), 1));
    // No random policy is known there, so the scale begins at 0.
    assert_eq!(beside.lines.iter().map(|line| line.mean).collect::<Vec<_>>(), [Some(0.5), Some(0.5)]);
    let expected = "\
Learner                  walker-walk  something-else  Mean, normalised
───────────────────────  ───────────  ──────────────  ────────────────
MPO                              900   500 (400–600)             0.500
EPG + Retrace + entropy            –             500             0.500
";
    assert_eq!(beside.text().split("\n\n").next().map(|table| format!("{table}\n")), Some(expected.to_owned()));
    assert!(beside.csv().starts_with("series,mean_normalised,walker-walk,something-else\nMPO,0.5,900,500\n"));
    assert!(beside.markdown().contains("| MPO | 900 | 500 (400–600) | 0.500 |"), "{}", beside.markdown());
}

#[test]
fn a_score_after_fewer_steps_than_others_is_marked_and_many_tasks_go_downwards() {
    let records = [
        run_of(Algorithm::Mpo, "walker-walk", 0, true, &[(2000, [900.0; 2])]),
        run_of(Algorithm::Ppo, "walker-walk", 0, false, &[(1000, [30.0; 2])]),
        run_of(Algorithm::Mpo, "walker-run", 0, true, &[(2000, [100.0; 2])]),
        run_of(Algorithm::Mpo, "walker-stand", 0, true, &[(2000, [100.0; 2])]),
    ];
    let text = comparison(&rows(&records)).text();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["Task", "MPO", "PPO"]);
    assert_eq!(lines[4], ["walker-walk", "900", "30", "@", "1k"], "{text}");
    assert_eq!(lines[5][..2], ["Mean,", "normalised"]);
}

#[test]
fn a_normalised_score_is_zero_at_random_and_one_at_the_top() {
    for (task, score, random, expected) in [
        ("walker-walk", 40.0, Some(40.0), 0.0),
        ("walker-walk", 1000.0, Some(40.0), 1.0),
        ("walker-walk", 250.0, None, 0.25),
        ("example/catch", 0.25, Some(-0.5), 0.5),
        ("example/pendulum", 50.0, None, 0.25),
        ("atari/boxing", 12.1, None, 1.0),
    ] {
        let found = normalised(task, score, random).expect("the task has a scale");
        assert!((found - expected).abs() < 1e-12, "{task} {score}: {found}");
    }
    assert_eq!(normalised("atari/alien", 100.0, Some(10.0)), None, "nobody measured a random policy there");
}

/// Two games, one of them with three seeds, and a task of the suite.
fn mixed() -> Vec<Record> {
    vec![
        run("walker-walk", 0, true, &[(0, [0.0; 2]), (1000, [500.0; 2])]),
        run("atari/boxing", 0, true, &[(0, [-30.0; 2]), (1000, [20.0, 30.0]), (2000, [10.0; 2])]),
        run("atari/boxing", 1, true, &[(0, [-30.0; 2]), (1000, [5.0; 2]), (2000, [15.0; 2])]),
        run("atari/boxing", 2, true, &[(0, [50.0; 2]), (1000, [0.0; 2]), (2000, [0.0; 2])]),
        run("atari/pong", 0, false, &[(0, [-21.0; 2]), (2000, [-20.0, -19.0])]),
    ]
}

#[test]
fn games_have_a_table_of_their_own_with_the_best_evaluation() {
    let all = rows(&mixed());
    let order: Vec<&str> = all.iter().map(|row| row.task.as_str()).collect();
    assert_eq!(order, ["walker-walk", "atari/pong", "atari/boxing"]);
    let text = text(&all);
    let line = |start: &str| -> Vec<&str> {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}:\n{text}"));
        line.split_whitespace().collect()
    };
    // The bests are 25, 15 and 0, since 50 was the untrained policy's, the last ones 10, 15 and 0.
    let boxing = line("Boxing");
    assert_eq!(boxing[..9], ["Boxing", "MPO", "8k", "3", "15.0", "7.5", "to", "20.0", "10.0"]);
    assert_eq!(boxing[10..15], ["12.1", "88.0", "98.9", "97.8", "82.0"]);
    let pong = line("Pong (unfinished)");
    assert_eq!(pong[2..7], ["MPO", "8k", "1", "-19.5", "–"]);
    // A table of the suite first, and no game in it.
    let walker = text.find("walker-walk*").expect("the suite's table");
    assert!(text.find("Game ").is_some_and(|games| games > walker), "{text}");
    assert_eq!(text.matches("Boxing").count(), 1, "{text}");
    assert!(text.contains("unfinished: ") && text.contains("200M frames"), "{text}");
}

#[test]
fn a_games_mean_is_over_human_normalised_scores() {
    let all = rows(&mixed());
    let [others, _, games] = split(&all);
    assert_eq!((others.len(), games.len()), (1, 2));
    let markdown = markdown(&games);
    let line = markdown.lines().find(|line| line.starts_with("| mean of 2 games")).expect("there are two games");
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let of = |pong, boxing| {
        let part = |task, score| atari::human_normalised(task, score).expect("both are known");
        format!("{:.0} %", 50.0 * (part("atari/pong", pong) + part("atari/boxing", boxing)))
    };
    assert_eq!(cells[5], of(-19.5, 15.0), "best");
    assert_eq!(cells[7..10], [of(-19.5, 10.0).as_str(), "0 %", "100 %"], "last, random, human: {line}");
    assert_eq!(cells[13..15], [of(20.9, 82.0), of(-19.5, 15.0)], "the paper's MPO, and ours again");
    assert!(!super::markdown(&games[1..]).contains("mean of"), "one game has no mean");
}

#[test]
fn games_export_their_own_fields() {
    let all = rows(&mixed());
    let files = csv_files(&all);
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["", "-atari"]);
    assert!(files[0].1.starts_with("task,learner,algorithm,headline,") && files[0].1.lines().count() == 2);
    let boxing = files[1].1.lines().nth(2).expect("Boxing is the second game");
    assert!(boxing.starts_with("atari/boxing,MPO,mpo,8000,2000,3,true,15.0,7.5,20.0,10.0,5.0,12.5,"), "{boxing}");
    assert!(boxing.contains(",12.1,88.0,98.9,97.8,82.0,"), "{boxing}");
    assert_eq!(csv_files(&split(&all)[2]), [("", files[1].1.clone())], "games alone need no name of their own");

    let parsed: serde_json::Value = serde_json::from_str(&json(&all)).expect("the export is JSON");
    assert_eq!((&parsed[0]["task"], &parsed[2]["best"]), (&"walker-walk".into(), &15.0.into()));
    assert_eq!(parsed[2]["published"][4]["source"], "Abdolmaleki et al. 2018, Table 1");
    assert_eq!(parsed[0]["frames"], serde_json::Value::Null);
}

#[test]
fn learners_are_compared_on_games_by_the_human_scale() {
    let records = [
        run_of(Algorithm::Mpo, "atari/boxing", 0, true, &[(1000, [12.1; 2])]),
        run_of(Algorithm::Ppo, "atari/boxing", 0, true, &[(1000, [6.0; 2])]),
        // Without a random policy and a human score there is no scale.
        run_of(Algorithm::Mpo, "atari/alien", 0, true, &[(1000, [700.0; 2])]),
        run_of(Algorithm::Ppo, "atari/alien", 0, true, &[(1000, [600.0; 2])]),
    ];
    let rows = rows(&records);
    let beside = comparison(&rows);
    assert_eq!((beside.tasks.as_slice(), beside.common), (["atari/boxing", "atari/alien"].as_slice(), 1));
    let means: Vec<f64> = beside.lines.iter().filter_map(|line| line.mean).collect();
    assert!((means[0] - 1.0).abs() < 1e-12 && means[1] < 0.6, "{means:?}");
    assert!(beside.text().contains("in a game the human score"), "{}", beside.text());
    assert!(beside.text().contains("12.1"), "{}", beside.text());
}
