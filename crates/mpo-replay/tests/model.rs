//! The buffer against a plain model: for each lane a deque of states, the newest `capacity + 1` of them.

use std::collections::VecDeque;

use mpo_replay::{Batch, Layout, ReplayBuffer, TrajectoryWriter};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

#[derive(Clone, Copy, Debug, PartialEq)]
struct State {
    /// Number of the state among all that were ever written: every stored number is derived from it.
    id: u16,
    /// Whether an episode begins here: no transition leads to it.
    first: bool,
    discount: f32,
}

struct Model {
    capacity: usize,
    lanes: Vec<VecDeque<State>>,
    inserted: u64,
}

impl Model {
    fn push(&mut self, lane: usize, state: State) {
        self.inserted += u64::from(!state.first);
        let states = &mut self.lanes[lane];
        states.push_back(state);
        if states.len() > self.capacity + 1 {
            states.pop_front();
        }
    }

    /// Every stored transition as its place: lane, and position of the state that it leads to.
    fn transitions(&self) -> Vec<(usize, usize)> {
        let lanes = self.lanes.iter().enumerate();
        lanes
            .flat_map(|(lane, states)| {
                let places = states.iter().enumerate().skip(1).filter(|(_, state)| !state.first);
                places.map(move |(place, _)| (lane, place))
            })
            .collect()
    }

    /// The window that starts with the transition at `place`: the states, the one before included.
    fn window(&self, (lane, place): (usize, usize), steps: usize) -> Vec<State> {
        let states = &self.lanes[lane];
        let run = states.iter().skip(place).take(steps).take_while(|state| !state.first);
        std::iter::once(&states[place - 1]).chain(run).copied().collect()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Begin { lane: usize },
    Push { lane: usize, count: usize, last: bool, terminated: bool },
    ChangeWriter { lane: usize },
    SaveAndLoad,
    Sample { windows: usize, steps: usize, seed: u64 },
}

fn ops(lanes: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (0..lanes).prop_map(|lane| Op::Begin { lane }),
        8 => (0..lanes, 1..9_usize, any::<bool>(), any::<bool>())
            .prop_map(|(lane, count, last, terminated)| Op::Push { lane, count, last, terminated }),
        1 => (0..lanes).prop_map(|lane| Op::ChangeWriter { lane }),
        1 => Just(Op::SaveAndLoad),
        4 => (1..12_usize, 1..7_usize, any::<u64>())
            .prop_map(|(windows, steps, seed)| Op::Sample { windows, steps, seed }),
    ];
    prop::collection::vec(op, 1..60)
}

fn number(id: u16, salt: u16) -> f32 {
    f32::from(id) + f32::from(salt) / 8.0
}

/// Odd and even numbers of floats, and none at all.
fn observation(id: u16, len: usize) -> Vec<f32> {
    (0..len as u16).map(|salt| number(id, salt)).collect()
}

fn check_batch(model: &Model, layout: Layout, steps: usize, batch: &Batch) {
    let places = model.transitions();
    for window in batch {
        let id = window.rewards[0] as u16;
        let place = places.iter().copied().find(|&(lane, place)| model.lanes[lane][place].id == id);
        let expected = model.window(place.expect("a sampled transition is stored"), steps);
        let next: Vec<State> = expected[1..].to_vec();
        let floats = |states: &[State], len| states.iter().flat_map(|state| observation(state.id, len)).collect();
        let all: Vec<f32> = floats(&expected, layout.observation);
        let actions: Vec<f32> = floats(&next, layout.action);
        assert_eq!(window.observations, all);
        assert_eq!(window.actions, actions);
        assert_eq!(window.rewards, next.iter().map(|state| f32::from(state.id)).collect::<Vec<_>>());
        assert_eq!(window.log_probs, next.iter().map(|state| -f32::from(state.id)).collect::<Vec<_>>());
        assert_eq!(window.discounts, next.iter().map(|state| state.discount).collect::<Vec<_>>());
    }
}

