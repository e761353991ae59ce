//! The fused and divided passes against plain forms of themselves.

use mpo_nets::{
    Activations, Adam, FixedParameters, Layout, Network, Precision, Threads, Torso, clip_by_global_norm, noise::Noise,
};
use proptest::prelude::*;

fn draw(stream: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Noise::new(stream).fill(&mut values);
    values
}

/// A network of two inputs with random parameters; the last `part` numbers of the first have a torso of their own.
fn network(
    inputs: [usize; 2],
    part: usize,
    hidden: [usize; 2],
    output: usize,
    torso: Torso,
    seed: u64,
) -> (Network, Vec<f32>) {
    let main = Layout::from_shapes(&[
        ("observation", &[hidden[0], inputs[0] - part]),
        ("action", &[hidden[0], inputs[1]]),
        ("torso.bias", &[hidden[0]]),
        ("torso.scale", &[hidden[0]]),
        ("torso.shift", &[hidden[0]]),
        ("hidden.weight", &[hidden[1], hidden[0]]),
        ("hidden.bias", &[hidden[1]]),
        ("head.weight", &[output, hidden[1]]),
        ("head.bias", &[output]),
    ]);
    let branch = Layout::from_shapes(&[
        ("observation", &[hidden[0], part]),
        ("torso.bias", &[hidden[0]]),
        ("torso.scale", &[hidden[0]]),
        ("torso.shift", &[hidden[0]]),
        ("hidden", &[hidden[1], hidden[0]]),
    ]);
    let layout = if part == 0 { main } else { Layout::join(&[("main", &main), ("branch", &branch)]) };
    let parameters = draw(seed, layout.len()).iter().map(|x| 0.4 * x).collect();
    (Network::from_layout(&layout, torso), parameters)
}

/// A number with eight bits of mantissa.
fn half(x: f64) -> f64 {
    rounded(x, 7, f64::round_ties_even)
}

/// A number with eleven bits of mantissa.
fn tf32(x: f64) -> f64 {
    rounded(x, 10, f64::round)
}

/// A number with so many bits of mantissa behind the point. Zero, which has no exponent, stays.
fn rounded(x: f64, bits: i32, round: fn(f64) -> f64) -> f64 {
    if x.abs() > 0.0 {
        let unit = 2.0_f64.powi(x.abs().log2().floor() as i32 - bits);
        round(x / unit) * unit
    } else {
        0.0
    }
}

/// The network's definition, in f64 but for what `precision` rounds, and the size of the terms that make each output: where they cancel,
/// their rounding stays.
fn plain(network: [usize; 6], torso: Torso, precision: Precision, p: &[f32], x: &[f32], a: &[f32]) -> Vec<(f64, f64)> {
    let [n, part, m, h1, h2, output] = network;
    let (x, x_part) = x.split_at(n - part);
    let n = n - part;
    let mut rest = p;
    let mut next = |len: usize| {
        let (head, tail) = rest.split_at(len);
        rest = tail;
        head.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>()
    };
    let (wx, wa, b, g, s) = (next(h1 * n), next(h1 * m), next(h1), next(h1), next(h1));
    let (mut v, c, u, d) = (next(h2 * h1), next(h2), next(output * h2), next(output));
    let branch = (part > 0).then(|| (next(h1 * part), [(); 3].map(|()| next(h1)), next(h2 * h1)));
    let dot = |w: &[f64], x: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    let elu = |x: f64| if x > 0.0 { x } else { x.exp_m1() };
    let [x, a, x_part] = [x, a, x_part].map(|x| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>());
    let activate = |first: &mut [f64], g: &[f64], s: &[f64]| match torso {
        Torso::Plain => first.iter_mut().for_each(|x| *x = elu(*x)),
        Torso::LayerNorm => {
            let mean = first.iter().sum::<f64>() / h1 as f64;
            let variance = first.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / h1 as f64;
            for (i, x) in first.iter_mut().enumerate() {
                *x = (g[i] * (*x - mean) / (variance + 1e-5).sqrt() + s[i]).tanh();
            }
        }
    };
    let mut first: Vec<f64> =
        (0..h1).map(|i| dot(&wx[i * n..(i + 1) * n], &x) + dot(&wa[i * m..(i + 1) * m], &a) + b[i]).collect();
    activate(&mut first, &g, &s);
    match precision {
        Precision::F32 => {}
        Precision::Bf16 => first.iter_mut().chain(&mut v).for_each(|x| *x = half(*x)),
        Precision::Tf32 => first.iter_mut().chain(&mut v).for_each(|x| *x = tf32(*x)),
    }
    let mut second: Vec<f64> = (0..h2).map(|i| dot(&v[i * h1..(i + 1) * h1], &first) + c[i]).collect();
    if let Some((w, [b, g, s], v)) = branch {
        let mut first: Vec<f64> = (0..h1).map(|i| dot(&w[i * part..(i + 1) * part], &x_part) + b[i]).collect();
        activate(&mut first, &g, &s);
        for (i, x) in second.iter_mut().enumerate() {
            *x += dot(&v[i * h1..(i + 1) * h1], &first);
        }
    }
    for x in &mut second {
        *x = elu(*x);
    }
    let size = |w: &[f64]| w.iter().zip(&second).map(|(w, x)| w.abs() * (1.0 + x.abs())).sum::<f64>();
    (0..output)
        .map(|i| &u[i * h2..(i + 1) * h2])
        .zip(&d)
        .map(|(w, d)| (dot(w, &second) + d, size(w) + d.abs()))
        .collect()
}

