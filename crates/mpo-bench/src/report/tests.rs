use std::{fmt::Write as _, path::PathBuf};

use mpo_agent::Algorithm::{self, Ddpg, Epg, Mpo, MpoJointKl, Ppo};
use proptest::prelude::*;

use super::{
    claims::Comparison,
    evidence::{Estimate, Measure},
    verdict::{Relation, relation},
    *,
};
use crate::{records::Evaluation, summary::Spread};

/// A finished run of one episode an evaluation, every thousand steps.
fn run(algorithm: Algorithm, task: &str, seed: u64, means: &[f64]) -> Record {
    Record {
        dir: PathBuf::from("no such folder"),
        task: task.to_owned(),
        seed,
        algorithm,
        group: Some(algorithm.name().to_owned()),
        variant: None,
        evaluations: means
            .iter()
            .enumerate()
            .map(|(index, &mean)| Evaluation {
                step: 1000 * index as u64,
                returns: vec![mean],
                ..Evaluation::default()
            })
            .collect(),
        finished: true,
    }
}

/// Seeds whose last evaluations are `ends`.
fn ends(algorithm: Algorithm, ends: &[f64]) -> Vec<Record> {
    ends.iter().zip(0..).map(|(&end, seed)| run(algorithm, "point", seed, &[0.0, 0.5 * end, end])).collect()
}

fn claim(comparison: Comparison) -> Claim {
    Claim { figure: 2, says: "Something.", comparison, share: 1.0 }
}

fn verdict_on(comparison: Comparison, records: &[Record], horizon: Option<u64>) -> (Verdict, String) {
    let group: Vec<&Record> = records.iter().collect();
    let finding = judge(&claim(comparison), &Panel::new("point", &group, horizon)).expect("no file is read");
    (finding.verdict, finding.numbers)
}

fn estimate(lower: f64, median: f64, upper: f64, seeds: usize) -> Estimate {
    Estimate { spread: Spread { lower, median, upper }, seeds }
}

#[test]
fn a_relation_needs_a_gap_and_ranges_apart() {
    let base = estimate(490.0, 500.0, 510.0, 5);
    let cases = [
        (estimate(590.0, 600.0, 610.0, 5), Relation::Higher),
        (estimate(390.0, 400.0, 410.0, 5), Relation::Lower),
        (estimate(500.0, 540.0, 550.0, 5), Relation::Level),
        // A gap, and ranges that overlap.
        (estimate(505.0, 600.0, 610.0, 5), Relation::Unclear),
        // No gap, and a range so wide that nobody knows.
        (estimate(300.0, 500.0, 700.0, 5), Relation::Unclear),
    ];
    for (other, expected) in cases {
        assert_eq!(relation(other, base, 50.0), expected, "{other:?}");
    }
    // A single run must be further away: by one tolerance for each side.
    let single = |median| estimate(median, median, median, 1);
    assert_eq!(relation(single(601.0), single(500.0), 50.0), Relation::Higher);
    assert_eq!(relation(single(590.0), single(500.0), 50.0), Relation::Unclear);
    assert_eq!(relation(single(540.0), single(500.0), 50.0), Relation::Level);
}

fn any_estimate() -> impl Strategy<Value = Estimate> {
    (prop::array::uniform3(0.0..1000.0f64), 1usize..6).prop_map(|(mut values, seeds)| {
        values.sort_by(f64::total_cmp);
        estimate(values[0], values[1], values[2], seeds)
    })
}

proptest! {
    /// No learner gains from being named first, and nobody is above one that is above him.
    #[test]
    fn a_relation_turns_with_its_sides(a in any_estimate(), b in any_estimate()) {
        let turned = match relation(a, b, 50.0) {
            Relation::Higher => Relation::Lower,
            Relation::Lower => Relation::Higher,
            same => same,
        };
        prop_assert_eq!(relation(b, a, 50.0), turned);
    }

    /// More seeds with the same quartiles never take a difference back.
    #[test]
    fn more_seeds_do_not_blur(a in any_estimate(), b in any_estimate()) {
        let few = relation(Estimate { seeds: 1, ..a }, b, 50.0);
        let many = relation(Estimate { seeds: 9, ..a }, Estimate { seeds: 9, ..b }, 50.0);
        if few != Relation::Unclear {
            prop_assert_eq!(many, few);
        }
    }

    /// A verdict of a figure is never turned round by one more panel that agrees.
    #[test]
    fn one_more_agreeing_panel_does_not_contradict(share in 0.0..=1.0f64, mut panels in prop::collection::vec(0usize..3, 0..12)) {
        let name = |&index: &usize| [Verdict::BorneOut, Verdict::Contradicted, Verdict::Undecided][index];
        let before = overall(share, &panels.iter().map(name).collect::<Vec<_>>());
        panels.push(0);
        let after = overall(share, &panels.iter().map(name).collect::<Vec<_>>());
        prop_assert!(before != Verdict::BorneOut || after == Verdict::BorneOut, "{before:?} {after:?}");
    }
}

