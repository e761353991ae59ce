//! Every case of every file in `tests/golden/*.json`, in `f64` and `f32`.
//!
//! The files hold results of independent implementations (acme, rlax, optax, torch, scipy, mpmath). A file dropped into the
//! folder is picked up at run time; a case is recognised by its keys.

#![allow(clippy::expect_used, reason = "a golden file that cannot be read is a failed test")]

#[path = "golden/harness.rs"]
mod harness;

#[path = "golden/baselines.rs"]
mod baselines;
#[path = "golden/categorical.rs"]
mod categorical;
#[path = "golden/estep.rs"]
mod estep;
#[path = "golden/mstep_diagonal.rs"]
mod mstep_diagonal;
#[path = "golden/mstep_full.rs"]
mod mstep_full;
#[path = "golden/retrace.rs"]
mod retrace;

use std::path::Path;

use harness::{Case, Tally, verify};

#[test]
fn every_case_of_every_file_agrees() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the golden folder")
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(files.len() >= 10, "only {} golden files in {}", files.len(), folder.display());
    let mut tally = Tally::default();
    for path in files {
        let file = path.file_name().expect("a file name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a readable golden file");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let cases = json["cases"].as_array().unwrap_or_else(|| panic!("{file} has no cases"));
        assert!(!cases.is_empty(), "{file} is empty");
        for case in cases {
            dispatch(&file, case, &mut tally);
        }
    }
    tally.report();
}

fn dispatch(file: &str, json: &serde_json::Value, tally: &mut Tally) {
    let name = format!("{file}: {}", json["name"].as_str().unwrap_or("unnamed"));
    let case = Case::new(name, json);
    let has = |key: &str| json.get(key).is_some();
    if has("kl_sup") {
        verify::<estep::EStepCase>(&case, tally);
    } else if has("online_stddev") {
        verify::<mstep_diagonal::Diagonal>(&case, tally);
    } else if has("old_chol") {
        verify::<mstep_full::Full>(&case, tally);
    } else if has("log_rho") {
        verify::<retrace::Continuous>(&case, tally);
    } else if has("mu_taken") {
        verify::<retrace::Discrete>(&case, tally);
    } else if has("online_logits") {
        verify::<categorical::CategoricalCase>(&case, tally);
    } else {
        match json["kind"].as_str() {
            Some("ppo_clip") => verify::<baselines::PpoClip>(&case, tally),
            Some("gae") => verify::<baselines::Gae>(&case, tally),
            Some("dpg") => verify::<baselines::Dpg>(&case, tally),
            Some("adam") => verify::<baselines::AdamCase>(&case, tally),
            kind => panic!("{}: unknown kind of case {kind:?}", case.name),
        }
    }
}
