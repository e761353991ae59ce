//! Pictures of environments, and a sheet of many with their names.

use anyhow::{Context as _, anyhow};
use mpo_envs::{Environment, FrameSpec, Screen, mujoco::EglRenderer, render::Renderer, suite};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::cli::RendererName;

/// Rays per pixel and direction: edges of single rays look torn.
const SUPERSAMPLING: usize = 2;
/// Pictures in a row of a sheet.
const COLUMNS: usize = 7;
/// Pixels around pictures, and for the name below each.
const MARGIN: usize = 6;
const CAPTION: usize = 18;
const FONT_SIZE: f64 = 15.0;
const INK: RGBColor = RGBColor(40, 44, 52);

/// Makes renderers of the kind that was asked for, and environments for them.
#[derive(Debug)]
pub struct Artist {
    egl: bool,
    /// What there is to say about the choice, as a line of its own; empty when there was none.
    pub note: String,
}

impl Artist {
    /// Looks for EGL where it may be used, for pictures of the given size.
    ///
    /// # Errors
    /// If EGL was asked for and cannot be used.
    pub fn new(renderer: RendererName, (width, height): (usize, usize)) -> anyhow::Result<Self> {
        match (renderer, (renderer != RendererName::Cpu).then(|| EglRenderer::new(width, height))) {
            (RendererName::Egl, Some(Err(error))) => Err(error.into()),
            (_, Some(Err(error))) => Ok(Self { egl: false, note: format!("drawn by the ray caster: {error}\n") }),
            (_, Some(Ok(_))) => {
                Ok(Self { egl: true, note: "drawn by MuJoCo's own renderer, through EGL\n".to_owned() })
            }
            (_, None) => Ok(Self { egl: false, note: String::new() }),
        }
    }

    /// The environment of a task, with the textures that its pictures show.
    ///
    /// # Errors
    /// Those of [`mpo_envs::load`].
    pub fn load(&self, task: &str, seed: u32) -> anyhow::Result<Box<dyn Environment>> {
        match suite::find(task) {
            Ok(info) if self.egl => Ok(suite::load_textured(info.name, seed)?),
            _ => Ok(mpo_envs::load(task, seed)?),
        }
    }

    /// A canvas for the frames of a film.
    ///
    /// # Errors
    /// If they are too large for EGL's driver.
    pub fn canvas(&self, size: (usize, usize)) -> anyhow::Result<Canvas> {
        self.canvas_of(size, 1)
    }

    /// A canvas for pictures with smooth edges, which OpenGL's are already.
    ///
    /// # Errors
    /// If they are too large for EGL's driver.
    pub fn fine_canvas(&self, size: (usize, usize)) -> anyhow::Result<Canvas> {
        self.canvas_of(size, if self.egl { 1 } else { SUPERSAMPLING })
    }

    fn canvas_of(&self, (width, height): (usize, usize), fineness: usize) -> anyhow::Result<Canvas> {
        let (wide, high) = (width * fineness, height * fineness);
        let drawer =
            if self.egl { Drawer::Egl(EglRenderer::new(wide, high)?) } else { Drawer::Cpu(Renderer::new(wide, high)) };
        Ok(Canvas { drawer, width, height, fineness })
    }
}

/// A renderer with the memory for its frames.
#[derive(Debug)]
pub struct Canvas {
    drawer: Drawer,
    width: usize,
    height: usize,
    /// Rays per pixel and direction.
    fineness: usize,
}

#[derive(Debug)]
enum Drawer {
    Cpu(Renderer),
    Egl(EglRenderer),
}

impl Canvas {
    /// What the environment's first camera sees of its present state: red, green and blue of every ray, row by row from
    /// the upper left.
    ///
    /// # Errors
    /// If the environment, called `task`, draws no pictures, or the driver gives up.
    pub fn frame(&mut self, environment: &mut dyn Environment, task: &str) -> anyhow::Result<&[u8]> {
        let nothing = || format!("{task} draws no pictures");
        match &mut self.drawer {
            Drawer::Cpu(renderer) => Ok(renderer.frame(&environment.scene(0).with_context(nothing)?)),
            Drawer::Egl(renderer) => Ok(renderer.frame(environment.physics().with_context(nothing)?, 0)?),
        }
    }
}

