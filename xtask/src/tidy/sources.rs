//! What must not be in Rust code.

use super::{File, Finding, code, listed};

/// Where memory safety rests on us: foreign functions, a device's memory and kernels, the matrix product's raw pointers and its
/// peer's, threads that borrow their caller's data, a mapping's address, three tests' counting allocators.
const UNSAFE_MODULES: [&str; 13] = [
    "crates/mpo-envs/src/atari/sys.rs",
    "crates/mpo-envs/src/mujoco/sys/",
    "crates/mpo-envs/tests/allocations.rs",
    "crates/mpo-nets/examples/learner/ceiling.rs",
    "crates/mpo-nets/src/cuda/driver.rs",
    "crates/mpo-nets/src/cuda/meeting.rs",
    "crates/mpo-nets/src/cuda/emulator.rs",
    "crates/mpo-nets/src/cuda/nvrtc.rs",
    "crates/mpo-nets/src/matmul/",
    "crates/mpo-nets/src/threads.rs",
    "crates/mpo-nets/tests/allocations.rs",
    "crates/mpo-replay/src/mapping.rs",
    "crates/mpo-replay/tests/allocations.rs",
];

/// The crates' roots that forbid `unsafe` for good.
const UNSAFE_FORBIDDEN: [&str; 4] =
    ["crates/mpo-agent/src/lib.rs", "crates/mpo-bench/src/main.rs", "crates/mpo-core/src/lib.rs", "xtask/src/main.rs"];

/// Who may read a clock, beside examples and benches: only to report, never to decide.
const CLOCK_FILES: [&str; 3] = ["crates/mpo-agent/src/metrics.rs", "crates/mpo-bench/src/", "xtask/peers/"];

/// Generated, not written.
const LONG_FILES: [&str; 1] = ["crates/mpo-envs/src/mujoco/sys/bindings.rs"];

const MOST_LINES: usize = 500;

/// `unsafe` is in the modules listed above, and nowhere else.
pub(super) fn no_unsafe_outside_its_modules(files: &[File]) -> Vec<Finding> {
    words(files, |path| !listed(path, &UNSAFE_MODULES), &["unsafe"], "stands only in the modules listed for it")
}

/// Results and run directories do not depend on when or how fast something ran.
pub(super) fn no_clock_outside_its_files(files: &[File]) -> Vec<Finding> {
    let measures = |path: &str| path.contains("/examples/") || path.contains("/benches/");
    words(
        files,
        |path| !listed(path, &CLOCK_FILES) && !measures(path),
        &["Instant", "SystemTime", "UNIX_EPOCH"],
        "reads a clock, which only reports may",
    )
}

/// mpo-core reads and writes nothing but its arguments.
pub(super) fn the_core_has_no_effects(files: &[File]) -> Vec<Finding> {
    let effects =
        ["std::env", "std::fs", "std::io", "std::net", "std::process", "std::thread", "std::time", "static mut"];
    words(
        files,
        |path| path.starts_with("crates/mpo-core/src/"),
        &effects,
        "is an effect, and mpo-core is pure mathematics",
    )
}

fn words(files: &[File], applies: impl Fn(&str) -> bool, words: &[&str], why: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && applies(&file.path)) {
        let code = code::only(file.text().unwrap_or_default());
        for (line, word) in code::lines_with(&code, words) {
            findings.push(Finding::new(file, line, format!("`{word}` {why}")));
        }
    }
    findings
}

/// The promise is in the code, where the compiler keeps it.
pub(super) fn unsafe_is_forbidden_where_promised(files: &[File]) -> Vec<Finding> {
    let promised = files.iter().filter(|file| UNSAFE_FORBIDDEN.contains(&file.path.as_str()));
    promised
        .filter(|file| !code::only(file.text().unwrap_or_default()).contains("#![forbid(unsafe_code)]"))
        .map(|file| Finding::new(file, 0, "the crate's root must say #![forbid(unsafe_code)]"))
        .collect()
}

/// A file is cut by meaning before it grows past what one can hold in mind.
pub(super) fn no_file_is_too_long(files: &[File]) -> Vec<Finding> {
    let written = files.iter().filter(|file| file.is_rust() && !listed(&file.path, &LONG_FILES));
    written
        .filter_map(|file| {
            let lines = file.text().unwrap_or_default().lines().count();
            (lines > MOST_LINES)
                .then(|| Finding::new(file, 0, format!("{lines} lines: cut it by meaning below {MOST_LINES}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{places, tree};
    use super::*;

    #[test]
    fn unsafe_is_found_outside_its_modules_only() {
        let text = "// unsafe\nfn f() { unsafe { g() } }\n";
        let files = tree(&[
            ("crates/mpo-envs/src/mujoco/sys/library.rs", text),
            ("crates/mpo-replay/src/ring.rs", text),
            ("crates/mpo-core/tests/a.rs", text),
            ("docs/a.md", text),
        ]);
        let found = no_unsafe_outside_its_modules(&files);
        assert_eq!(places(&found), ["crates/mpo-replay/src/ring.rs:2", "crates/mpo-core/tests/a.rs:2"]);
    }

    #[test]
    fn a_crate_that_promised_must_forbid() {
        let files = tree(&[
            ("crates/mpo-core/src/lib.rs", "//! #![forbid(unsafe_code)]\n"),
            ("crates/mpo-agent/src/lib.rs", "#![forbid(unsafe_code)]\n"),
            ("crates/mpo-envs/src/lib.rs", ""),
        ]);
        assert_eq!(places(&unsafe_is_forbidden_where_promised(&files)), ["crates/mpo-core/src/lib.rs:0"]);
    }

    #[test]
    fn clocks_are_found_where_results_are_made() {
        let text = "use std::time::Instant;\nlet instantly = 1;\n";
        let files = tree(&[
            ("crates/mpo-agent/src/run.rs", text),
            ("crates/mpo-bench/src/progress.rs", text),
            ("crates/mpo-nets/examples/speed.rs", text),
        ]);
        assert_eq!(places(&no_clock_outside_its_files(&files)), ["crates/mpo-agent/src/run.rs:1"]);
    }

    #[test]
    fn the_core_may_not_touch_the_world() {
        let text = "use std::fs;\nuse std::fmt;\n";
        let files = tree(&[("crates/mpo-core/src/a.rs", text), ("crates/mpo-core/tests/golden.rs", text)]);
        assert_eq!(places(&the_core_has_no_effects(&files)), ["crates/mpo-core/src/a.rs:1"]);
    }

    #[test]
    fn long_files_are_found_but_for_generated_ones() {
        let (fits, long) = ("x\n".repeat(MOST_LINES), "x\n".repeat(MOST_LINES + 1));
        let files = tree(&[("a.rs", &fits), ("b.rs", &long), ("b.md", &long), (LONG_FILES[0], &long)]);
        assert_eq!(places(&no_file_is_too_long(&files)), ["b.rs:0"]);
    }
}
