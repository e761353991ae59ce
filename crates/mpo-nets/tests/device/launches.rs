//! The launch list itself: what follows what, and what its dry run says.

use mpo_nets::cuda::{Argument, Capacity, KERNELS, Model, Population};

use crate::data::Case;

fn model() -> Model {
    Case::walker().model(0)
}

#[test]
fn an_update_is_one_list_of_every_kernel_whose_branches_run_side_by_side() {
    let list = Population::launch_list(&model(), Capacity { transitions: 256, windows: 32 }, 10);
    let names: Vec<&str> = list.launches.iter().map(|launch| launch.kernel).collect();
    assert!(KERNELS.iter().all(|kernel| names.contains(kernel)), "{names:?}");
    let place = |kernel: &str| names.iter().position(|name| *name == kernel).expect("in the list");
    assert!(list.ordered(place("act"), place("values")) && list.ordered(place("values"), place("improve")));
    assert!(list.ordered(place("retrace"), place("backward_critic")));
    assert!(!list.ordered(place("act"), place("value_states")) && !list.ordered(place("value_states"), place("act")));
    let (critic, policy) = (place("backward_critic"), place("backward_policy"));
    assert!(!list.ordered(critic, policy) && !list.ordered(policy, critic));
    let finish = place("finish");
    assert!((0..finish).all(|before| list.ordered(before, finish)), "all ends before the decision to step");
    assert!(list.launches.iter().all(|launch| launch.grid[2] == 10), "every launch is of all runs");
}

#[test]
fn whatever_two_launches_share_is_ordered_between_them_if_one_writes_it() {
    let list = Population::launch_list(&model(), Capacity { transitions: 256, windows: 32 }, 1);
    let sets = |index: usize| {
        let launch = &list.launches[index];
        let (mut read, mut written) = (launch.reads.clone(), launch.writes.clone());
        for argument in &launch.arguments {
            match argument {
                Argument::Read(name) => read.push(name),
                Argument::Write(name) => written.push(name),
                _ => {}
            }
        }
        (read, written)
    };
    for later in 0..list.launches.len() {
        for earlier in 0..later {
            let ((read_a, written_a), (read_b, written_b)) = (sets(earlier), sets(later));
            let mut shared = written_a.iter().filter(|name| read_b.contains(name) || written_b.contains(name));
            let clash = shared.next().or_else(|| written_b.iter().find(|name| read_a.contains(name)));
            assert!(clash.is_none() || list.ordered(earlier, later), "{earlier} and {later} race for {clash:?}");
        }
    }
}

#[test]
fn a_dry_run_names_kernels_grids_arguments_and_order() {
    let text = Population::launch_list(&model(), Capacity { transitions: 256, windows: 32 }, 1).to_string();
    for part in ["launches for 1 runs", "values", "mut q@", "batch.states@", "after"] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}
