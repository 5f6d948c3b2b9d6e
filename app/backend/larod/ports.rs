//! The ends of a loaded model: its memory, and how tensors lie in it.

use super::fault::Fault;
use super::memory::Mapped;
use super::session::About;
use super::sys;
use crate::vision::tensor::{DataType, TensorInfo};

/// What the thread that prepares frames and reads outputs gets of a loaded model.
pub struct Ports {
    /// The device that runs it.
    pub device: String,
    /// All devices of the camera.
    pub listed: Vec<String>,
    /// The input's own memory.
    pub input: Mapped,
    /// Bytes from one row of the input to the next.
    pub input_pitch: usize,
    /// Bytes of the whole input, padding included.
    pub input_bytes: usize,
    /// The outputs, in the model's order.
    pub outputs: Vec<Port>,
}

/// One output.
pub struct Port {
    pub memory: Mapped,
    /// How it lies there.
    pub form: TensorLayout,
}

/// How the elements of a tensor lie in its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorLayout {
    /// Elements along each dimension.
    dims: Vec<usize>,
    /// Bytes that one step of the dimension before takes.
    pitches: Vec<usize>,
    /// Bytes of an element.
    element: usize,
}

impl TensorLayout {
    /// The form that larod tells, checked to lie within its memory.
    pub(super) fn of(about: &About, info: &TensorInfo) -> Result<Self, String> {
        let element = match about.data_type {
            sys::UINT8 | sys::INT8 => 1,
            sys::FLOAT32 => 4,
            other => {
                return Err(format!("{info} has the type {other} on the device, which Spotter cannot read"));
            }
        };
        if element != info.dtype.size() {
            return Err(format!("{info} has elements of {element} bytes on the device"));
        }
        let dims = if about.dims.is_empty() { info.shape.clone() } else { about.dims.clone() };
        let count = |dims: &[usize]| dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
        if !info.shape.is_empty() && count(&dims) != count(&info.shape) {
            return Err(format!("{info} is {dims:?} on the device"));
        }
        let packed = packed(&dims, element).ok_or_else(|| format!("{info} is larger than memory"))?;
        let pitches = if about.pitches.is_empty() { packed.clone() } else { about.pitches.clone() };
        let form = Self { dims, pitches, element };
        let fits = form.pitches.len() == form.dims.len()
            && form.pitches.iter().zip(&packed).all(|(pitch, least)| pitch >= least)
            && form.end().is_some_and(|end| end <= about.byte_size);
        if !fits {
            let text = format!(
                "{info} does not fit into its {} bytes with pitches {:?}",
                about.byte_size, form.pitches
            );
            return Err(text);
        }
        Ok(form)
    }

    /// Bytes to the end of the last element; `None` where the numbers are too large.
    fn end(&self) -> Option<usize> {
        let strides = self.pitches.iter().skip(1).copied().chain([self.element]);
        let mut last = 0usize;
        for (size, stride) in self.dims.iter().zip(strides) {
            last = last.checked_add(size.checked_sub(1)?.checked_mul(stride)?)?;
        }
        last.checked_add(self.element)
    }

    /// Bytes of the elements alone.
    pub fn packed_bytes(&self) -> usize {
        self.dims.iter().product::<usize>() * self.element
    }

    /// Whether there is nothing between the elements.
    pub fn is_packed(&self) -> bool {
        packed(&self.dims, self.element)
            .is_some_and(|packed| packed.iter().skip(1).eq(self.pitches.iter().skip(1)))
    }

    /// Copies the elements, without what is between them.
    pub fn pack(&self, from: &[u8], into: &mut Vec<u8>) {
        into.clear();
        let Some((columns, outer)) = self.dims.split_last() else { return };
        let row = columns * self.element;
        let rows: usize = outer.iter().product();
        for index in 0..rows {
            let (mut rest, mut at) = (index, 0);
            for (size, stride) in outer.iter().zip(self.pitches.iter().skip(1)).rev() {
                at += rest % size * stride;
                rest /= size;
            }
            into.extend_from_slice(from.get(at..at + row).unwrap_or_default());
        }
    }
}

/// Pitches without gaps.
fn packed(dims: &[usize], element: usize) -> Option<Vec<usize>> {
    let mut bytes = element;
    let mut pitches = Vec::with_capacity(dims.len());
    for size in dims.iter().rev() {
        bytes = bytes.checked_mul(*size)?;
        pitches.push(bytes);
    }
    pitches.reverse();
    Some(pitches)
}

