//! Every kernel compiles under NVIDIA's own compiler, where `cargo xtask setup cuda` has fetched it.

use mpo_nets::{
    LearnerConfig, NetsError, NetworkConfig, PixelShape,
    cuda::{FRAME_KERNELS, KERNELS, Model, Nvrtc},
};

use crate::data::Case;

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn every_kernel_compiles_without_spilling() {
    let nvrtc = match Nvrtc::load() {
        Ok(nvrtc) => nvrtc,
        Err(error @ NetsError::Device { .. }) if std::env::var_os("MPO_REQUIRE_NVRTC").is_none() => {
            eprintln!("skipped: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let atari = PixelShape { stack: 4, height: 84, width: 84, actions: 18 };
    let atari =
        Model::frames(&atari, &NetworkConfig::default(), &LearnerConfig::default(), 0).expect("the DQN's sizes");
    let cases = [Case::walker(), Case::full(), Case::two_torsos(), Case::tensor_cores()];
    let models = cases.map(|case| (case.model(0), &KERNELS[..])).into_iter().chain([(atari, &FRAME_KERNELS[..])]);
    for (model, kernels) in models {
        let compiled = nvrtc.compile(&model.source(), "sm_90").expect("the kernels compile");
        assert!(compiled.cubin.starts_with(b"\x7fELF"), "an image for the driver");
        for kernel in kernels {
            assert!(compiled.log.contains(&format!("'{kernel}' for 'sm_90'")), "{kernel}:\n{}", compiled.log);
        }
        // Memory for registers that did not fit would cost more than all else a kernel does.
        assert!(
            !compiled
                .log
                .lines()
                .any(|line| line.contains("spill") && !line.contains(" 0 bytes spill stores, 0 bytes spill loads")),
            "{}",
            compiled.log
        );
    }
    let error = nvrtc.compile("__global__ void broken( {", "sm_90").expect_err("no kernel");
    assert!(error.to_string().contains("refused") && error.to_string().contains("mpo.cu(1)"), "{error}");
}
