//! Which crate may know which.

use super::{File, Finding};

/// Every member of the workspace, and the members that it may depend on.
const ARROWS: [(&str, &[&str]); 7] = [
    ("mpo-core", &[]),
    ("mpo-replay", &[]),
    ("mpo-envs", &[]),
    ("mpo-nets", &["mpo-core"]),
    ("mpo-agent", &["mpo-core", "mpo-nets", "mpo-envs", "mpo-replay"]),
    ("mpo-bench", &["mpo-agent", "mpo-envs"]),
    ("xtask", &[]),
];

/// What a crate's tests may depend on beyond that: the program's tests train with a learner of their own.
const IN_TESTS: [(&str, &str); 1] = [("mpo-bench", "mpo-nets")];

/// All that the pure mathematics may be built from.
const CORE_DEPENDENCIES: [&str; 3] = ["num-traits", "serde", "thiserror"];

/// The arrows of ARCHITECTURE.md are the only ones, tests included.
pub(super) fn only_allowed_workspace_dependencies(files: &[File]) -> Vec<Finding> {
    let members: Vec<&str> = ARROWS.iter().map(|(member, _)| *member).collect();
    let mut findings = Vec::new();
    for (file, name, manifest) in manifests(files) {
        let Some((_, allowed)) = ARROWS.iter().find(|(member, _)| *member == name) else {
            findings.push(Finding::new(
                file,
                0,
                format!("{name} has no row in the table of arrows (xtask/src/tidy/arrows.rs)"),
            ));
            continue;
        };
        let (code, tests) = (
            dependencies(&manifest, &["dependencies", "build-dependencies"]),
            dependencies(&manifest, &["dev-dependencies"]),
        );
        let in_tests = |dependency: &str| IN_TESTS.contains(&(name.as_str(), dependency));
        for dependency in code.iter().chain(tests.iter().filter(|dependency| !in_tests(dependency))) {
            if members.contains(&dependency.as_str()) && !allowed.contains(&dependency.as_str()) {
                findings.push(Finding::new(file, 0, format!("{name} must not depend on {dependency}")));
            }
        }
    }
    findings
}

/// No crate that could do more than calculate is within mpo-core's reach.
pub(super) fn the_core_depends_on_nothing_with_effects(files: &[File]) -> Vec<Finding> {
    let core = manifests(files).into_iter().filter(|(_, name, _)| name == "mpo-core");
    core.flat_map(|(file, _, manifest)| {
        dependencies(&manifest, &["dependencies", "build-dependencies"])
            .into_iter()
            .filter(|dependency| !CORE_DEPENDENCIES.contains(&dependency.as_str()))
            .map(|dependency| {
                Finding::new(file, 0, format!("mpo-core is pure mathematics: it must not depend on {dependency}"))
            })
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Each package's manifest: its file, its name, its contents.
fn manifests(files: &[File]) -> Vec<(&File, String, toml::Table)> {
    let parsed = files.iter().filter(|file| file.path.ends_with("/Cargo.toml")).filter_map(|file| {
        let manifest: toml::Table = file.text()?.parse().ok()?;
        let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
        Some((file, name, manifest))
    });
    parsed.collect()
}

/// The names in these sections, also where a target or a `cfg` stands before the section.
fn dependencies(manifest: &toml::Table, sections: &[&str]) -> Vec<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flat_map(|targets| targets.values()).filter_map(toml::Value::as_table);
    std::iter::once(manifest)
        .chain(tables)
        .flat_map(|table| sections.iter().filter_map(|section| table.get(*section)?.as_table()))
        .flat_map(|section| {
            // `other = { package = "mpo-core" }` is a dependency on mpo-core.
            section
                .iter()
                .map(|(key, value)| value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    fn messages(manifest: &str) -> Vec<String> {
        let files = tree(&[("crates/x/Cargo.toml", manifest)]);
        let mut findings = only_allowed_workspace_dependencies(&files);
        findings.extend(the_core_depends_on_nothing_with_effects(&files));
        findings.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn an_allowed_arrow_is_no_finding() {
        let manifest = "[package]\nname = 'mpo-nets'\n[dependencies]\nmpo-core = { workspace = true }\ndfdx = '1'\n";
        assert!(messages(manifest).is_empty());
    }

    #[test]
    fn a_forbidden_arrow_is_found_in_every_section() {
        for section in ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(loom)'.dependencies"] {
            let manifest = format!("[package]\nname = 'mpo-replay'\n[{section}]\nmpo-core = {{ workspace = true }}\n");
            assert_eq!(messages(&manifest), ["mpo-replay must not depend on mpo-core"], "{section}");
        }
    }

    #[test]
    fn what_tests_may_know_is_no_licence_for_the_code() {
        let manifest = |section: &str| format!("[package]\nname = 'mpo-bench'\n[{section}]\nmpo-nets = '1'\n");
        assert!(messages(&manifest("dev-dependencies")).is_empty());
        assert_eq!(messages(&manifest("dependencies")), ["mpo-bench must not depend on mpo-nets"]);
    }

    #[test]
    fn a_renamed_dependency_is_seen_through() {
        let manifest = "[package]\nname = 'mpo-envs'\n[dependencies]\nmaths = { package = 'mpo-core', path = '..' }\n";
        assert_eq!(messages(manifest), ["mpo-envs must not depend on mpo-core"]);
    }

    #[test]
    fn a_new_crate_needs_its_row() {
        assert!(messages("[package]\nname = 'mpo-utils'\n")[0].starts_with("mpo-utils has no row"));
    }

    #[test]
    fn the_core_stays_pure() {
        let manifest = "[package]\nname = 'mpo-core'\n[dependencies]\nrand = '1'\nserde = '1'\n[dev-dependencies]\nproptest = '1'\n";
        assert_eq!(messages(manifest), ["mpo-core is pure mathematics: it must not depend on rand"]);
    }
}
