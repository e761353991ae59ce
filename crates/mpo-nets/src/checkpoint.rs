//! A learner's state as safetensors bytes: named arrays that any language can read.

use std::collections::{BTreeMap, HashMap};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::NetsError;

/// Collects named arrays and numbers.
#[derive(Default)]
pub(crate) struct Writer {
    arrays: Vec<(String, Vec<usize>, Vec<u8>)>,
    numbers: BTreeMap<String, u64>,
}

/// The header's one metadata entry: one, because safetensors keeps them in a hash map, whose order would make the bytes of
/// equal learners differ.
const NUMBERS: &str = "numbers";

impl Writer {
    pub(crate) fn array(&mut self, name: impl Into<String>, shape: &[usize], data: &[f32]) {
        let bytes = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.arrays.push((name.into(), shape.to_vec(), bytes));
    }

    /// Integers go into the header, where 64 bits survive.
    pub(crate) fn number(&mut self, name: impl Into<String>, value: u64) {
        self.numbers.insert(name.into(), value);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let views = self.arrays.iter().map(|(name, shape, bytes)| {
            let view =
                TensorView::new(Dtype::F32, shape.clone(), bytes).expect("an array has as many numbers as its shape");
            (name.as_str(), view)
        });
        let numbers: Vec<String> = self.numbers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let metadata = HashMap::from([(NUMBERS.to_owned(), numbers.join(" "))]);
        safetensors::serialize(views, Some(metadata)).expect("arrays and numbers serialise")
    }
}

/// Reads what [`Writer`] wrote, checking every shape.
pub(crate) struct Reader<'a> {
    arrays: SafeTensors<'a>,
    numbers: BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, NetsError> {
        let damaged = |error: safetensors::SafeTensorError| NetsError::Damaged { reason: error.to_string() };
        let arrays = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let text = metadata.metadata().as_ref().and_then(|entries| entries.get(NUMBERS)).map_or("", String::as_str);
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        Ok(Self { arrays, numbers: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() })
    }

    pub(crate) fn array(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, NetsError> {
        let mismatch = |found: String| NetsError::Mismatch {
            tensor: name.to_owned(),
            found,
            expected: format!("shape {shape:?}"),
        };
        let view = self.arrays.tensor(name).map_err(|_| mismatch("is missing".to_owned()))?;
        if view.shape() != shape || view.dtype() != Dtype::F32 {
            return Err(mismatch(format!("has shape {:?}", view.shape())));
        }
        Ok(view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64, NetsError> {
        let found = self.numbers.get(name);
        found.and_then(|text| text.parse().ok()).ok_or_else(|| NetsError::Mismatch {
            tensor: name.to_owned(),
            found: found.map_or("is missing".to_owned(), |text| format!("is `{text}`")),
            expected: "an unsigned integer".to_owned(),
        })
    }
}
