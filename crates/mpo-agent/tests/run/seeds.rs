//! Streams are many, and reproducible.

use mpo_agent::Seeds;
use proptest::prelude::*;
use rand::Rng;

proptest! {
    #[test]
    fn streams_differ_by_root_and_by_name(a: u64, b: u64, one in "[a-z]{1,12}", other in "[a-z]{1,12}") {
        let draw = |root, name: &str| Seeds::new(root).stream(name).next_u64();
        prop_assert_eq!(draw(a, &one), draw(a, &one));
        prop_assert_eq!(draw(a, &one) == draw(b, &one), a == b);
        prop_assert_eq!(draw(a, &one) == draw(a, &other), one == other);
    }

    #[test]
    fn the_streams_of_one_run_share_no_beginning(root: u64) {
        let names = ["environment", "actor", "replay", "learner", "evaluator"];
        let mut draws: Vec<u64> = names
            .iter()
            .flat_map(|name| {
                let mut stream = Seeds::new(root).stream(name);
                std::iter::repeat_with(move || stream.next_u64()).take(100)
            })
            .collect();
        draws.sort_unstable();
        draws.dedup();
        prop_assert_eq!(draws.len(), 500);
        let seeds = Seeds::new(root);
        prop_assert_ne!(seeds.seed_u32("environment"), seeds.seed_u32("evaluator"));
    }
}
