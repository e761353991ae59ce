//! One update as data: kernels, their grids, their arguments, and which must follow which.

use std::fmt;

use super::arena::Arena;

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The first run's piece of this name of the learners' arena, which the kernel reads.
    Read(&'static str),
    /// The same, which it writes, and may read.
    Write(&'static str),
    /// The first run's piece of this name of the batch in the first slot; kernels only read batches.
    Batch(&'static str),
    /// The first word of the arena; what of it is read and written stands beside the arguments.
    Arena,
    /// The first word of the first slot of batches.
    Batches,
    /// A number.
    Word(u32),
}

/// One launch of a kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Blocks; the third dimension is the runs.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Words of dynamic shared memory of a block.
    pub shared: u32,
    /// The arguments in the kernel's order.
    pub arguments: Vec<Argument>,
    /// Pieces that it reads through [`Argument::Arena`].
    pub reads: Vec<&'static str>,
    /// Pieces that it writes through [`Argument::Arena`].
    pub writes: Vec<&'static str>,
    /// Launches before it in the list that must have ended, by their places: those that write what this one reads or
    /// writes, and those that read what it writes.
    pub after: Vec<usize>,
}

impl Launch {
    /// A launch of `blocks` blocks for each run; the list computes what it must follow.
    #[must_use]
    pub fn new(kernel: &'static str, blocks: usize, threads: usize, shared: usize, arguments: Vec<Argument>) -> Self {
        Self {
            kernel,
            grid: [blocks as u32, 1, 1],
            threads: threads as u32,
            shared: shared as u32,
            arguments,
            reads: Vec::new(),
            writes: Vec::new(),
            after: Vec::new(),
        }
    }

    fn read(&self) -> impl Iterator<Item = &'static str> + '_ {
        let named = self.arguments.iter().filter_map(|argument| match argument {
            Argument::Read(name) => Some(*name),
            _ => None,
        });
        named.chain(self.reads.iter().copied())
    }

    fn written(&self) -> impl Iterator<Item = &'static str> + '_ {
        let named = self.arguments.iter().filter_map(|argument| match argument {
            Argument::Write(name) => Some(*name),
            _ => None,
        });
        named.chain(self.writes.iter().copied())
    }

    fn conflicts(&self, earlier: &Self) -> bool {
        let touched = |name| earlier.written().any(|written| written == name);
        self.read().any(touched) || self.written().any(|name| touched(name) || earlier.read().any(|read| read == name))
    }
}

/// The launches of one update of `runs` learners side by side, in an order that respects what each must follow.
#[derive(Clone, Debug)]
pub struct LaunchList {
    /// The launches.
    pub launches: Vec<Launch>,
    /// Pieces of a learner's arena.
    pub arena: Arena,
    /// Pieces of a learner's batch.
    pub batch: Arena,
    /// Learners.
    pub runs: usize,
    /// The first launch that waits for other workers, whose numbers meet this one's before it; `None` for a learner alone.
    pub meeting: Option<usize>,
}

impl LaunchList {
    /// A list without launches.
    #[must_use]
    pub fn new(arena: Arena, batch: Arena, runs: usize) -> Self {
        Self { launches: Vec::new(), arena, batch, runs, meeting: None }
    }

    /// Appends a launch for all runs. It follows what it conflicts with, except where another that it follows does already.
    ///
    /// # Panics
    /// If it names a piece that does not exist.
    pub fn push(&mut self, mut launch: Launch) {
        for name in launch.read().chain(launch.written()) {
            let _ = self.arena.get(name);
        }
        launch.grid[2] = self.runs as u32;
        let mut implied = vec![false; self.launches.len()];
        for (index, earlier) in self.launches.iter().enumerate().rev() {
            if !implied[index] && launch.conflicts(earlier) {
                launch.after.push(index);
                implied[index] = true;
            }
            if implied[index] {
                earlier.after.iter().for_each(|&before| implied[before] = true);
            }
        }
        launch.after.reverse();
        self.launches.push(launch);
    }

    /// The launches that need no other worker.
    #[must_use]
    pub fn before_meeting(&self) -> &[Launch] {
        &self.launches[..self.meeting.unwrap_or(self.launches.len())]
    }

    /// The launches that follow the meeting.
    #[must_use]
    pub fn after_meeting(&self) -> &[Launch] {
        &self.launches[self.meeting.unwrap_or(self.launches.len())..]
    }

    /// The words of a kernel's trailing numbers: stride of the arena, stride of a batch, words of a slot.
    #[must_use]
    pub fn strides(&self) -> [u32; 3] {
        [self.arena.len() as u32, self.batch.len() as u32, (self.runs * self.batch.len()) as u32]
    }

    /// Whether launch `later` starts only after `earlier` has ended.
    #[must_use]
    pub fn ordered(&self, earlier: usize, later: usize) -> bool {
        self.launches[later].after.iter().any(|&before| before == earlier || self.ordered(earlier, before))
    }
}

impl fmt::Display for LaunchList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |words: usize| words as f64 * 4.0 / 1024.0;
        writeln!(
            f,
            "{} launches for {} runs; {:.1} KiB a run, {:.1} KiB a batch in each of two slots",
            self.launches.len(),
            self.runs,
            kib(self.arena.len()),
            kib(self.batch.len()),
        )?;
        writeln!(f, "{:>3}  {:<18} {:>14} {:>8} {:>8}  after", "", "kernel", "blocks", "threads", "shared")?;
        for (index, launch) in self.launches.iter().enumerate() {
            let [x, _, z] = launch.grid;
            let blocks = format!("{x} x {z}");
            let bytes = 4 * launch.shared;
            let after: Vec<String> = launch.after.iter().map(ToString::to_string).collect();
            writeln!(
                f,
                "{index:>3}  {:<18} {blocks:>14} {:>8} {bytes:>8}  {}",
                launch.kernel,
                launch.threads,
                after.join(" ")
            )?;
            let arguments: Vec<String> = launch.arguments.iter().map(|a| self.describe(*a)).collect();
            writeln!(f, "     ({})", arguments.join(", "))?;
        }
        Ok(())
    }
}

