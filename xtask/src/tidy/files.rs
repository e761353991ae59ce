//! What must not be in the repository at all.

use super::{File, Finding, has_extension};
use crate::setup;

/// Libraries, packages, models and game files: set-up fetches them, or a build makes them.
const FETCHED: [&str; 14] =
    ["a", "a26", "bin", "dll", "dylib", "exe", "o", "onnx", "rom", "safetensors", "so", "whl", "xml", "zip"];

/// C++ of this repository's own.
const OWN_CPP: [&str; 2] = ["crates/mpo-envs/ale/", "crates/mpo-nets/src/cuda/"];
const CPP: [&str; 10] = ["c", "cc", "cpp", "cu", "cxx", "h", "hh", "hpp", "hxx", "ins"];

/// What may be in the repository without being text.
const PICTURES: [&str; 2] = ["gif", "png"];

/// Models that this repository made itself.
const OWN_MODELS: &str = "crates/mpo-envs/src/examples/";

const MOST_BYTES: usize = 1 << 20;

/// Put together here so that this file does not hold what it looks for.
const HOSTS: [&str; 6] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("deb.debian", ".org"),
];

/// Where the environments, and the CUDA learner, say what they look for in the cache.
const ASSETS: &str = "crates/mpo-envs/src/assets.rs";
const NVRTC: &str = "crates/mpo-nets/src/cuda/nvrtc.rs";

/// Cargo writes its registry's address into the lock file itself.
const NAMES_ITS_REGISTRY: &str = "Cargo.lock";

/// Neither the Arcade Learning Environment's code, which is under the GPL, nor a game's bytes under whatever name.
pub(super) fn nothing_of_the_emulator(files: &[File]) -> Vec<Finding> {
    let marks = [concat!("Bradford W", ". Mott"), concat!("A.L.E (Arcade", " Learning Environment)")];
    let mut findings = Vec::new();
    for file in files {
        let own = OWN_CPP.iter().any(|folder| file.path.starts_with(folder));
        if !own && CPP.iter().any(|extension| has_extension(&file.path, extension)) {
            findings.push(Finding::new(
                file,
                0,
                format!("C++ of our own stands in {}, and there is no other", OWN_CPP.join(" and ")),
            ));
        }
        if file.text().is_none() && !PICTURES.iter().any(|extension| has_extension(&file.path, extension)) {
            findings.push(Finding::new(file, 0, "neither text nor picture: games and libraries are not checked in"));
        }
        for line in marks.iter().flat_map(|mark| lines_with(file, mark)) {
            findings.push(Finding::new(
                file,
                line,
                "the head of a file of ALE's or Stella's: the fetched package holds it",
            ));
        }
    }
    findings
}

/// No binary, package or model of others is checked in, under its own name or inside a text.
pub(super) fn no_fetched_things(files: &[File]) -> Vec<Finding> {
    let model = concat!("<mujoco", " model=");
    let mut findings = Vec::new();
    for file in files {
        let versioned_library = file.path.contains(".so.");
        let own = file.path.starts_with(OWN_MODELS) && has_extension(&file.path, "xml");
        if versioned_library || !own && FETCHED.iter().any(|extension| has_extension(&file.path, extension)) {
            findings.push(Finding::new(file, 0, "fetched and built files are not checked in"));
        }
        for line in lines_with(file, model) {
            findings.push(Finding::new(file, line, "a copied MuJoCo model: the fetched package holds it"));
        }
    }
    findings
}

/// Nothing that every clone would carry for ever.
pub(super) fn no_large_files(files: &[File]) -> Vec<Finding> {
    let large = files.iter().filter(|file| file.bytes.len() > MOST_BYTES);
    large.map(|file| Finding::new(file, 0, format!("{} bytes: more than 1 MiB", file.bytes.len()))).collect()
}

/// Packages come from whatever index the user's tools are set up for.
pub(super) fn no_registry_hosts(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path != NAMES_ITS_REGISTRY) {
        for host in HOSTS {
            for line in lines_with(file, host) {
                findings.push(Finding::new(file, line, "names a package registry's host"));
            }
        }
    }
    findings
}

