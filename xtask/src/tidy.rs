//! `cargo xtask tidy`: the architecture's absences, as far as a program can see them.
//!
//! Each check is a function from the tree's files to findings, so that its test is a small tree that
//! breaks one rule. The rules' own tables are constants at the head of the file that checks them.

mod arrows;
mod code;
mod files;
mod sources;

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// One file of the repository.
#[derive(Debug)]
struct File {
    /// From the root, with forward slashes.
    path: String,
    bytes: Vec<u8>,
}

impl File {
    /// Its text, if it is text.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }
}

/// Something that must not be where it is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1; 0 is the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    fn new(file: &File, line: usize, message: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, message: message.into() }
    }
}

type Check = fn(&[File]) -> Vec<Finding>;

const CHECKS: [Check; 12] = [
    arrows::only_allowed_workspace_dependencies,
    arrows::the_core_depends_on_nothing_with_effects,
    sources::no_unsafe_outside_its_modules,
    sources::unsafe_is_forbidden_where_promised,
    sources::no_clock_outside_its_files,
    sources::the_core_has_no_effects,
    sources::no_file_is_too_long,
    files::no_fetched_things,
    files::nothing_of_the_emulator,
    files::no_large_files,
    files::no_registry_hosts,
    files::set_up_and_environments_agree,
];

/// Runs every check over the files that git knows or would add, and prints what they find.
///
/// # Errors
/// When git or a file cannot be read, or anything was found.
pub(crate) fn run() -> Result<()> {
    let files = repository(&process::root())?;
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&files)).collect();
    findings.sort();
    for Finding { path, line, message } in &findings {
        match line {
            0 => println!("{path}: {message}"),
            _ => println!("{path}:{line}: {message}"),
        }
    }
    match findings.len() {
        0 => println!("tidy: {} files, {} checks, nothing found", files.len(), CHECKS.len()),
        1 => bail!("tidy found one thing to mend"),
        n => bail!("tidy found {n} things to mend"),
    }
    Ok(())
}

fn repository(root: &Path) -> Result<Vec<File>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listed = git.output().context("cannot start git, which lists the repository's files")?;
    if !listed.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr).trim());
    }
    let names = String::from_utf8(listed.stdout).context("a file's name is not UTF-8")?;
    let mut files = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let path = root.join(name);
        // A tracked file that was deleted and not yet committed is listed, and is not there.
        if path.is_file() {
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push(File { path: name.to_owned(), bytes });
        }
    }
    Ok(files)
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// Whether a path is one of these, or inside one that ends with a slash.
fn listed(path: &str, table: &[&str]) -> bool {
    table.iter().any(|entry| path == *entry || (entry.ends_with('/') && path.starts_with(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of text files for the checks' tests.
    pub(super) fn tree(files: &[(&str, &str)]) -> Vec<File> {
        files.iter().map(|(path, text)| File { path: (*path).to_owned(), bytes: text.as_bytes().to_vec() }).collect()
    }

    /// The findings as `path:line`, in their order.
    pub(super) fn places(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
    }

    #[test]
    fn a_table_lists_files_and_folders() {
        let table = ["a/b.rs", "c/"];
        assert!(listed("a/b.rs", &table) && listed("c/d/e.rs", &table));
        assert!(!listed("a/b.rs.old", &table) && !listed("cc/d.rs", &table));
    }

    #[test]
    fn what_git_knows_or_would_add_is_listed() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let status = Command::new("git").args(["init", "--quiet"]).current_dir(&root).status();
        assert!(status.expect("git is needed here").success());
        for (name, text) in [(".gitignore", "/target/\n"), ("a b.rs", "x"), ("target/built.rs", "y")] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it is in the root")).expect("writable");
            std::fs::write(path, text).expect("writable");
        }
        let mut found = repository(root.path()).expect("it is a work tree");
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let names: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, [".gitignore", "a b.rs"]);
        assert_eq!(found[1].text(), Some("x"));
    }
}
