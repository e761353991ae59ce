//! `mpo plot`.

use std::path::Path;

use anyhow::bail;

use super::{Figure, png, svg};
use crate::{cli::PlotOptions, output, records};

/// Runs `mpo plot`.
///
/// # Errors
/// If no run has been evaluated, the file's extension is unknown, or a file cannot be read or written.
pub fn command(options: &PlotOptions) -> anyhow::Result<()> {
    let make = if options.trajectories { Figure::over_trajectories } else { Figure::new };
    let figure = make(options.title.clone(), &records::find(&options.runs)?, options.until);
    if options.trajectories && figure.panels.is_empty() {
        bail!("no course of parkour has been evaluated there; without --trajectories other runs are drawn");
    }
    export(&figure, &options.output)?;
    output::note(&format!("wrote {}", options.output.display()));
    Ok(())
}

/// Writes `figure` in the format that the file's extension names.
///
/// # Errors
/// If the figure has no panel, the extension is neither `svg` nor `png`, or the file cannot be written.
pub fn export(figure: &Figure, path: &Path) -> anyhow::Result<()> {
    if figure.panels.is_empty() {
        bail!("no run has been evaluated yet: there is no curve to draw");
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => output::save(path, svg(figure)?.as_bytes()),
        Some("png") => output::save(path, &png(figure)?),
        _ => bail!("cannot tell the format of {}: name it FILE.svg or FILE.png", path.display()),
    }
}