fn close(a: &[f32], b: &[f32], what: &str) {
    let scale = b.iter().map(|x| x.abs()).fold(1e-3, f32::max);
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= 1e-5 * scale, "{what}[{i}]: {x}, {y}, largest {scale}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Widths around the vectors' and rows around the tiles' and chunks' sizes.
    #[test]
    fn passes_are_their_definition_however_they_are_divided(
        states in 1_usize..60, samples in 1_usize..25, n in 1_usize..20, m in 1_usize..9, h1 in 2_usize..70, h2 in 1_usize..50,
        output in 1_usize..8, norm: bool, branched: bool, threads in 2_usize..5, seed in 0_u64..1_000_000,
    ) {
        let part = if branched { n / 2 } else { 0 };
        let torso = if norm { Torso::LayerNorm } else { Torso::Plain };
        let rows = states * samples;
        let (x, a) = (draw(seed + 1, rows * n), draw(seed + 2, rows * m));
        let d_out = draw(seed + 3, rows * output);
        let (network_, p) = network([n, m], part, [h1, h2], output, torso, seed);
        let run = |activations: &mut Activations| {
            let (mut out, mut gradient) = (vec![f32::NAN; rows * output], vec![f32::NAN; p.len()]);
            let (mut d_x, mut d_a, mut alone) = (vec![f32::NAN; rows * n], vec![f32::NAN; rows * m], vec![f32::NAN; rows * m]);
            network_.forward(&p, &[&x, &a], rows, activations, &mut out);
            network_.backward(&p, &[&x, &a], rows, activations, &d_out, &mut gradient, &mut [(0, &mut d_x), (1, &mut d_a)]);
            network_.backward_inputs(&p, rows, activations, &d_out, &mut [(1, &mut alone)]);
            prop_assert_eq!(&d_a, &alone, "an input's gradient, alone and with the parameters'");
            Ok((out, gradient, d_x, d_a))
        };
        let one = run(&mut Activations::default())?;
        let mut shared = Activations::new(&Threads::new(threads));
        let several = run(&mut shared)?;
        let again = run(&mut shared)?;
        // Rows do not depend on each other: dividing them changes nothing. The parameters' gradient is a sum over rows.
        prop_assert_eq!((&one.0, &one.2, &one.3), (&several.0, &several.2, &several.3));
        close(&several.1, &one.1, "gradient of several threads");
        prop_assert_eq!(&several, &again, "the same threads, the same sums");

        for row in [0, rows / 2, rows - 1] {
            let (x, a) = (&x[row * n..(row + 1) * n], &a[row * m..(row + 1) * m]);
            let want = plain([n, part, m, h1, h2, output], torso, Precision::F32, &p, x, a);
            for (&got, (want, size)) in one.0[row * output..(row + 1) * output].iter().zip(want) {
                // Two units whose difference is divided by their deviation: rounding is amplified, by its inverse.
                let sound = (norm && h1 <= 4) || (f64::from(got) - want).abs() <= 1e-5 * size;
                prop_assert!(sound, "a row against its definition: {got}, {want}, terms of {size}");
            }
        }
    }

    #[test]
    fn evaluating_actions_is_dividing_invariant(
        states in 1_usize..80, samples in 1_usize..25, h1 in 2_usize..70, h2 in 1_usize..50, norm: bool, branched: bool, threads in 2_usize..5, seed in 0_u64..1_000_000,
    ) {
        let torso = if norm { Torso::LayerNorm } else { Torso::Plain };
        let (n, m, part) = (7, 3, if branched { 4 } else { 0 });
        let (x, a) = (draw(seed + 1, states * n), draw(seed + 2, states * samples * m));
        let (network, p) = network([n, m], part, [h1, h2], 1, torso, seed);
        let run = |activations: &mut Activations| {
            let mut out = vec![f32::NAN; states * samples];
            network.evaluate_actions(&p, &x, &a, samples, activations, &mut out);
            out
        };
        let one = run(&mut Activations::default());
        prop_assert_eq!(&one, &run(&mut Activations::new(&Threads::new(threads))));
        // Parameters that were arranged once, after others.
        let mut fixed = FixedParameters::new(&network, &draw(seed + 9, p.len()));
        fixed.set(&network, &p);
        let mut again = vec![f32::NAN; states * samples];
        network.evaluate_actions_fixed(&fixed, &x, &a, samples, &mut Activations::default(), &mut again);
        prop_assert_eq!(&one, &again);
        let inputs = [&x[..], &a[..states * m]];
        let (mut plain, mut arranged) = (vec![0.0; states], vec![1.0; states]);
        network.forward(&p, &inputs, states, &mut Activations::default(), &mut plain);
        network.forward_fixed(&fixed, &inputs, states, &mut Activations::default(), &mut arranged);
        prop_assert_eq!(plain, arranged);
        let repeated: Vec<f32> = x.chunks(n).flat_map(|s| s.repeat(samples)).collect();
        let mut whole = vec![0.0; states * samples];
        network.forward(&p, &[&repeated, &a], states * samples, &mut Activations::default(), &mut whole);
        if !norm || h1 > 4 { close(&one, &whole, "values"); }
    }

    /// Reduced precision is its definition too, however it is divided.
    #[test]
    fn actions_in_reduced_precision_are_rounded_where_it_says_so(
        states in 1_usize..40, samples in 1_usize..25, h1 in 5_usize..70, h2 in 1_usize..50, norm: bool, half: bool, threads in 2_usize..5, seed in 0_u64..1_000_000,
    ) {
        let precision = if half { Precision::Bf16 } else { Precision::Tf32 };
        let torso = if norm { Torso::LayerNorm } else { Torso::Plain };
        let (n, m) = (7, 3);
        let (x, a) = (draw(seed + 1, states * n), draw(seed + 2, states * samples * m));
        let (network, p) = network([n, m], 0, [h1, h2], 1, torso, seed);
        let mut fixed = FixedParameters::with_precision(&network, &draw(seed + 9, p.len()), precision);
        fixed.set(&network, &p);
        let run = |activations: &mut Activations| {
            let mut out = vec![f32::NAN; states * samples];
            network.evaluate_actions_fixed(&fixed, &x, &a, samples, activations, &mut out);
            out
        };
        let one = run(&mut Activations::default());
        prop_assert_eq!(&one, &run(&mut Activations::new(&Threads::new(threads))));
        let mut flipped = 0;
        for (row, &got) in one.iter().enumerate() {
            let state = row / samples;
            let (x, a) = (&x[state * n..(state + 1) * n], &a[row * m..(row + 1) * m]);
            let (want, size) = plain([n, 0, m, h1, h2, 1], torso, precision, &p, x, a)[0];
            let error = (f64::from(got) - want).abs();
            // A first unit within f32's rounding of the middle between two half numbers may be taken for the other, by 2^-7 of itself,
            // through weights below 2; TF32 has three bits more.
            prop_assert!(error <= 2.0_f64.powi(if half { -6 } else { -9 }) * size, "{got}, {want}, terms of {size}");
            flipped += usize::from(error > 1e-5 * size);
        }
        // f32 is off by some 1e-6, half numbers are 4e-3 apart: one unit in two thousand, and ten times that is allowed. TF32's are eight
        // times as close.
        prop_assert!(flipped <= 2 + one.len() * h1 / if half { 200 } else { 25 }, "{flipped} of {} rows", one.len());
        // The setting does something.
        if states * samples > 20 {
            let mut single = vec![f32::NAN; states * samples];
            network.evaluate_actions(&p, &x, &a, samples, &mut Activations::default(), &mut single);
            prop_assert_ne!(one, single);
        }
    }

    #[test]
    fn fused_adam_is_the_definition(len in 1_usize..70, seed in 0_u64..1_000_000) {
        let mut fused = draw(seed, len);
        let mut separate: Vec<f64> = fused.iter().map(|&x| f64::from(x)).collect();
        let mut adam = Adam::new(len, 1e-2);
        let (mut first, mut second) = (vec![0.0; len], vec![0.0; len]);
        for step in 1..=5 {
            let gradient = draw(seed + step, len);
            let (norm, factor) = clip_by_global_norm(&gradient, 1.0);
            let exact = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            prop_assert!((f64::from(norm) - exact).abs() < 1e-5 * exact);
            adam.update(&mut fused, &gradient, factor);
            for i in 0..len {
                let g = f64::from(gradient[i]) * (1.0 / exact).min(1.0);
                first[i] = 0.9 * first[i] + 0.1 * g;
                second[i] = 0.999 * second[i] + 0.001 * g * g;
                let (m, v) = (first[i] / (1.0 - 0.9_f64.powi(step as i32)), second[i] / (1.0 - 0.999_f64.powi(step as i32)));
                separate[i] -= 1e-2 * m / (v.sqrt() + 1e-8);
            }
        }
        for (a, b) in fused.iter().zip(&separate) {
            prop_assert!((f64::from(*a) - b).abs() < 2e-5 * b.abs().max(1e-1), "{a} {b}");
        }
    }
}

#[test]
fn threads_take_the_step_that_one_takes() {
    // Enough for three threads, and not the same for each.
    let len = 3 * 16_384 + 100;
    let (mut alone, mut together) = (draw(1, len), draw(1, len));
    let (mut one, mut three) = (Adam::new(len, 1e-2), Adam::new(len, 1e-2));
    for step in 0..3 {
        let gradient = draw(2 + step, len);
        one.update(&mut alone, &gradient, 0.5);
        three.update_on(&Threads::new(3), &mut together, &gradient, 0.5);
    }
    assert_eq!(alone, together);
    assert_eq!(one.state(), three.state());
}
