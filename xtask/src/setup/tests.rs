//! The set-up against small wheels made here, with a pip that is a closure.

use super::package::Rule;
use super::*;
use std::cell::RefCell;
use std::io::Write;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

const LIBRARY: &str = "libthing.so";

/// A folder with a wheel in it, the package that pins the wheel, and an empty cache.
struct World {
    home: TempDir,
    packages: Vec<Package>,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let wheel = home.path().join("thing-1.0-py3-none-any.whl");
        write_wheel(
            &wheel,
            &[("thing/libthing.so", b"code"), ("thing/models/a/b.xml", b"<a/>"), ("thing/extra.py", b"")],
        );
        let rule = |from: &str, to: &str, suffix| Rule { from: from.to_owned(), to: to.to_owned(), suffix };
        let package = Package {
            name: "thing".to_owned(),
            version: "1.0".to_owned(),
            sha256: wheel::sha256(&wheel).expect("the wheel was just written"),
            variable: "THING",
            substitute: "a thing".to_owned(),
            platform: None,
            rules: vec![rule("thing/libthing.so", LIBRARY, ""), rule("thing/models/", "models/", ".xml")],
        };
        Self { home, packages: vec![package] }
    }

    fn wheel(&self) -> PathBuf {
        self.home.path().join("thing-1.0-py3-none-any.whl")
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("cache")
    }

    fn installed(&self, file: &str) -> PathBuf {
        self.cache().join("thing-1.0").join(file)
    }

    fn setup(&self, wheels: &[PathBuf], force: bool, variable: Option<&str>, fetch: Fetch<'_>) -> Result<String> {
        Setup {
            packages: &self.packages,
            wheels,
            force,
            cache: &self.cache(),
            platform: "x86_64-linux",
            variable: &|name| variable.filter(|set| *set == name).map(OsString::from),
            fetch,
        }
        .run()
    }

    /// A pip that works.
    fn copy_wheel(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::copy(self.wheel(), folder.join("thing-1.0-py3-none-any.whl"))?;
        Ok(())
    }
}

fn write_wheel(path: &Path, entries: &[(&str, &[u8])]) {
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).expect("the folder is writable"));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).expect("the entry is new");
        writer.write_all(bytes).expect("the folder is writable");
    }
    writer.finish().expect("the folder is writable");
}

fn offline(_: &[&Package], _: &Path) -> Result<()> {
    panic!("the network was touched")
}

fn text(outcome: Result<String>) -> String {
    format!("{:#}", outcome.expect_err("this set-up must fail"))
}

#[test]
fn a_download_fills_the_cache_and_a_second_run_touches_no_network() {
    let world = World::new();
    let asked = RefCell::new(Vec::new());
    let fetch = |packages: &[&Package], folder: &Path| {
        asked.borrow_mut().extend(packages.iter().map(ToString::to_string));
        world.copy_wheel(folder)
    };
    let line = world.setup(&[], false, None, &fetch).expect("the wheel is sound");
    assert_eq!(line, format!("thing 1.0 ready in {}", world.cache().display()));
    assert_eq!(*asked.borrow(), ["thing 1.0"]);
    assert_eq!(std::fs::read(world.installed(LIBRARY)).expect("it was unpacked"), b"code");
    assert_eq!(std::fs::read(world.installed("models/a/b.xml")).expect("it was unpacked"), b"<a/>");
    assert!(!world.installed("extra.py").exists(), "only what the rules name is unpacked");

    assert_eq!(world.setup(&[], false, None, &offline).expect("nothing is missing"), line);
    let names = std::fs::read_dir(world.cache()).expect("the cache is there").map(|e| e.expect("listed").file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, [".lock", "thing-1.0"], "no staging folder is left");
}

#[test]
fn a_given_wheel_needs_no_network() {
    let world = World::new();
    world.setup(&[world.wheel()], false, None, &offline).expect("the wheel is sound");
    assert!(world.installed(LIBRARY).exists());
}

#[test]
fn a_wheel_with_another_hash_is_refused_with_both_hashes() {
    let world = World::new();
    let pinned = world.packages[0].sha256.clone();
    write_wheel(&world.wheel(), &[("thing/libthing.so", b"evil"), ("thing/models/b.xml", b"")]);
    let found = wheel::sha256(&world.wheel()).expect("it is there");
    let given = text(world.setup(&[world.wheel()], false, None, &offline));
    let fetched = text(world.setup(&[], false, None, &|_, folder| world.copy_wheel(folder)));
    for said in [given, fetched] {
        assert!(said.contains(&pinned) && said.contains(&found), "{said}");
        assert!(!world.cache().join("thing-1.0").exists());
    }
}

#[test]
fn a_wrong_wheel_is_refused_even_when_nothing_is_missing() {
    let world = World::new();
    world.setup(&[world.wheel()], false, None, &offline).expect("the wheel is sound");
    write_wheel(&world.wheel(), &[("thing/libthing.so", b"evil")]);
    let said = text(world.setup(&[world.wheel()], false, None, &offline));
    assert!(said.contains("is not the pinned wheel of thing 1.0"), "{said}");
}