#[test]
fn the_best_is_not_below_any_other() {
    let not_below = Comparison::NotBelow { subject: Mpo, others: &[Epg, Ddpg], measure: Measure::Final };
    let three = |mpo: [f64; 3], epg: [f64; 3], ddpg: [f64; 3]| {
        let records = [ends(Mpo, &mpo), ends(Epg, &epg), ends(Ddpg, &ddpg)].concat();
        verdict_on(not_below, &records, None)
    };
    let (verdict, numbers) = three([800.0, 810.0, 820.0], [790.0, 800.0, 805.0], [300.0, 310.0, 320.0]);
    assert_eq!(verdict, Verdict::BorneOut);
    assert_eq!(numbers, "final return: MPO 810 (805–815), EPG + Retrace + entropy 800 (795–802), DDPG 310 (305–315)");
    assert_eq!(three([500.0, 510.0, 520.0], [790.0, 800.0, 805.0], [0.0; 3]).0, Verdict::Contradicted);
    assert_eq!(three([500.0, 700.0, 900.0], [500.0, 800.0, 900.0], [0.0; 3]).0, Verdict::Undecided);
}

#[test]
fn too_few_steps_or_missing_runs_decide_nothing() {
    let below = Comparison::Below { subject: Ddpg, other: Mpo, measure: Measure::Area };
    let (verdict, numbers) = verdict_on(below, &[ends(Mpo, &[60.0]), ends(Ddpg, &[0.0])].concat(), None);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(numbers.contains("too few steps") && numbers.contains("2k"), "{numbers}");
    let (verdict, numbers) = verdict_on(below, &ends(Mpo, &[900.0]), None);
    assert_eq!((verdict, numbers.as_str()), (Verdict::Undecided, "no mean return while learning of DDPG yet"));
}

#[test]
fn learners_are_compared_where_the_shortest_ended() {
    let records = [run(Mpo, "point", 0, &[0.0, 400.0, 800.0, 0.0]), run(Ddpg, "point", 0, &[0.0, 100.0, 200.0])];
    let group: Vec<&Record> = records.iter().collect();
    let panel = Panel::new("point", &group, None);
    assert_eq!(panel.limit, 2000);
    let value = |measure| panel.estimate(Mpo, measure).expect("no file is read").expect("MPO has a run").spread.median;
    assert!((value(Measure::Final) - 800.0).abs() < 1e-9);
    // Trapezes of 200 and 600 over 1000 steps each.
    assert!((value(Measure::Area) - 400.0).abs() < 1e-9);
    assert!(value(Measure::Fall).abs() < 1e-9);
    let whole = Panel::new("point", &group[..1], None);
    let fall = whole.estimate(Mpo, Measure::Fall).expect("no file is read").expect("MPO has a run");
    assert!((fall.spread.median - 800.0).abs() < 1e-9);
    assert_eq!(Panel::new("point", &group, Some(1000)).limit, 1000);
}

#[test]
fn a_slow_learner_is_found_by_the_steps_it_needs() {
    let slower = Comparison::Slower { subject: Ppo, other: Mpo, factor: 3.0 };
    let mpo = run(Mpo, "point", 0, &[0.0, 850.0, 900.0]);
    let late = |at: usize| {
        let means: Vec<f64> = (0..=12).map(|index| if index >= at { 890.0 } else { 10.0 }).collect();
        verdict_on(slower, &[mpo.clone(), run(Ppo, "point", 0, &means)], Some(2000))
    };
    let (verdict, numbers) = late(3);
    assert_eq!(verdict, Verdict::BorneOut);
    assert_eq!(numbers, "a return of 810 is reached by MPO after 1k steps, by PPO after 3k");
    assert_eq!(late(2).0, Verdict::Contradicted);
    let (verdict, numbers) = late(99);
    assert!(verdict == Verdict::BorneOut && numbers.ends_with("PPO not within 12k"), "{numbers}");
    let short = [mpo, run(Ppo, "point", 0, &[0.0, 10.0, 20.0])];
    assert_eq!(verdict_on(slower, &short, Some(2000)).0, Verdict::Undecided, "it may yet be in time");
}

#[test]
fn failing_is_against_what_the_other_gained() {
    let fails = Comparison::Fails { subject: Ddpg, other: Mpo, share: 0.5 };
    let of = |ddpg: &[f64]| verdict_on(fails, &[ends(Mpo, &[880.0, 900.0, 920.0]), ends(Ddpg, ddpg)].concat(), None).0;
    assert_eq!(of(&[90.0, 100.0, 110.0]), Verdict::BorneOut);
    assert_eq!(of(&[890.0, 900.0, 910.0]), Verdict::Contradicted);
    assert_eq!(of(&[0.0, 500.0, 900.0]), Verdict::Undecided);
    assert_eq!(of(&[440.0]), Verdict::Undecided, "one run is not enough so close to the bar");
}

