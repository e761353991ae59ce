//! The passes against the definition, and against finite differences.

use mpo_nets::{PixelActivations, Threads};
use proptest::prelude::*;

use crate::naive::{Sizes, draw, frames, naive, naive_with_margin, parameters, wide};

fn sizes() -> impl Strategy<Value = Sizes> {
    let channels = (1_usize..20, 1_usize..36, 1_usize..20);
    (1_usize..6, 36_usize..60, 36_usize..60, channels, 1_usize..40, 1_usize..6).prop_map(
        |(stack, height, width, (c1, c2, c3), units, output)| Sizes {
            stack,
            height,
            width,
            channels: [c1, c2, c3],
            units,
            output,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn the_pass_is_the_definition_of_a_convolution(sizes in sizes(), rows in 1_usize..4, seed in 0_u64..1_000_000) {
        let p = parameters(&sizes.layout(), seed);
        let states = frames(rows * sizes.state_len(), seed + 1);
        let mut out = vec![f32::NAN; rows * sizes.output];
        sizes.network().forward(&p, &states, rows, &mut PixelActivations::default(), &mut out);
        let wanted: Vec<f64> =
            states.chunks(sizes.state_len()).flat_map(|state| naive(&sizes, &wide(&p), state)).collect();
        let scale = wanted.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
        for (out, wanted) in out.iter().zip(wanted) {
            prop_assert!((f64::from(*out) - wanted).abs() < 1e-5 * scale, "{out} for {wanted}");
        }
    }

    /// Along one random direction per tensor, so that a small tensor's error is not hidden by a large one's size.
    #[test]
    fn gradients_are_finite_differences(sizes in sizes(), rows in 1_usize..4, threads in 1_usize..3, seed in 0_u64..1_000_000) {
        let layout = sizes.layout();
        let p = parameters(&layout, seed);
        let states = frames(rows * sizes.state_len(), seed + 1);
        // A unit within single precision's rounding of zero may be on there and off here.
        let margin = |state| naive_with_margin(&sizes, &wide(&p), state).1;
        prop_assume!(states.chunks(sizes.state_len()).map(margin).fold(1.0, f64::min) > 3e-6);
        let d_out = draw(seed + 2, rows * sizes.output);
        let network = sizes.network();
        let mut activations = PixelActivations::new(&Threads::new(threads));
        let mut out = vec![0.0; rows * sizes.output];
        let mut gradient = vec![f32::NAN; p.len()];
        // Twice: nothing of a pass before may be left in what the next one sums.
        for _ in 0..2 {
            network.forward(&p, &states, rows, &mut activations, &mut out);
            network.backward(&p, &states, rows, &mut activations, &d_out, &mut gradient);
        }
        let loss = |p: &[f64]| -> f64 {
            let outs = states.chunks(sizes.state_len()).flat_map(|state| naive(&sizes, p, state));
            outs.zip(&d_out).map(|(out, d)| out * f64::from(*d)).sum()
        };
        for (index, entry) in layout.entries().iter().enumerate() {
            let direction = draw(seed + 10 + index as u64, entry.range.len());
            let moved = |step: f64| {
                let mut p = wide(&p);
                for (p, d) in p[entry.range.clone()].iter_mut().zip(&direction) {
                    *p += step * f64::from(*d);
                }
                loss(&p)
            };
            // In double precision the step can be too small to switch such a unit.
            let numeric = (moved(1e-8) - moved(-1e-8)) / 2e-8;
            let exact: f64 = gradient[entry.range.clone()].iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
            let size = wide(&gradient[entry.range.clone()]).iter().map(|g| g * g).sum::<f64>().sqrt();
            prop_assert!((numeric - exact).abs() < 1e-3 * size.max(1e-2), "{}: {numeric} and {exact}, norm {size}", entry.name);
        }
    }
}
