//! Pictures of environments, and a sheet of many with their names.

use anyhow::{Context as _, anyhow};
use mpo_envs::{Environment, render::Renderer};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Rays per pixel and direction: edges of single rays look torn.
const SUPERSAMPLING: usize = 2;
/// Pictures in a row of a sheet.
const COLUMNS: usize = 7;
/// Pixels around pictures, and for the name below each.
const MARGIN: usize = 6;
const CAPTION: usize = 18;
const FONT_SIZE: f64 = 15.0;
const INK: RGBColor = RGBColor(40, 44, 52);

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
    /// If the environment, called `task`, draws no pictures.
    pub fn take(
        environment: &mut dyn Environment,
        task: &str,
        (width, height): (usize, usize),
    ) -> anyhow::Result<Self> {
        let scene = environment.scene(0).with_context(|| format!("{task} draws no pictures"))?;
        let mut renderer = Renderer::new(width * SUPERSAMPLING, height * SUPERSAMPLING);
        let fine = renderer.frame(&scene);
        let mut pixels = Vec::with_capacity(3 * width * height);
        for index in 0..3 * width * height {
            let (row, column, colour) = (index / 3 / width, index / 3 % width, index % 3);
            let mut sum = 0;
            for y in 0..SUPERSAMPLING {
                let start = ((row * SUPERSAMPLING + y) * width + column) * SUPERSAMPLING * 3 + colour;
                sum += (0..SUPERSAMPLING).map(|x| u32::from(fine[start + 3 * x])).sum::<u32>();
            }
            pixels.push((sum / (SUPERSAMPLING * SUPERSAMPLING) as u32) as u8);
        }
        Ok(Self { width, height, pixels })
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
    fn a_png_can_be_read_again() {
        let picture = plain(77);
        let file = picture.png().expect("a PNG");
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("a frame");
        assert_eq!((info.width, info.height, pixels), (60, 40, picture.pixels));
    }
}
