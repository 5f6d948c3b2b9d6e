//! The truth about pictures of the demo scene, in COCO's format for detection sets.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::base::atomic_file::Part;
use crate::base::error::{Error, Kind, Result};
use crate::capture::demo::{bbox, spec::Size};
use crate::demo::{CLASSES, TrueBox};

#[derive(Serialize)]
struct Image {
    id: usize,
    file_name: String,
    width: u32,
    height: u32,
    /// When in the scene of its seed, in seconds.
    time: f64,
}

#[derive(Serialize)]
struct Annotation {
    id: usize,
    image_id: usize,
    category_id: u32,
    /// Left, top, width, height in pixels.
    bbox: [f64; 4],
    area: f64,
    iscrowd: u8,
    visible: f32,
    figure: u64,
}

#[derive(Serialize)]
struct Category {
    id: u32,
    name: &'static str,
}

/// The truth about pictures, one after the other. Ids of pictures count from 0, others from 1.
#[derive(Serialize)]
pub(super) struct Truth {
    info: serde_json::Value,
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

impl Truth {
    /// Nothing yet, of pictures that follow from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let categories = CLASSES.iter().zip(1..).map(|(name, id)| Category { id, name });
        let description = format!("the demo scene of Spotter {}", env!("CARGO_PKG_VERSION"));
        Self {
            info: serde_json::json!({ "description": description, "seed": seed }),
            images: Vec::new(),
            annotations: Vec::new(),
            categories: categories.collect(),
        }
    }

    /// How many pictures there are.
    pub(super) fn pictures(&self) -> usize {
        self.images.len()
    }

    /// The next picture: its size in pixels, and what is in it.
    pub(super) fn add(&mut self, size: Size, time: Duration, truths: &[TrueBox]) {
        let (id, (width, height)) = (self.images.len(), size);
        let file_name = picture_name(id);
        self.images.push(Image { id, file_name, width, height, time: time.as_secs_f64() });
        for truth in truths {
            let bbox = bbox(truth, size);
            self.annotations.push(Annotation {
                id: self.annotations.len() + 1,
                image_id: id,
                category_id: truth.class + 1,
                bbox,
                area: bbox[2] * bbox[3],
                iscrowd: truth.ignored.into(),
                visible: truth.visible,
                figure: truth.figure,
            });
        }
    }

    /// Writes all of it beside `path`, to be put there once what it is about is in its place.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written.
    pub(super) fn part(&self, path: &Path) -> Result<Part> {
        let write = || {
            let part = Part::new(path)?;
            std::fs::write(part.path(), serde_json::to_vec(self)?)?;
            Ok(part)
        };
        write().map_err(|error: io::Error| unwritten(path, error))
    }
}

/// What picture `index` of the demo scene is called: as tools that take a clip apart can name its frames.
pub fn picture_name(index: usize) -> String {
    format!("frame-{index:06}.png")
}

/// The error of a file that cannot be written.
pub(super) fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::new(Kind::Output, format!("cannot write {}", path.display())).caused_by(error)
}