/// What set-up fetches is what is looked for: the two share no code, so that each builds without the other.
pub(super) fn set_up_and_environments_agree(files: &[File]) -> Vec<Finding> {
    let (Ok(folders), Ok(cuda)) = (setup::folders(), setup::cuda_folders()) else { return Vec::new() };
    let mut findings = Vec::new();
    for (path, folders) in [(ASSETS, folders), (NVRTC, cuda)] {
        for file in files.iter().filter(|file| file.path == path) {
            for folder in folders.iter().filter(|folder| lines_with(file, folder).is_empty()) {
                findings.push(Finding::new(
                    file,
                    0,
                    format!("does not look for {folder}, which the pins in xtask/ make set-up fetch"),
                ));
            }
        }
    }
    findings
}

fn lines_with(file: &File, part: &str) -> Vec<usize> {
    let lines = file.text().unwrap_or_default().lines().enumerate();
    lines.filter(|(_, line)| line.contains(part)).map(|(index, _)| index + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{places, tree};
    use super::*;

    #[test]
    fn fetched_things_are_found_by_name_and_by_content() {
        let model = format!("let a = 1;\nlet xml = \"{HEAD}cheetah'>\";\n");
        let files = tree(&[
            ("lib/libmujoco.so.3.17.0", ""),
            ("assets/cheetah.xml", ""),
            ("roms/pong.BIN", ""),
            ("src/so.rs", "<mujoco>"),
            ("crates/mpo-envs/src/examples/arm.xml", "<mujoco>"),
            ("src/models.rs", &model),
        ]);
        let found = places(&no_fetched_things(&files));
        assert_eq!(found, ["lib/libmujoco.so.3.17.0:0", "assets/cheetah.xml:0", "roms/pong.BIN:0", "src/models.rs:2"]);
    }

    const HEAD: &str = concat!("<mujoco", " model='");

    #[test]
    fn code_and_games_of_the_emulator_are_found() {
        let header = format!("// Copyright (c) 1995-2007 by {} and the team\n", concat!("Bradford W", ". Mott"));
        let mut files = tree(&[
            ("crates/mpo-envs/ale/shim.cpp", "int x;"),
            ("crates/mpo-envs/ale/TIA.cxx", &header),
            ("vendor/M6502.ins", ""),
            ("notes.md", &header),
        ]);
        let bytes = |path: &str| File { path: path.to_owned(), bytes: vec![0xff, 0xfe, 0x80] };
        files.extend([bytes("docs/pong.dat"), bytes("docs/curve.png")]);
        let found = places(&nothing_of_the_emulator(&files));
        assert_eq!(found, ["crates/mpo-envs/ale/TIA.cxx:1", "vendor/M6502.ins:0", "notes.md:1", "docs/pong.dat:0"]);
    }

    #[test]
    fn a_large_file_is_found() {
        let (fits, large) = ("x".repeat(MOST_BYTES), "x".repeat(MOST_BYTES + 1));
        assert_eq!(places(&no_large_files(&tree(&[("a.csv", &fits), ("b.csv", &large)]))), ["b.csv:0"]);
    }

    #[test]
    fn a_pin_that_only_one_side_knows_is_found() {
        let text = "const A: &str = \"mujoco-3.17.0/libmujoco.so.3.17.0\";\nconst B: &str = \"dm_control-1.0.49\";\n\
                    const C: &str = \"ale_py-0.12.1-built\";";
        let found = set_up_and_environments_agree(&tree(&[(ASSETS, text)]));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("does not look for dm_control-1.0.50"), "{found:?}");
    }

    #[test]
    fn hosts_are_found_everywhere_but_in_the_lock_file() {
        let text = format!("one\nsee https://{}/x\n", HOSTS[1]);
        let files = tree(&[("README.md", text.as_str()), (NAMES_ITS_REGISTRY, &text)]);
        assert_eq!(places(&no_registry_hosts(&files)), ["README.md:2"]);
    }
}
