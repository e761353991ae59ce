use std::path::PathBuf;

use super::*;
use crate::records::Evaluation;

fn run(task: &str, seed: u64, finished: bool, evaluations: &[(u64, [f64; 2])]) -> Record {
    Record {
        dir: PathBuf::from(format!("{task}/seed-{seed}")),
        task: task.to_owned(),
        seed,
        evaluations: evaluations
            .iter()
            .map(|&(step, returns)| Evaluation { step, returns: returns.to_vec() })
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
        headline: true,
        steps: 60_000,
        seeds: 3,
        finished: true,
        median: 812.34,
        lower: 790.0,
        upper: 850.06,
        best: 900.0,
        random: Some(42.25),
        mpo: Some(reference(100_000, 235.5)),
        d4pg: Some(reference(60_000, 300.0)),
    };
    let humanoid = Row {
        task: "humanoid-run".to_owned(),
        headline: false,
        steps: 20_000,
        seeds: 1,
        finished: false,
        median: 1.0,
        lower: 1.0,
        upper: 1.0,
        best: 2.0,
        random: None,
        mpo: None,
        d4pg: None,
    };
    vec![walker, humanoid]
}

#[test]
fn text_is_aligned() {
    let expected = "\
Task                       Steps  Seeds  MPO (ours)          IQR  Random  MPO (published)  D4PG (published)
─────────────────────────  ─────  ─────  ──────────  ───────────  ──────  ───────────────  ────────────────
walker-walk*                 60k      3       812.3  790.0–850.1    42.2     235.5 @ 100k             300.0
humanoid-run (unfinished)    20k      1         1.0            –       –                –                 –

Ours: median over seeds of the mean return of the last evaluation; IQR: 25 % to 75 % quantile over seeds.
Published: mean over seeds, at the same number of environment steps or at the one named.
*: one of the 18 tasks that published MPO figures exist for.
unfinished: no run has reached its end; figures at the latest step that all runs have reached.
";
    assert_eq!(text(&examples()), expected);
}

#[test]
fn markdown_has_a_row_per_task() {
    let expected = "\
| Task | Steps | Seeds | MPO (ours) | IQR | Random | MPO (published) | D4PG (published) |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| walker-walk\\* | 60k | 3 | 812.3 | 790.0–850.1 | 42.2 | 235.5 @ 100k | 300.0 |

Ours: median over seeds of the mean return of the last evaluation; IQR: 25 % to 75 % quantile over seeds.  
Published: mean over seeds, at the same number of environment steps or at the one named.  
\\*: one of the 18 tasks that published MPO figures exist for.
";
    assert_eq!(markdown(&examples()[..1]), expected);
}

#[test]
fn csv_has_full_figures_and_empty_fields() {
    let expected = "\
task,headline,steps,seeds,finished,median,q25,q75,best,random,mpo_steps,mpo_mean,mpo_std,d4pg_steps,d4pg_mean,d4pg_std
walker-walk,true,60000,3,true,812.34,790.0,850.06,900.0,42.25,100000,235.5,1.5,60000,300.0,1.5
humanoid-run,false,20000,1,false,1.0,1.0,1.0,2.0,,,,,,,
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