/// Red, green and blue of every pixel, row by row from the upper left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height * 3` values.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// What the environment's first camera sees of its present state.
    ///
    /// # Errors
    /// Those of [`Canvas::frame`].
    pub fn take(canvas: &mut Canvas, environment: &mut dyn Environment, task: &str) -> anyhow::Result<Self> {
        let Canvas { width, height, fineness, .. } = *canvas;
        let fine = canvas.frame(environment, task)?;
        let mut pixels = Vec::with_capacity(3 * width * height);
        for index in 0..3 * width * height {
            let (row, column, colour) = (index / 3 / width, index / 3 % width, index % 3);
            let mut sum = 0;
            for y in 0..fineness {
                let start = ((row * fineness + y) * width + column) * fineness * 3 + colour;
                sum += (0..fineness).map(|x| u32::from(fine[start + 3 * x])).sum::<u32>();
            }
            pixels.push((sum / (fineness * fineness) as u32) as u8);
        }
        Ok(Self { width, height, pixels })
    }

    /// A game's own screen.
    #[must_use]
    pub fn of_screen(screen: Screen) -> Self {
        Self { width: screen.width, height: screen.height, pixels: screen.rgb }
    }

    /// A grey frame as an agent sees it.
    #[must_use]
    pub fn of_frame(spec: FrameSpec, frame: &[u8]) -> Self {
        Self { width: spec.width, height: spec.height, pixels: frame.iter().flat_map(|&grey| [grey; 3]).collect() }
    }

    /// The picture with other sides, each pixel that of the old one which lies there: edges stay sharp.
    ///
    /// # Panics
    /// If the picture has no pixel.
    #[must_use]
    pub fn resized(&self, (width, height): (usize, usize)) -> Self {
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            let row = y * self.height / height * self.width;
            for x in 0..width {
                let at = 3 * (row + x * self.width / width);
                pixels.extend_from_slice(&self.pixels[at..at + 3]);
            }
        }
        Self { width, height, pixels }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// If the encoder refuses it.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().context("cannot encode the picture")?;
        writer.write_image_data(&self.pixels).context("cannot encode the picture")?;
        writer.finish().context("cannot encode the picture")?;
        Ok(file)
    }
}

/// All pictures in rows, each above its name.
///
/// # Errors
/// If a name cannot be drawn.
///
/// # Panics
/// If the pictures differ in size.
pub fn sheet(named: &[(&str, Picture)]) -> anyhow::Result<Picture> {
    let (width, height) = named.first().map_or((0, 0), |(_, picture)| (picture.width, picture.height));
    let (columns, rows) = (COLUMNS.min(named.len()), named.len().div_ceil(COLUMNS));
    let cell = (width + MARGIN, height + CAPTION + MARGIN);
    let (wide, high) = (columns * cell.0 + MARGIN, rows * cell.1 + MARGIN);
    let mut pixels = vec![255; 3 * wide * high];
    let place = |index: usize| (MARGIN + index % COLUMNS * cell.0, MARGIN + index / COLUMNS * cell.1);
    for (index, (name, picture)) in named.iter().enumerate() {
        assert_eq!((picture.width, picture.height), (width, height), "size of the picture of {name}");
        let (left, top) = place(index);
        for (row, line) in picture.pixels.chunks_exact(3 * width).enumerate() {
            let start = 3 * ((top + row) * wide + left);
            pixels[start..start + 3 * width].copy_from_slice(line);
        }
    }
    crate::plot::register_fonts();
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (wide as u32, high as u32)).into_drawing_area();
        let font = TextStyle::from((FontFamily::SansSerif, FONT_SIZE).into_font()).color(&INK);
        for (index, (name, _)) in named.iter().enumerate() {
            let (left, top) = place(index);
            let at = ((left + width / 2) as i32, (top + height + 2) as i32);
            let text = Text::new((*name).to_owned(), at, font.clone().pos(Pos::new(HPos::Center, VPos::Top)));
            area.draw(&text).map_err(|error| anyhow!("cannot draw the name {name}: {error}"))?;
        }
        area.present().map_err(|error| anyhow!("cannot draw the sheet: {error}"))?;
    }
    Ok(Picture { width: wide, height: high, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(colour: u8) -> Picture {
        Picture { width: 60, height: 40, pixels: vec![colour; 3 * 60 * 40] }
    }

    #[test]
    fn a_sheet_holds_every_picture_and_something_below_it() {
        let named: Vec<_> = (0..9_u8).map(|index| ("name", plain(10 * index))).collect();
        let sheet = sheet(&named).expect("a sheet");
        assert_eq!((sheet.width, sheet.height), (7 * 66 + 6, 2 * 64 + 6));
        let pixel = |x: usize, y: usize| sheet.pixels[3 * (y * sheet.width + x)];
        for (index, (_, picture)) in named.iter().enumerate() {
            let (left, top) = (6 + index % 7 * 66, 6 + index / 7 * 64);
            assert_eq!(pixel(left, top), picture.pixels[0]);
            assert_eq!(pixel(left + 59, top + 39), picture.pixels[0]);
            let caption = (0..60 * 18).any(|at| pixel(left + at % 60, top + 40 + at / 60) < 128);
            assert!(caption, "no name below picture {index}");
        }
        assert_eq!(pixel(sheet.width - 1, sheet.height - 1), 255);
    }

    #[test]
    fn an_enlarged_frame_keeps_its_pixels() {
        let spec = FrameSpec { height: 2, width: 3, stack: 1 };
        let small = Picture::of_frame(spec, &[1, 2, 3, 4, 5, 6]);
        let large = small.resized((6, 4));
        assert_eq!((large.width, large.height), (6, 4));
        let greys: Vec<u8> = large.pixels.iter().step_by(3).copied().collect();
        assert_eq!(greys[..12], [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3]);
        assert_eq!(greys[12..], [4, 4, 5, 5, 6, 6, 4, 4, 5, 5, 6, 6]);
        assert!(large.pixels.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
        assert_eq!(large.resized((3, 2)), small);
    }

    #[test]
    fn a_png_can_be_read_again() {
        let picture = plain(77);
        let file = picture.png().expect("a PNG");
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("a frame");
        assert_eq!((info.width, info.height, pixels), (60, 40, picture.pixels));
    }
}
