//! Fetching wheels by the user's own pip, from whatever index it is set up for.

use super::package::{self, Package};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// The wheels are taken out of the interpreter's hands: which Python runs pip does not matter.
const TARGET: &str = "--implementation cp --python-version 3.11 --abi cp311 --abi none \
                      --platform manylinux_2_28_x86_64 --platform manylinux_2_12_x86_64 --platform any";

/// Without a network pip would otherwise go on trying for minutes.
pub(super) const MANNERS: &str = "--quiet --no-input --disable-pip-version-check --retries 2";

/// Downloads the pinned wheels into `folder`; pip checks their hashes.
///
/// # Errors
/// When there is no `python3` with pip, or pip fails; the message says what pip said and what else can be done.
pub(super) fn with_pip(packages: &[&Package], folder: &Path) -> Result<()> {
    pip("python3", packages, folder)
}

fn pip(python: &str, packages: &[&Package], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let requirements = folder.join("pins.txt");
    let lines: Vec<String> = packages.iter().map(|package| package.requirement()).collect();
    std::fs::write(&requirements, lines.join("\n"))
        .with_context(|| format!("cannot write {}", requirements.display()))?;

    eprintln!("fetching {} by pip", names(packages));
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    command.args(MANNERS.split(' ')).args(TARGET.split(' '));
    command.arg("-r").arg(&requirements).arg("-d").arg(folder);
    let said = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => gist(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => format!("  {python}: {error}"),
    };
    bail!(
        "could not fetch {} by `{python} -m pip download`, which said:\n{said}\n\n{}",
        names(packages),
        by_hand(packages)
    )
}

/// What a user can do where pip cannot.
pub(super) fn by_hand(packages: &[&Package]) -> String {
    let mut text = String::from("One of these mends it:");
    let wheels: String = packages.iter().map(|_| " --wheel FILE").collect();
    let requirements: Vec<String> =
        packages.iter().map(|package| format!("{}=={}", package.name, package.version)).collect();
    let variables: Vec<String> =
        packages.iter().map(|package| format!("{} to {}", package.variable, package.substitute)).collect();
    let mut say = |line: &str| text.extend(["\n  - ", line]);
    if packages.iter().all(|package| package.platform.is_none_or(|platform| platform == package::host())) {
        say("install pip for python3 (Debian's package python3-pip), be online, and try again;");
        say(&format!(
            "where you are online, `python3 -m pip download --no-deps {TARGET} -d . {}`, bring the files here,\n    \
             then `cargo xtask setup{wheels}`;",
            requirements.join(" ")
        ));
    }
    say(&format!("set {}: then nothing is fetched.", variables.join(" and ")));
    text
}

fn names(packages: &[&Package]) -> String {
    packages.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// The errors in what pip said, or its last lines where it names none.
pub(super) fn gist(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let errors: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("ERROR")).collect();
    let kept = if errors.is_empty() { &lines[lines.len().saturating_sub(5)..] } else { &errors };
    kept.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_python_there_is_one_error_with_three_ways_out() {
        let packages = package::pinned().expect("pins.txt is sound");
        let packages: Vec<&Package> = packages.iter().collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = pip("no-such-python", &packages, folder.path()).expect_err("there is no such program");
        let text = format!("{error:#}");
        for part in [
            "could not fetch mujoco 3.17.0 and dm-control 1.0.50",
            "no-such-python: ",
            "set MPO_MUJOCO_LIBRARY to ",
            " and MPO_DM_CONTROL to ",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        if package::host() == "x86_64-linux" {
            assert!(text.contains("python3-pip") && text.contains("setup --wheel FILE --wheel FILE"), "{text}");
            assert!(text.contains("mujoco==3.17.0 dm-control==1.0.50"), "{text}");
        }
    }

    #[test]
    fn of_what_pip_said_its_errors_are_kept() {
        assert_eq!(gist("WARNING: a\nERROR: b\n\nnotice\nERROR: c\n"), "  ERROR: b\n  ERROR: c");
        assert_eq!(gist("0\n1\n\n2\n \n3\n4\n5\n"), "  1\n  2\n  3\n  4\n  5");
        assert_eq!(gist(""), "");
    }
}