#[test]
fn a_file_that_is_no_pinned_wheel_is_refused_by_name() {
    let world = World::new();
    let said = text(world.setup(&[world.home.path().join("other-1.0-py3-none-any.whl")], false, None, &offline));
    assert!(said.contains("other-1.0") && said.contains("thing-1.0-*.whl"), "{said}");
}

#[test]
fn damage_is_found_and_mended() {
    let world = World::new();
    world.setup(&[world.wheel()], false, None, &offline).expect("the wheel is sound");
    let damages: [&dyn Fn(); 4] = [
        &|| std::fs::write(world.installed(LIBRARY), "cut").expect("writable"),
        &|| std::fs::remove_file(world.installed("models/a/b.xml")).expect("writable"),
        &|| std::fs::remove_file(world.installed(cache::MANIFEST)).expect("writable"),
        &|| std::fs::write(world.installed(cache::MANIFEST), "# thing 0.9\n").expect("writable"),
    ];
    for (index, damage) in damages.iter().enumerate() {
        damage();
        assert!(cache::fault(&world.packages[0], &world.cache()).is_some(), "damage {index} went unseen");
        world.setup(&[], false, None, &|_, folder| world.copy_wheel(folder)).expect("the wheel is sound");
        assert_eq!(cache::fault(&world.packages[0], &world.cache()), None, "damage {index} was not mended");
    }
}

#[test]
fn a_download_that_breaks_off_leaves_nothing() {
    let world = World::new();
    let cut = |_: &[&Package], folder: &Path| {
        world.copy_wheel(folder)?;
        let whole = std::fs::read(world.wheel())?;
        std::fs::write(folder.join("thing-1.0-py3-none-any.whl"), &whole[..whole.len() / 2])?;
        Ok(())
    };
    text(world.setup(&[], false, None, &cut));
    assert!(!world.cache().join("thing-1.0").exists());
    // A set-up that was killed leaves its staging folder; the next one removes it.
    std::fs::create_dir_all(world.cache().join(".staging-dead/wheels")).expect("writable");
    world.setup(&[world.wheel()], false, None, &offline).expect("the wheel is sound");
    assert!(!world.cache().join(".staging-dead").exists());
}

#[test]
fn force_fetches_what_is_sound_again() {
    let world = World::new();
    world.setup(&[world.wheel()], false, None, &offline).expect("the wheel is sound");
    let fetched = RefCell::new(0);
    let fetch = |_: &[&Package], folder: &Path| {
        *fetched.borrow_mut() += 1;
        world.copy_wheel(folder)
    };
    world.setup(&[], true, None, &fetch).expect("the wheel is sound");
    assert_eq!(*fetched.borrow(), 1);
}

#[test]
fn a_package_that_a_variable_names_is_left_alone() {
    let world = World::new();
    let line = world.setup(&[], false, Some("THING"), &offline).expect("nothing is missing");
    assert_eq!(line, "thing taken from THING");
    assert!(!world.cache().exists());
}

#[test]
fn a_platform_without_a_pin_is_an_error_that_names_the_variables() {
    let mut world = World::new();
    world.packages[0].platform = Some("pdp11-unix");
    let said = text(world.setup(&[], false, None, &offline));
    assert!(said.contains("thing 1.0 is pinned for pdp11-unix only, and this machine is x86_64-linux"), "{said}");
    assert!(said.contains("set THING to a thing"), "{said}");
}

#[test]
fn an_entry_that_leaves_the_folder_is_refused() {
    let mut world = World::new();
    write_wheel(&world.wheel(), &[("thing/libthing.so", b""), ("thing/models/../../../evil.xml", b"")]);
    world.packages[0].sha256 = wheel::sha256(&world.wheel()).expect("it is there");
    let said = text(world.setup(&[world.wheel()], false, None, &offline));
    assert!(said.contains("outside the cache"), "{said}");
}

#[test]
fn a_wheel_without_what_is_needed_is_refused() {
    let mut world = World::new();
    write_wheel(&world.wheel(), &[("thing/libthing.so", b"")]);
    world.packages[0].sha256 = wheel::sha256(&world.wheel()).expect("it is there");
    let said = text(world.setup(&[world.wheel()], false, None, &offline));
    assert!(said.contains("holds nothing that begins with \"thing/models/\""), "{said}");
}

#[test]
fn the_cache_is_found_in_the_order_that_the_environments_use() {
    let directory = |set: &[(&str, &str)]| {
        cache::directory(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value)))
    };
    let all = [("MPO_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
    assert_eq!(directory(&all).expect("set"), Path::new("/a"));
    assert_eq!(directory(&all[1..]).expect("set"), Path::new("/b/mpo"));
    assert_eq!(directory(&all[2..]).expect("set"), Path::new("/c/.cache/mpo"));
    assert_eq!(directory(&[("MPO_CACHE", ""), ("HOME", "/c")]).expect("set"), Path::new("/c/.cache/mpo"));
    assert!(directory(&[]).is_err());
}