/// Bytes from row to row of an input, which is NHWC or NCHW.
pub(super) fn row_pitch(about: &About, form: &TensorLayout, input: &TensorInfo) -> Result<usize, Fault> {
    let place = if input.is_planar() { 3 } else { 2 };
    let layout = if input.is_planar() { sys::LAYOUT_NCHW } else { sys::LAYOUT_NHWC };
    let misfit = |said| Fault::misfit("load the model", said);
    if about.layout > 1 && about.layout != layout {
        return Err(misfit(format!("{input} has the layout {} on the device", about.layout)));
    }
    if !about.dims.is_empty() && about.dims != input.shape {
        return Err(misfit(format!("{input} is {:?} on the device", about.dims)));
    }
    let rows = form.dims.get(place - 1).copied().unwrap_or(0);
    let pitch = form.pitches.get(place).copied().unwrap_or(0);
    // Only rows are padded: what is above them follows without gaps.
    let above = form.pitches.get(place - 1).copied().unwrap_or(0);
    if rows.checked_mul(pitch) != Some(above) {
        return Err(misfit(format!("{input} has gaps between its planes on the device")));
    }
    Ok(pitch)
}

/// Whether a frame's planes can be this input at all: bytes, not shifted.
pub fn takes_bytes(input: &TensorInfo) -> bool {
    input.dtype == DataType::U8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(shape: &[usize], dtype: DataType) -> TensorInfo {
        TensorInfo { name: "t".into(), shape: shape.to_vec(), dtype, quantisation: None }
    }

    fn about(dims: &[usize], pitches: &[usize], data_type: i32) -> About {
        let byte_size = pitches.first().copied().unwrap_or(0);
        About {
            dims: dims.to_vec(),
            pitches: pitches.to_vec(),
            data_type,
            layout: sys::LAYOUT_NCHW,
            byte_size,
        }
    }

    #[test]
    fn rows_padded_to_32_bytes_are_packed() {
        // 3 classes, one to a row of 32 bytes, as CV25 gives scores.
        let form = TensorLayout::of(
            &about(&[1, 3, 1, 1], &[96, 96, 32, 32], sys::FLOAT32),
            &info(&[1, 3], DataType::F32),
        );
        let form = form.unwrap();
        assert!(!form.is_packed());
        let memory: Vec<u8> = (0..96).collect();
        let mut packed = Vec::new();
        form.pack(&memory, &mut packed);
        assert_eq!(packed, [0, 1, 2, 3, 32, 33, 34, 35, 64, 65, 66, 67]);
        assert_eq!(form.packed_bytes(), 12);
    }

    #[test]
    fn what_is_packed_already_needs_no_copy() {
        let form =
            TensorLayout::of(&about(&[1, 2, 5], &[10, 10, 5], sys::UINT8), &info(&[1, 2, 5], DataType::U8))
                .unwrap();
        assert!(form.is_packed());
        // Only the total is larger.
        let form =
            TensorLayout::of(&about(&[1, 2, 5], &[64, 10, 5], sys::UINT8), &info(&[1, 2, 5], DataType::U8))
                .unwrap();
        assert!(form.is_packed());
        let mut packed = Vec::new();
        form.pack(&(0..10).collect::<Vec<u8>>(), &mut packed);
        assert_eq!(packed, (0..10).collect::<Vec<u8>>());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let wanted = info(&[1, 2, 5], DataType::U8);
        for (wrong, says) in [
            (about(&[1, 2, 6], &[12, 12, 6], sys::UINT8), "is [1, 2, 6] on the device"),
            (about(&[1, 2, 5], &[10, 10, 4], sys::UINT8), "does not fit"),
            (about(&[1, 2, 5], &[9, 10, 5], sys::UINT8), "does not fit"),
            (about(&[1, 2, 5], &[10, 10], sys::UINT8), "does not fit"),
            (about(&[1, 2, 5], &[40, 40, 20], sys::FLOAT32), "has elements of 4 bytes"),
            (about(&[1, 2, 5], &[10, 10, 5], 9), "has the type 9"),
        ] {
            let error = TensorLayout::of(&wrong, &wanted).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn an_input_of_planes_has_the_pitch_of_its_rows() {
        let input = info(&[1, 3, 224, 300], DataType::U8);
        let row = 320;
        let told = about(&[1, 3, 224, 300], &[3 * 224 * row, 3 * 224 * row, 224 * row, row], sys::UINT8);
        let form = TensorLayout::of(&told, &input).unwrap();
        assert_eq!(row_pitch(&told, &form, &input).unwrap(), 320);
        let wrong = About { layout: sys::LAYOUT_NHWC, ..told.clone() };
        assert!(row_pitch(&wrong, &form, &input).unwrap_err().said.contains("layout 2"));
    }
}
