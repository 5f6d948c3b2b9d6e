//! What the elements of an output mean: quantised bytes or floats.

use crate::base::error::{Error, Kind, Result};
use crate::vision::tensor::{DataType, TensorInfo};

/// What the bytes of a quantised output mean. An ordered byte is a byte XORed with `flip`: its order as
/// an unsigned number is the order of the reals.
pub(super) struct Codes {
    /// 0x80 for signed bytes, else 0.
    pub flip: u8,
    /// The real value of each ordered byte, rising.
    pub real: [f32; 256],
}

impl Codes {
    /// The codes of a uint8 or int8 output, `None` for float32.
    ///
    /// # Errors
    /// [`Kind::Model`] where the output has another type, or bytes and no quantisation.
    pub(super) fn of(info: &TensorInfo) -> Result<Option<Self>> {
        let (flip, lowest) = match info.dtype {
            DataType::F32 => return Ok(None),
            DataType::U8 => (0, 0),
            DataType::I8 => (0x80, -128),
            _ => {
                let text = format!("the output {info} is neither uint8, int8 nor float32");
                return Err(Error::new(Kind::Model, text));
            }
        };
        match info.quantisation {
            Some(q) if q.scale.is_finite() && q.scale > 0.0 => {
                let zero_point = q.zero_point as f32;
                let real = std::array::from_fn(|code| ((code as i32 + lowest) as f32 - zero_point) * q.scale);
                Ok(Some(Self { flip, real }))
            }
            _ => Err(Error::new(Kind::Model, format!("the output {info} has no quantisation"))),
        }
    }

    /// The real value of a byte as it is in the output.
    pub(super) fn value(&self, byte: u8) -> f32 {
        self.real[usize::from(byte ^ self.flip)]
    }
}

/// How one element of an output is read.
pub(super) enum Elements {
    /// Quantised bytes.
    Bytes(Box<Codes>),
    /// 32-bit floats.
    Floats,
}

impl Elements {
    /// # Errors
    /// As [`Codes::of`].
    pub(super) fn of(info: &TensorInfo) -> Result<Self> {
        Ok(Codes::of(info)?.map_or(Self::Floats, |codes| Self::Bytes(Box::new(codes))))
    }

    /// Row `index` of rows of four; `None` behind the end of `data`.
    pub(super) fn four(&self, data: &[u8], index: usize) -> Option<[f32; 4]> {
        match self {
            Self::Bytes(codes) => Some(data.as_chunks::<4>().0.get(index)?.map(|byte| codes.value(byte))),
            Self::Floats => {
                let row = data.as_chunks::<16>().0.get(index)?;
                let (values, _) = row.as_chunks::<4>();
                Some([0, 1, 2, 3].map(|i| f32::from_ne_bytes(values[i])))
            }
        }
    }
}