fn run(layout: Layout, capacity: usize, lanes: usize, ops: Vec<Op>) {
    let mut model = Model { capacity, lanes: vec![VecDeque::new(); lanes], inserted: 0 };
    let mut buffer = ReplayBuffer::new(layout, capacity, lanes);
    let take = |buffer: &ReplayBuffer, lane| buffer.writer(lane).expect("the lane is free");
    let mut writers: Vec<TrajectoryWriter> = (0..lanes).map(|lane| take(&buffer, lane)).collect();
    let mut batch = Batch::new();
    let mut id = 0;
    for op in ops {
        match op {
            Op::Begin { lane } => {
                id += 1;
                writers[lane].begin(&observation(id, layout.observation));
                model.push(lane, State { id, first: true, discount: 1.0 });
            }
            Op::Push { lane, count, last, terminated } => {
                for step in 1..=count {
                    if !writers[lane].in_episode() {
                        break;
                    }
                    id += 1;
                    let last = last && step == count;
                    let discount = if last && terminated { 0.0 } else { 1.0 };
                    let (action, next) = (observation(id, layout.action), observation(id, layout.observation));
                    writers[lane].push(&action, -f32::from(id), f32::from(id), discount, &next, last);
                    model.push(lane, State { id, first: false, discount });
                }
            }
            Op::ChangeWriter { lane } => {
                let open = writers[lane].in_episode();
                let spare = ReplayBuffer::new(layout, capacity, lanes);
                drop(std::mem::replace(&mut writers[lane], take(&spare, lane)));
                writers[lane] = take(&buffer, lane);
                assert_eq!(writers[lane].in_episode(), open);
            }
            Op::SaveAndLoad => {
                let mut bytes = Vec::new();
                buffer.save(&mut bytes).expect("a vector takes every byte");
                buffer = ReplayBuffer::load_matching(&mut &bytes[..], layout, capacity, lanes).expect("just saved");
                writers = (0..lanes).map(|lane| take(&buffer, lane)).collect();
            }
            Op::Sample { windows, steps, seed } => {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                let result = buffer.sample(&mut rng, windows, steps, &mut batch);
                assert_eq!(result.is_err(), model.transitions().is_empty());
                assert_eq!(batch.windows, if result.is_err() { 0 } else { windows });
                assert_eq!(batch.redrawn, 0, "nobody writes meanwhile");
                check_batch(&model, layout, steps, &batch);
            }
        }
        assert_eq!(buffer.len(), model.transitions().len());
        assert_eq!(buffer.inserted(), model.inserted);
    }
    // Every stored transition can be drawn.
    let stored = model.transitions().len();
    if stored > 0 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
        buffer.sample(&mut rng, 40 * stored, 1, &mut batch).expect("transitions are stored");
        check_batch(&model, layout, 1, &batch);
        let mut found: Vec<u32> = batch.rewards.iter().map(|reward| *reward as u32).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), stored);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_buffer_is_its_model(
        observation in 0..6_usize,
        action in 0..4_usize,
        capacity in 1..40_usize,
        (lanes, ops) in (1..4_usize).prop_flat_map(|lanes| (Just(lanes), ops(lanes))),
    ) {
        run(Layout { observation, action }, capacity, lanes, ops);
    }

    /// Whatever bytes come in, loading neither panics nor takes absurd memory.
    #[test]
    fn loading_survives_damage(at in 0..400_usize, value in any::<u8>(), cut in 0..400_usize) {
        let buffer = ReplayBuffer::new(Layout { observation: 2, action: 1 }, 8, 1);
        let mut writer = buffer.writer(0).expect("the lane is free");
        writer.begin(&[0.0; 2]);
        for _ in 0..5 {
            writer.push(&[0.0], 0.0, 0.0, 1.0, &[0.0; 2], false);
        }
        let mut bytes = Vec::new();
        buffer.save(&mut bytes).expect("a vector takes every byte");
        let at = at % bytes.len();
        let intact = bytes[at] == value;
        bytes[at] = value;
        prop_assert_eq!(ReplayBuffer::load(&mut &bytes[..]).is_ok(), intact);
        let cut = cut % bytes.len();
        prop_assert!(ReplayBuffer::load(&mut &bytes[..cut]).is_err());
    }
}