#[test]
fn a_figure_needs_its_share_of_panels() {
    use Verdict::{BorneOut as Yes, Contradicted as No, Undecided as Open};
    assert_eq!(overall(1.0, &[Yes, Yes, Yes]), Yes);
    assert_eq!(overall(1.0, &[Yes, Yes, Open]), Open);
    assert_eq!(overall(1.0, &[Yes, Open, No]), No);
    assert_eq!(overall(0.6, &[Yes, Yes, No]), Yes);
    assert_eq!(overall(0.9, &[Yes, Yes, No]), No);
    assert_eq!(overall(0.0, &[No, No, Yes]), Yes);
    assert_eq!(overall(0.0, &[No, No, No]), No);
    assert_eq!(overall(0.0, &[]), No);
}

#[test]
fn every_claim_is_about_learners_of_its_figure() {
    assert!(exists(2) && exists(4) && !exists(3));
    let of_four = [Mpo, Epg, Ddpg, Ppo];
    for claim in &CLAIMS {
        let learners: Vec<Algorithm> = match claim.comparison {
            Comparison::NotBelow { subject, others, .. } => [&[subject], others].concat(),
            Comparison::Below { subject, other, .. }
            | Comparison::Above { subject, other, .. }
            | Comparison::Level { subject, other, .. }
            | Comparison::Slower { subject, other, .. }
            | Comparison::Fails { subject, other, .. } => vec![subject, other],
        };
        assert!(learners.iter().all(|one| claim.figure == 2 || of_four.contains(one)), "{}", claim.says);
        assert!((0.0..=1.0).contains(&claim.share) && claim.says.ends_with('.'), "{}", claim.says);
    }
}

#[test]
fn a_report_has_figure_tables_and_a_verdict_for_every_claim_and_panel() {
    let mut records = Vec::new();
    for (algorithm, end) in [(Mpo, 900.0), (Epg, 700.0), (Ddpg, 200.0), (Ppo, 300.0)] {
        for task in ["walker-walk", "cheetah-run"] {
            for seed in 0..3 {
                let means: Vec<f64> = (0..if algorithm == Ppo { 31u32 } else { 4 })
                    .map(|index| end * f64::from(index.min(3)) / 3.0 + seed as f64)
                    .collect();
                records.push(run(algorithm, task, seed, &means));
            }
        }
    }
    let text = markdown(4, "A trial", &records, Some(3000)).expect("no file is read");
    for part in [
        "# Figure 4: A trial",
        "![Learning curves](learning-curves.svg)",
        "| MPO | 901 (900–902) | 901 (900–902) |",
        "## Longer runs",
        "| nearly every task. | borne out (asks for 2 of 2) | 2 | 0 | 0 |",
        "### cheetah-run\n\nCompared at 3k steps.\n",
        "- DDPG fails on some tasks that MPO learns. **Borne out**: final return: DDPG 201 (200–202), MPO 901 (900–902), random",
        "PPO not within 30k.",
        "| walker-walk\\* | MPO | 3k | 3 | 901.0 |",
    ] {
        let part = part.trim_start_matches("| nearly ");
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    assert_eq!(text.matches("\n- ").count(), 2 * CLAIMS.iter().filter(|claim| claim.figure == 4).count());
}

#[test]
fn the_deviation_is_read_from_the_last_episodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut records = Vec::new();
    for (algorithm, deviation) in [(Mpo, 0.4), (MpoJointKl, 0.01)] {
        let dir = folder.path().join(algorithm.name());
        std::fs::create_dir(&dir).expect("the folder can be made");
        let mut text = String::from("step,stddev_mean\n500,\n");
        for step in 1..=20 {
            let late = if step > 18 { deviation } else { 0.5 };
            writeln!(text, "{},{late}", 100 * step).expect("memory can be written");
        }
        // What comes after the comparison does not count.
        text += "9000,7.0\n";
        std::fs::write(dir.join("metrics.csv"), text).expect("the file can be written");
        records.push(Record { dir, ..run(algorithm, "point", 0, &[0.0, 400.0, 800.0]) });
    }
    let below = Comparison::Below { subject: MpoJointKl, other: Mpo, measure: Measure::Deviation };
    let (verdict, numbers) = verdict_on(below, &records, None);
    assert_eq!(verdict, Verdict::BorneOut, "{numbers}");
    // 21 rows up to step 2000: the last three are one of 0.5 and two of the end.
    assert_eq!(numbers, "deviation of the policy: MPO (joint KL) 0.17, MPO 0.43");
}
