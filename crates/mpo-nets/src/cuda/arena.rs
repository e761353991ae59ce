//! Where numbers lie on the device: one run of words per learner, named pieces in it.

/// A named piece of an [`Arena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its name in launch lists.
    pub name: &'static str,
    /// Its first word.
    pub at: usize,
    /// Its number of 32-bit words.
    pub len: usize,
}

/// The pieces of a stretch of device memory, each aligned to a cache line.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    buffers: Vec<Buffer>,
    len: usize,
}

/// Words of a cache line.
const LINE: usize = 32;

impl Arena {
    /// Adds a piece of `len` words.
    pub fn add(&mut self, name: &'static str, len: usize) {
        self.buffers.push(Buffer { name, at: self.len, len });
        self.len += len.next_multiple_of(LINE);
    }

    /// The piece of this name, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Buffer> {
        self.buffers.iter().copied().find(|buffer| buffer.name == name)
    }

    /// The piece of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Buffer {
        self.find(name).unwrap_or_else(|| panic!("the arena has no buffer {name}"))
    }

    /// All pieces in their order.
    #[must_use]
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Words of the whole.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
