//! One flat parameter buffer, and where each tensor of a network type lies in it.

use std::ops::Range;

use dfdx::{
    nn::{RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorName, ViewTensorRef},
    shapes::{HasShape, Shape},
    tensor::{Cpu, Tensor},
};

/// One tensor's place in the flat buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the module, for instance `hidden.weight`.
    pub name: String,
    /// Its shape; the data are row-major.
    pub shape: Vec<usize>,
    /// Its numbers' positions in the buffer.
    pub range: Range<usize>,
}

/// The table of a network's tensors in their one flat buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    /// Reads names, shapes and values of all tensors of a dfdx module.
    #[must_use]
    pub fn flatten<M: TensorCollection<f32, Cpu>>(module: &M) -> (Self, Vec<f32>) {
        let mut flattener = Flattener { layout: Self::default(), values: Vec::new() };
        let walked: Result<Option<M::To<f32, Cpu>>, std::convert::Infallible> =
            M::iter_tensors(&mut RecursiveWalker { m: (module, String::new()), f: &mut flattener });
        match walked {
            Ok(_) => (flattener.layout, flattener.values),
        }
    }

    /// The layout of tensors of these names and shapes, one after another.
    #[must_use]
    pub fn from_shapes(shapes: &[(&str, &[usize])]) -> Self {
        let mut start = 0;
        let entries = shapes.iter().map(|&(name, shape)| {
            let range = start..start + shape.iter().product::<usize>();
            start = range.end;
            Entry { name: name.to_owned(), shape: shape.to_vec(), range }
        });
        Self { entries: entries.collect() }
    }

    /// The layout of modules one after another, each with its name before those of its tensors.
    #[must_use]
    pub fn join(parts: &[(&str, &Self)]) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (part, layout) in parts {
            let start = entries.last().map_or(0, |entry| entry.range.end);
            entries.extend(layout.entries.iter().map(|entry| Entry {
                name: format!("{part}.{}", entry.name),
                shape: entry.shape.clone(),
                range: start + entry.range.start..start + entry.range.end,
            }));
        }
        Self { entries }
    }

    /// The tensors, in the order in which they lie in the buffer.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The buffer's length.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.range.end)
    }

    /// Whether the network has no parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

struct Flattener {
    layout: Layout,
    values: Vec<f32>,
}

impl TensorVisitor<f32, Cpu> for Flattener {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = std::convert::Infallible;
    type E2 = f32;
    type D2 = Cpu;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, f32, Cpu>,
        (tensor, name): (&Tensor<S, f32, Cpu>, String),
    ) -> Result<Option<Tensor<S, f32, Cpu>>, Self::Err> {
        let start = self.values.len();
        self.values.extend(tensor.as_vec());
        self.layout.entries.push(Entry {
            name,
            shape: tensor.shape().concrete().into_iter().collect(),
            range: start..self.values.len(),
        });
        Ok(None)
    }
}
