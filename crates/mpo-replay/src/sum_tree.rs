//! Leaves that are found in proportion to their values.

/// A complete binary tree whose nodes are the sums of their children. Sums are formed anew, never adjusted, so that
/// rounding does not pile up.
#[derive(Clone, Debug)]
pub(crate) struct SumTree {
    nodes: Vec<f64>,
}

impl SumTree {
    pub(crate) fn new(leaves: usize) -> Self {
        Self { nodes: vec![0.0; 2 * leaves.next_power_of_two()] }
    }

    fn leaves(&self) -> usize {
        self.nodes.len() / 2
    }

    pub(crate) fn total(&self) -> f64 {
        self.nodes[1]
    }

    pub(crate) fn get(&self, leaf: usize) -> f64 {
        self.nodes[self.leaves() + leaf]
    }

    pub(crate) fn set(&mut self, leaf: usize, value: f64) {
        let mut node = self.leaves() + leaf;
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    /// Gives `leaves` their values, and 0 to all others, in one pass.
    pub(crate) fn fill(&mut self, leaves: impl Iterator<Item = (usize, f64)>) {
        let count = self.leaves();
        self.nodes.fill(0.0);
        for (leaf, value) in leaves {
            self.nodes[count + leaf] = value;
        }
        for node in (1..count).rev() {
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    /// The leaf at which the running sum of the leaves first exceeds `mass`; never one of value 0 while `total` is not.
    pub(crate) fn find(&self, mut mass: f64) -> usize {
        let mut node = 1;
        while node < self.leaves() {
            let [left, right] = [self.nodes[2 * node], self.nodes[2 * node + 1]];
            // Rounding may leave a mass that exceeds all: it must not lead into an empty half.
            if mass < left || right <= 0.0 {
                node *= 2;
            } else {
                mass -= left;
                node = 2 * node + 1;
            }
        }
        node - self.leaves()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_finds_every_leaf_by_its_share() {
        let mut tree = SumTree::new(5);
        for (leaf, value) in [1.0, 0.0, 2.0, 4.0, 0.0].into_iter().enumerate() {
            tree.set(leaf, value);
        }
        assert!((tree.total() - 7.0).abs() < 1e-12);
        let found = [0.0, 0.9, 1.0, 2.9, 3.0, 6.9, 7.0, 1e9].map(|mass| tree.find(mass));
        assert_eq!(found, [0, 0, 2, 2, 3, 3, 3, 3]);
        assert_eq!(SumTree::new(1).find(0.0), 0);
    }
}
