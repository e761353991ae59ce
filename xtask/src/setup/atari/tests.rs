//! The set-up against a small source package made here, with a pip and a compiler that are closures.

use super::*;
use std::cell::RefCell;
use tempfile::TempDir;

struct World {
    home: TempDir,
    source: Source,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = home.path().join("thing-1.0.tar.gz");
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
            File::create(&path).expect("writable"),
            flate2::Compression::fast(),
        ));
        for (name, text) in [
            ("thing-1.0/LICENSE.md", "free"),
            ("thing-1.0/src/ale/ale_interface.cpp", "int x;"),
            ("thing-1.0/src/ale/python/roms/pong.bin", "game"),
            ("thing-1.0/src/ale/python/roms/md5.json", "{}"),
            ("thing-1.0/docs/a.md", "words"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            archive.append_data(&mut header, name, text.as_bytes()).expect("writable");
        }
        archive.into_inner().expect("writable").finish().expect("writable");
        let sha256 = wheel::sha256(&path).expect("it was just written");
        Self { home, source: Source { name: "thing".to_owned(), version: "1.0".to_owned(), sha256 } }
    }

    fn package(&self) -> PathBuf {
        self.home.path().join("thing-1.0.tar.gz")
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("cache")
    }

    fn built(&self, file: &str) -> PathBuf {
        self.cache().join("thing-1.0-built").join(file)
    }

    /// Runs the set-up and returns its line or message, and what was done: `f` for a fetch, `b` for a build.
    fn setup(&self, package: Option<&Path>, force: bool, recipe: &str, set: &[&str]) -> (Result<String>, String) {
        self.setup_with(true, package, force, recipe, set)
    }

    fn setup_with(
        &self,
        compiler: bool,
        package: Option<&Path>,
        force: bool,
        recipe: &str,
        set: &[&str],
    ) -> (Result<String>, String) {
        let done = RefCell::new(String::new());
        let outcome = Setup {
            source: &self.source,
            package,
            force,
            cache: &self.cache(),
            variable: &|name| set.contains(&name).then(|| OsString::from("/own")),
            fetch: &|source, folder| {
                done.borrow_mut().push('f');
                fs::create_dir_all(folder)?;
                fs::copy(self.package(), folder.join(source.file()))?;
                Ok(())
            },
            recipe,
            can_build: &|| if compiler { Ok(()) } else { bail!("no compiler") },
            build: &|unpacked, library| {
                done.borrow_mut().push('b');
                fs::copy(unpacked.join("src/ale/ale_interface.cpp"), library)?;
                Ok(())
            },
        }
        .run();
        (outcome, done.into_inner())
    }
}

#[test]
fn the_first_run_fetches_and_builds_and_the_second_does_neither() {
    let world = World::new();
    let (line, done) = world.setup(None, false, "r", &[]);
    assert_eq!(
        line.expect("it works"),
        format!("thing 1.0 ready in {}", world.built("").display().to_string().trim_end_matches('/'))
    );
    assert_eq!(done, "fb");
    assert_eq!(fs::read(world.built("libmpo_ale.so")).expect("it is there"), b"int x;");
    assert_eq!(fs::read(world.built("roms/pong.bin")).expect("it is there"), b"game");
    assert!(world.built("LICENSE.md").is_file() && !world.built("roms/md5.json").exists());
    assert_eq!(world.setup(None, false, "r", &[]).1, "");
    assert_eq!(world.setup(None, true, "r", &[]).1, "b", "the package is kept");
}

#[test]
fn a_change_or_damage_builds_again_without_a_network() {
    let world = World::new();
    world.setup(None, false, "r", &[]).0.expect("it works");
    assert_eq!(world.setup(None, false, "other", &[]).1, "b", "another recipe");
    assert_eq!(world.setup(None, false, "other", &[]).1, "");
    fs::write(world.built("roms/pong.bin"), "gone").expect("writable");
    assert_eq!(world.setup(None, false, "other", &[]).1, "b", "another game's bytes");
    fs::remove_file(world.built("libmpo_ale.so")).expect("it was there");
    fs::write(world.cache().join("thing-1.0.tar.gz"), "cut").expect("writable");
    assert_eq!(world.setup(None, false, "other", &[]).1, "fb", "a package that is not the pinned one");
    assert_eq!(world.setup(None, false, "other", &[]).1, "");
}

#[test]
fn a_given_package_is_checked_and_needs_no_network() {
    let world = World::new();
    let wrong = world.home.path().join("wrong.tar.gz");
    fs::write(&wrong, "?").expect("writable");
    let (outcome, done) = world.setup(Some(&wrong), false, "r", &[]);
    let message = outcome.expect_err("another package").to_string();
    assert!(
        message.contains("is not the pinned source package of thing 1.0") && message.contains("this file's"),
        "{message}"
    );
    assert_eq!(done, "");
    assert_eq!(world.setup(Some(&world.package()), false, "r", &[]).1, "b");
}

#[test]
fn without_a_compiler_nothing_is_fetched_and_what_is_built_stays_good() {
    let world = World::new();
    let (outcome, done) = world.setup_with(false, None, false, "r", &[]);
    assert_eq!((outcome.expect_err("no compiler").to_string(), done.as_str()), ("no compiler".to_owned(), ""));
    world.setup(None, false, "r", &[]).0.expect("it works");
    world.setup_with(false, None, false, "r", &[]).0.expect("there is nothing to build");
}

#[test]
fn what_the_user_has_is_not_built_again() {
    let world = World::new();
    let (line, done) = world.setup(None, false, "r", &VARIABLES);
    assert_eq!(line.expect("nothing to do"), "thing 1.0 taken from MPO_ALE_LIBRARY and MPO_ATARI_ROMS");
    assert_eq!(done, "");
    assert_eq!(world.setup(None, false, "r", &VARIABLES[..1]).1, "fb", "a library alone has no games");
}

#[test]
fn without_a_python_the_error_names_three_ways_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = Source::pinned().expect("pins-atari.txt is sound");
    let error = with_pip("no-such-python", &source, folder.path()).expect_err("there is no such program").to_string();
    for part in [
        "could not fetch ale-py 0.12.1",
        "no-such-python: ",
        "python3-pip",
        "ale-py==0.12.1`, bring ale_py-0.12.1.tar.gz here",
        "setup atari --package FILE",
        "set MPO_ALE_LIBRARY to ",
    ] {
        assert!(error.contains(part), "{part:?} is not in:\n{error}");
    }
}
