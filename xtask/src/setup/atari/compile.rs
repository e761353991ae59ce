//! Building ALE: a few large translation units, so that the compiler can look through the emulator and needs seconds.

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Our part of the library: C functions over ALE's classes, and what it asks of zlib.
const SHIM: &str = include_str!("../../../../crates/mpo-envs/ale/shim.cpp");
const ZLIB: &str = include_str!("../../../../crates/mpo-envs/ale/zlib.h");

/// No `-march`: the emulator gains nothing by it.
const OPTIONS: [&str; 6] = ["-std=c++17", "-O2", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-w"];

/// Translation units, and the folders of `src/ale` whose files each is made of.
const UNITS: [(&str, &[&str]); 3] =
    [("emulator", &["emucore"]), ("games", &["games", "games/supported"]), ("interface", &["common", "environment"])];

/// The compilers that are tried when `$CXX` is not set.
const COMPILERS: [&str; 3] = ["c++", "g++", "clang++"];

/// A hash of everything in this checkout that the library is made of.
pub(super) fn recipe() -> String {
    let mut hasher = Sha256::new();
    for part in [SHIM, ZLIB, &OPTIONS.join(" "), &format!("{UNITS:?}")] {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Compiles the package that is unpacked in `source` into the library `library`.
///
/// # Errors
/// When there is no compiler, or it fails; the message holds the beginning of what it said.
pub(super) fn build(source: &Path, library: &Path) -> Result<()> {
    build_by(&chosen()?, source, library)
}

/// `$CXX`, or else the first of [`COMPILERS`] that there is.
///
/// # Errors
/// When there is none.
pub(super) fn chosen() -> Result<String> {
    let set = std::env::var("CXX").ok().filter(|set| !set.is_empty());
    compiler(&set.as_deref().map_or(COMPILERS.to_vec(), |set| vec![set]))
}

/// The first of the compilers that can be started.
fn compiler(candidates: &[&str]) -> Result<String> {
    let starts = |name: &str| {
        let command = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        command.is_ok_and(|status| status.success())
    };
    candidates.iter().find(|name| starts(name)).map(|name| (*name).to_owned()).with_context(|| {
        format!(
            "the Atari games need a C++17 compiler, and none of {} starts: install one (Debian's package g++), or set CXX. \
             Everything else works without it",
            candidates.join(", ")
        )
    })
}

fn build_by(compiler: &str, source: &Path, library: &Path) -> Result<()> {
    let made = source.join("made");
    write_sources(source, &made)?;
    eprintln!("building the Arcade Learning Environment with {compiler}, about fifteen seconds of processor time");
    // All units at once; the failure of one is told after all have ended.
    let mut started: Vec<(&str, Child)> = Vec::new();
    for (unit, _) in UNITS {
        let mut command = Command::new(compiler);
        command.args(OPTIONS).arg("-I").arg(&made).arg("-I").arg(source.join("src"));
        command.arg("-c").arg(made.join(format!("{unit}.cpp"))).arg("-o").arg(made.join(format!("{unit}.o")));
        let said = fs::File::create(made.join(format!("{unit}.txt"))).context("cannot write to the cache")?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        started.push((unit, command.spawn().with_context(|| format!("cannot start {compiler}"))?));
    }
    let mut failed = None;
    for (unit, mut child) in started {
        let status = child.wait().with_context(|| format!("lost {compiler}"))?;
        if !status.success() {
            failed = failed.or(Some((unit, status)));
        }
    }
    if let Some((unit, status)) = failed {
        let said = fs::read_to_string(made.join(format!("{unit}.txt"))).unwrap_or_default();
        let beginning: Vec<&str> = said.lines().take(20).collect();
        bail!(
            "{compiler} cannot build ALE's {unit} ({status}):\n{}\n\nAnother compiler can be named by CXX; GCC 12 works",
            beginning.join("\n")
        );
    }
    let mut link = Command::new(compiler);
    link.arg("-shared").arg("-o").arg(library).args(UNITS.map(|(unit, _)| made.join(format!("{unit}.o"))));
    let output = link.stdin(Stdio::null()).output().with_context(|| format!("cannot start {compiler}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{compiler} cannot link ALE ({}):\n{said}", output.status);
    Ok(())
}

/// Writes the translation units and the headers that the package lacks to `made`.
fn write_sources(source: &Path, made: &Path) -> Result<()> {
    let write = |name: &str, text: &str| -> Result<()> {
        let path = made.join(name);
        fs::create_dir_all(path.parent().unwrap_or(made)).context("cannot write to the cache")?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let version = super::Source::pinned()?.version;
    write("zlib.h", ZLIB)?;
    write("shim.cpp", SHIM)?;
    write(
        "version.hpp",
        &format!("#pragma once\n#define ALE_VERSION \"{version}\"\n#define ALE_VERSION_GIT_SHA \"source package\"\n"),
    )?;
    // This header closes its namespaces behind its include guard, so that it can only be included once.
    let header = "ale/emucore/NullDev.hxx";
    let behind = source.join("src").join(header);
    write(header, &format!("#pragma once\n#include \"{}\"\n", behind.display()))?;
    for (unit, folders) in UNITS {
        let mut files = Vec::new();
        for folder in folders {
            files.extend(sources(source, folder)?);
        }
        files.sort();
        if unit == "interface" {
            files.extend(["ale/ale_interface.cpp".to_owned(), "shim.cpp".to_owned()]);
        }
        let mut text = String::new();
        for file in files {
            writeln!(text, "#include \"{file}\"").context("a string takes any text")?;
        }
        write(&format!("{unit}.cpp"), &text)?;
    }
    Ok(())
}

/// The C++ files of a folder of the package, as they are included.
fn sources(source: &Path, folder: &str) -> Result<Vec<String>> {
    let place: PathBuf = source.join("src/ale").join(folder);
    let entries = fs::read_dir(&place).with_context(|| format!("the package has no {}", place.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let extension = Path::new(&name).extension();
        if extension.is_some_and(|extension| extension == "cpp" || extension == "cxx") {
            files.push(format!("ale/{folder}/{name}"));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_compiler_the_error_names_the_cure() {
        let error = compiler(&["no-such-compiler", "nor-this"]).expect_err("there are none").to_string();
        assert!(error.contains("none of no-such-compiler, nor-this starts"), "{error}");
        assert!(error.contains("Debian's package g++") && error.contains("Everything else works"), "{error}");
        assert_eq!(compiler(&["no-such-compiler", "cargo"]).expect("cargo starts"), "cargo");
    }

    #[test]
    fn a_failing_compiler_is_quoted() {
        let source = tempfile::tempdir().expect("a temporary folder");
        for (_, folders) in UNITS {
            for folder in folders {
                fs::create_dir_all(source.path().join("src/ale").join(folder)).expect("writable");
            }
        }
        fs::write(source.path().join("src/ale/emucore/TIA.cxx"), "?").expect("writable");
        let library = source.path().join("x.so");
        // Cargo knows none of a compiler's options.
        let error = build_by("cargo", source.path(), &library).expect_err("no compiler").to_string();
        assert!(error.starts_with("cargo cannot build ALE's emulator (") && error.contains("error:"), "{error}");
        let unit = fs::read_to_string(source.path().join("made/emulator.cpp")).expect("it was written");
        assert_eq!(unit, "#include \"ale/emucore/TIA.cxx\"\n");
    }
}
