//! Reading the suite's model files.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::xml;
use crate::EnvError;
use crate::assets::Assets;
use crate::mjcf::Setup;
use crate::mujoco::{Library, Physics};

/// How a task is set up from the model files.
pub(crate) type SetupFn = fn(&Models) -> Result<Setup, EnvError>;

/// The files that the suite's models include, by the names used there.
const COMMON: [&str; 3] = ["./common/materials.xml", "./common/skybox.xml", "./common/visual.xml"];

/// When a model lacks what its task was written for.
const CURE: &str = "run `cargo xtask setup` for the pinned files";

/// Where models come from: the library that compiles them and the folder that holds them.
#[derive(Debug)]
pub(crate) struct Models {
    library: Arc<Library>,
    folder: PathBuf,
    textured: bool,
}

impl Models {
    /// Loads the library.
    ///
    /// # Errors
    ///
    /// Those of [`Library::load`].
    pub(crate) fn new(assets: &Assets) -> Result<Self, EnvError> {
        Ok(Self { library: Library::load(&assets.library)?, folder: assets.suite.clone(), textured: false })
    }

    /// With the models' textures, which are left out otherwise.
    pub(crate) fn textured(self) -> Self {
        Self { textured: true, ..self }
    }

    /// The text of a model file.
    ///
    /// # Errors
    ///
    /// [`EnvError::ModelFile`].
    pub(crate) fn read(&self, file: &str) -> Result<String, EnvError> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).map_err(|source| EnvError::ModelFile { path, source })
    }

    /// A simulation of the model file as it is.
    ///
    /// # Errors
    ///
    /// [`EnvError::ModelFile`] and [`EnvError::InvalidModel`].
    pub(crate) fn physics(&self, file: &'static str) -> Result<Physics, EnvError> {
        self.compile(file, &self.read(file)?)
    }

    /// A simulation of MJCF text that was made from the model file.
    ///
    /// # Errors
    ///
    /// [`EnvError::ModelFile`] for the included files and [`EnvError::InvalidModel`].
    pub(crate) fn compile(&self, file: &'static str, text: &str) -> Result<Physics, EnvError> {
        let dressed = |text: &str| if self.textured { text.to_owned() } else { xml::without_textures(text) };
        let mut included = Vec::with_capacity(COMMON.len());
        for name in COMMON {
            included.push((name, dressed(&self.read(name)?)));
        }
        let included: Vec<_> = included.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Physics::from_xml(&self.library, file, &dressed(text), &included, CURE)
    }
}
