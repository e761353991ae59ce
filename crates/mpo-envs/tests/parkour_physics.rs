//! The simulation under parkour is honest: what a course looks like is what bodies touch.

use mpo_envs::mjcf::{Mjcf, Observation, Task};
use mpo_envs::mujoco::{Fault, Physics};
use mpo_envs::parkour::{Body, Parkour, Ranges, Terrain};
use mpo_envs::{Environment, RandomState};

mod common;

const BODIES: [Body; 2] = [Body::Walker, Body::Humanoid];
/// Physics steps of a control step.
const SUBSTEPS: usize = 5;
/// Metres at the least between a geom's middle and a surface that it rests on, less what contacts give way: the thinnest
/// limb's radius is 0.028.
const THIN: f64 = 0.02;

/// Obstacles on which a body has room to lie, and which it cannot get over. Slopes are as gentle as bodies at rest need.
fn spacious(body: Body) -> Ranges {
    Ranges {
        length: 60.0,
        spacing: [6.0; 2],
        hurdle_height: [2.5; 2],
        hurdle_length: [5.0; 2],
        gap_length: [5.0; 2],
        platform_height: [2.6; 2],
        platform_length: [5.0; 2],
        slope_length: [6.0; 2],
        slope_rise: [0.3; 2],
        wall_reach: [1.5; 2],
        wall_length: [5.0; 2],
        ..Ranges::of(body)
    }
}

/// A box of the course, as the simulation has it.
#[derive(Debug, Clone, Copy)]
struct Slab {
    center: [f64; 3],
    axes: [f64; 9],
    half: [f64; 3],
}

impl Slab {
    /// Metres of a point above the upper face.
    fn below(&self, point: [f64; 3]) -> f64 {
        (0..3).map(|axis| (point[axis] - self.center[axis]) * self.axes[3 * axis + 2]).sum::<f64>() - self.half[2]
    }

    fn ends(&self) -> [f64; 2] {
        let reach = self.half[0] * self.axes[0];
        [self.center[0] - reach, self.center[0] + reach]
    }
}

/// The boxes that lie on the course, in their order.
fn slabs(physics: &Physics) -> Vec<Slab> {
    let slab = |index: usize| {
        let geom = physics.geom(&format!("box{index}")).ok()?;
        let (center, axes, half) = (physics.geom_xpos()[geom], physics.geom_xmat()[geom], physics.geom_size()[geom]);
        (center[2] > -50.0).then_some(Slab { center, axes, half })
    };
    (0..).map_while(slab).collect()
}

/// Middles of the body's geoms.
fn geoms(physics: &Physics) -> Vec<[f64; 3]> {
    let moving = |geom: &usize| physics.body_weldid()[physics.geom_bodyid()[*geom] as usize] != 0;
    (0..physics.geom_xpos().len()).filter(moving).map(|geom| physics.geom_xpos()[geom]).collect()
}

/// A limp body in standing pose with its torso at the place.
fn put(physics: &mut Physics, body: Body, [x, y, z]: [f64; 3]) {
    physics.qvel_mut().fill(0.0);
    physics.ctrl_mut().fill(0.0);
    let qpos = physics.qpos_mut();
    qpos.fill(0.0);
    match body {
        Body::Walker => qpos[..2].copy_from_slice(&[x, z]),
        Body::Humanoid => qpos[..4].copy_from_slice(&[x, y, z, 1.0]),
    }
    physics.after_reset().expect("no warning");
}

fn settle(physics: &mut Physics) {
    for _ in 0..300 {
        physics.step(SUBSTEPS).expect("no warning");
    }
    let fastest = physics.qvel().iter().map(|speed| speed.abs()).fold(0.0, f64::max);
    assert!(fastest < 1.0 && physics.contacts() > 0, "it does not rest: {fastest}, {} contacts", physics.contacts());
}

/// The body moves on at 1 m/s for four seconds, whatever is in the way: with up to half a kilonewton.
fn push(physics: &mut Physics) {
    for _ in 0..200 {
        physics.qvel_mut()[0] = 1.0;
        physics.step(SUBSTEPS).expect("no warning");
    }
}

/// The second course of a seed, so that boxes have been moved before.
fn course(body: Body, terrain: Terrain) -> (Parkour, Vec<Slab>) {
    let mut environment = Parkour::new(body, terrain, spacious(body), 2).expect("a course");
    for _ in 0..2 {
        environment.reset().expect("a reset");
    }
    let slabs = slabs(environment.physics().expect("a simulation"));
    (environment, slabs)
}

fn terrains(body: Body) -> Vec<Terrain> {
    let all = [Terrain::Hurdles, Terrain::Platforms, Terrain::Variable, Terrain::Gaps, Terrain::Slalom];
    all.into_iter().filter(|terrain| body == Body::Humanoid || *terrain != Terrain::Slalom).collect()
}