impl LaunchList {
    fn describe(&self, argument: Argument) -> String {
        match argument {
            Argument::Read(name) => format!("{name}@{}", self.arena.get(name).at),
            Argument::Write(name) => format!("mut {name}@{}", self.arena.get(name).at),
            Argument::Batch(name) => format!("batch.{name}@{}", self.batch.get(name).at),
            Argument::Arena => "arena".to_owned(),
            Argument::Batches => "batches".to_owned(),
            Argument::Word(word) => word.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> LaunchList {
        let mut arena = Arena::default();
        for name in ["a", "b", "c"] {
            arena.add(name, 5);
        }
        LaunchList::new(arena, Arena::default(), 2)
    }

    #[test]
    fn a_launch_follows_what_writes_its_inputs_and_what_reads_its_outputs() {
        use Argument::{Read, Write};
        let mut list = list();
        list.push(Launch::new("makes a", 1, 32, 0, vec![Write("a")]));
        list.push(Launch::new("makes b", 1, 32, 0, vec![Write("b")]));
        list.push(Launch::new("reads a", 1, 32, 0, vec![Read("a"), Write("c")]));
        list.push(Launch::new("reads c", 1, 32, 0, vec![Read("a"), Read("c")]));
        list.push(Launch::new("overwrites a", 1, 32, 0, vec![Write("a")]));
        let after: Vec<&[usize]> = list.launches.iter().map(|launch| &launch.after[..]).collect();
        // What follows the third follows the first through it.
        assert_eq!(after, [&[][..], &[], &[0], &[2], &[3]]);
        assert!(list.ordered(0, 4) && !list.ordered(1, 4));
        assert_eq!(list.launches[0].grid, [1, 1, 2]);
    }

    #[test]
    #[should_panic(expected = "no buffer d")]
    fn a_name_that_does_not_exist_is_refused() {
        list().push(Launch::new("x", 1, 32, 0, vec![Argument::Read("d")]));
    }

    #[test]
    fn pieces_begin_on_lines_of_their_own() {
        assert_eq!(list().arena.get("b"), crate::cuda::arena::Buffer { name: "b", at: 32, len: 5 });
    }
}
