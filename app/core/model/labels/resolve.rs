//! Which labels a model gets.

use std::path::Path;

use super::{Labels, file_name};
use crate::base::error::Result;
use crate::model::format::file::ModelFile;
use crate::vision::tensor::Signature;

impl Labels {
    /// The labels of a model: the user's file, else those inside the model, else those of the set `known`,
    /// which the catalogue names for these very bytes, else those that are usual for that many classes
    /// ([`Labels::assumed`]), else numbers.
    ///
    /// # Errors
    /// Where the user's file cannot be used. What the model or the catalogue brings and does not fit
    /// is passed over with a warning in the log.
    pub fn resolve(
        file: Option<&Path>,
        model: &ModelFile,
        classes: Option<usize>,
        known: Option<&str>,
    ) -> Result<Self> {
        // Where every pixel has a class, background is one of them: no row is too many.
        let fit = |rows: Vec<String>, source: &str| {
            let all = is_for_pixels(&model.signature).then_some(rows.len());
            Self::fit(rows, classes.or(all), source)
        };
        if let Some(path) = file {
            return fit(Self::rows(path)?, &file_name(path));
        }
        if let Some(rows) = &model.embedded_labels {
            match fit(rows.clone(), &format!("the label file inside {}", model.name)) {
                Ok(labels) => return Ok(labels),
                Err(error) => log::warn!("{error}; it is not used"),
            }
        }
        if let Some(labels) = known.and_then(Self::built_in)
            && classes.is_none_or(|classes| classes == labels.len())
        {
            return Ok(labels);
        }
        let usual = match classes {
            Some(90) => Self::built_in("coco-90"),
            Some(80) => Self::built_in("coco-80"),
            Some(20) => Self::built_in("voc-20"),
            // Only where every pixel has a class is background one of them.
            Some(21) if is_for_pixels(&model.signature) => Self::built_in("voc-21"),
            _ => None,
        };
        Ok(usual.map_or_else(|| Self::numbers(classes), |labels| Self { assumed: true, ..labels }))
    }
}

/// Whether the model's one output has a class, or a score for each class, for every pixel:
/// `[1,height,width]` or `[1,height,width,classes]`.
fn is_for_pixels(signature: &Signature) -> bool {
    matches!(signature.outputs.as_slice(), [output]
        if matches!(*output.shape.as_slice(), [1, h, w] | [1, h, w, _] if h > 1 && w > 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::tensor::{DataType, TensorInfo};
    #[test]
    fn classes_of_pixels_begin_with_background() {
        let output = |shape: &[usize]| {
            let dtype = DataType::U8;
            let outputs =
                vec![TensorInfo { name: "o".into(), shape: shape.to_vec(), dtype, quantisation: None }];
            Signature { inputs: vec![], outputs }
        };
        assert!(is_for_pixels(&output(&[1, 65, 65, 21])) && is_for_pixels(&output(&[1, 513, 513])));
        for shape in [&[1, 21][..], &[1, 1, 1, 21], &[2, 65, 65, 21], &[21], &[]] {
            assert!(!is_for_pixels(&output(shape)), "{shape:?}");
        }
    }
}