#[test]
fn a_body_that_is_dropped_on_an_obstacle_rests_on_it() {
    if !common::mujoco_is_here() {
        return;
    }
    for body in BODIES {
        for terrain in terrains(body) {
            let (mut environment, slabs) = course(body, terrain);
            let physics = environment.physics().expect("a simulation");
            assert!(slabs.len() >= 4, "{terrain:?}: {slabs:?}");
            // The first two and the last but one: none where it was when the model was compiled.
            for slab in [slabs[0], slabs[1], slabs[slabs.len() - 2]] {
                let [x, y, z] = slab.center;
                let top = z + slab.half[2] * slab.axes[8];
                put(physics, body, [x, y, top + 1.5]);
                settle(physics);
                let middles = geoms(physics);
                assert!(middles.iter().all(|middle| slab.below(*middle) > THIN), "{body:?}, {terrain:?}: {middles:?}");
                let lowest = middles.iter().map(|middle| slab.below(*middle)).fold(f64::INFINITY, f64::min);
                assert!(lowest < 0.15, "{body:?} floats {lowest} m above {slab:?}");
            }
        }
    }
}

#[test]
fn a_body_that_falls_into_a_gap_rests_on_its_floor() {
    if !common::mujoco_is_here() {
        return;
    }
    for body in BODIES {
        let (mut environment, slabs) = course(body, Terrain::Gaps);
        let physics = environment.physics().expect("a simulation");
        let gap = [slabs[0].ends()[1], slabs[1].ends()[0]];
        assert!((gap[1] - gap[0] - 5.0).abs() < 1e-9, "{gap:?}");
        put(physics, body, [f64::midpoint(gap[0], gap[1]), 0.0, 1.3]);
        settle(physics);
        let heights: Vec<f64> = geoms(physics).iter().map(|middle| middle[2] + 2.0).collect();
        assert!(heights.iter().all(|height| *height > THIN), "{body:?}: {heights:?}");
        assert!(heights.iter().any(|height| *height < 0.15), "{body:?}: {heights:?}");
    }
}

#[test]
fn a_body_that_is_pushed_against_an_obstacle_stops() {
    if !common::mujoco_is_here() {
        return;
    }
    for body in BODIES {
        for terrain in terrains(body) {
            let (mut environment, slabs) = course(body, terrain);
            let physics = environment.physics().expect("a simulation");
            if terrain == Terrain::Variable {
                // What is flatter than friction is run up, and not into.
                let rising = slabs.iter().find(|slab| slab.axes[6] > 0.0).expect("a slope up");
                put(physics, body, [rising.ends()[0] - 1.5, 0.0, rising.center[2] + 1.6]);
                for _ in 0..60 {
                    physics.qvel_mut()[0] = 2.0;
                    physics.step(SUBSTEPS).expect("no warning");
                    let on_it = geoms(physics).into_iter().filter(|middle| {
                        let [from, to] = rising.ends();
                        from + 0.1 < middle[0] && middle[0] < to
                    });
                    for middle in on_it {
                        assert!(rising.below(middle) > 0.0, "{body:?} went into the slope: {middle:?}");
                    }
                }
                continue;
            }
            for index in [1, slabs.len() - 2] {
                let slab = slabs[index];
                let (face, height) = (slab.ends()[0], if terrain == Terrain::Gaps { -2.0 } else { 0.0 });
                put(physics, body, [face - 1.5, slab.center[1], height + 1.35]);
                push(physics);
                let foremost = geoms(physics).iter().map(|middle| middle[0]).fold(f64::NEG_INFINITY, f64::max);
                let gap = face - foremost;
                assert!((0.0..0.5).contains(&gap), "{body:?} in {terrain:?} is {gap} m before the face");
            }
        }
    }
}

/// Falls from high above, with what it had of velocity.
struct Flight;

impl Task for Flight {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        let up = if physics.qpos().len() == 9 { 1 } else { 2 };
        physics.qpos_mut()[up] = 60.0;
        physics.qvel_mut().fill_with(|| random.uniform(-4.0, 4.0));
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("energy").extend(&physics.energy());
    }

    fn reward(&self, _: &Physics) -> f64 {
        0.0
    }
}

#[test]
fn energy_does_not_grow_in_free_flight() {
    if !common::mujoco_is_here() {
        return;
    }
    for body in BODIES {
        let text = body.mjcf().replace("<option ", "<option><flag energy=\"enable\"/></option><option ");
        let model = Mjcf::text("parkour/flight", text).control_timestep(0.02).episode_seconds(2.0);
        let mut environment = model.environment(4, |_| Ok(Flight)).expect("a body");
        let action = vec![0.0; environment.spec().action_len()];
        for _ in 0..3 {
            let first: f64 = environment.reset().expect("a reset").observation.iter().sum();
            let mut kinetic = 0.0;
            for _ in 0..100 {
                let energy = environment.step(&action).expect("a step").observation.to_vec();
                // Joints only take energy away, some tens of joules; what remains is the fall's own.
                let lost = first - energy[0] - energy[1];
                assert!((-0.5..200.0).contains(&lost), "{body:?} lost {lost} J of {first} J");
                kinetic = energy[1];
            }
            assert!(kinetic > 0.15 * first, "{body:?} falls for two seconds: {kinetic} J of {first} J");
        }
    }
}
