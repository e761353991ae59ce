//! The files of Atari games, for tests.

use mpo_envs::assets::AtariAssets;

/// The files, if they are there. Where they are not, tests are skipped with a note, unless `MPO_REQUIRE_ATARI` is set: then
/// what is missing fails the test.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn atari_assets() -> Option<AtariAssets> {
    match AtariAssets::locate() {
        Ok(assets) => Some(assets),
        Err(missing) => {
            assert!(std::env::var_os("MPO_REQUIRE_ATARI").is_none(), "{missing}");
            eprintln!("skipped: {missing}");
            None
        }
    }
}
