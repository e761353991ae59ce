//! What the integration tests share.

use mpo_envs::assets::Assets;

/// Whether MuJoCo and the model files are there. Where they are not, tests are skipped with a note, unless
/// `MPO_REQUIRE_MUJOCO` is set: then what is missing fails the test.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn mujoco_is_here() -> bool {
    let Err(missing) = Assets::locate() else { return true };
    assert!(std::env::var_os("MPO_REQUIRE_MUJOCO").is_none(), "{missing}");
    eprintln!("skipped: {missing}");
    false
}
