//! Files that are missing, of another version or broken are errors that say so.

use std::fs;
use std::path::Path;
use std::process::Command;

use mpo_envs::assets::Assets;
use mpo_envs::mujoco::Library;
use mpo_envs::{EnvError, suite};

mod common;

#[test]
fn a_file_that_is_no_library_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("libmujoco.so");
    fs::write(&path, "not a library").expect("a file");
    let error = Library::load(&path).expect_err("no library");
    assert!(matches!(error, EnvError::LibraryUnloadable { .. }), "{error:?}");
    assert!(error.to_string().starts_with("cannot load the MuJoCo library `"), "{error}");
}

/// Compiles a shared library that holds nothing but the given source.
fn library(path: &Path, source: &str) {
    let text = path.with_extension("rs");
    fs::write(&text, source).expect("a source file");
    let rustc = option_env!("RUSTC").unwrap_or("rustc");
    let arguments = ["--crate-type", "cdylib", "--edition", "2024", "-o"];
    let status = Command::new(rustc).args(arguments).args([path, &text]).status().expect("rustc runs");
    assert!(status.success());
}

#[test]
fn another_version_is_refused_with_both_versions_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("libmujoco.so");
    library(&path, "#[unsafe(no_mangle)] pub extern \"C\" fn mj_version() -> i32 { 4_001_002 }");
    let error = Library::load(&path).expect_err("another version").to_string();
    assert!(
        error.contains("is MuJoCo 4.1.2, but this program needs MuJoCo 3.17.0: run `cargo xtask setup`"),
        "{error}"
    );
}

#[test]
fn a_library_that_is_not_mujoco_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("libother.so");
    library(&path, "#[unsafe(no_mangle)] pub extern \"C\" fn other() {}");
    let error = Library::load(&path).expect_err("no MuJoCo");
    assert!(matches!(error, EnvError::LibraryUnloadable { .. }), "{error:?}");
}

#[test]
fn missing_and_broken_models_are_refused_with_mujocos_message() {
    if !common::mujoco_is_here() {
        return;
    }
    let found = Assets::locate().expect("the files are here");
    let folder = tempfile::tempdir().expect("a folder");
    let assets = Assets { library: found.library, suite: folder.path().to_owned() };
    let load = |name| suite::load_with(&assets, name, 0).err().expect("no usable model");

    assert!(matches!(load("cartpole-swingup"), EnvError::ModelFile { path, .. } if path.ends_with("cartpole.xml")));

    fs::create_dir(folder.path().join("common")).expect("a folder");
    for name in ["common/materials.xml", "common/skybox.xml", "common/visual.xml"] {
        fs::write(folder.path().join(name), "<mujoco/>").expect("a file");
    }
    let write = |text: &str| fs::write(folder.path().join("cartpole.xml"), text).expect("a file");
    write("<mujoco><worldbody><body><geom type=\"cube\"/></body></worldbody></mujoco>");
    let error = load("cartpole-swingup").to_string();
    assert!(
        error.starts_with("the model `cartpole.xml` is not usable: XML Error") && error.contains("cube"),
        "{error}"
    );

    write("<mujoco><worldbody/></mujoco>");
    let error = load("cartpole-swingup").to_string();
    assert!(error.contains("it has no Joint called `slider`"), "{error}");
}
