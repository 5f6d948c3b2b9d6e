//! What a model takes and gives: shapes, types, quantisation.

use std::fmt;

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// Unsigned byte.
    U8,
    /// Signed byte.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// Boolean, one byte.
    Bool,
    /// A type of the file format that Spotter has no use for, by its number there.
    Other(u8),
}

impl DataType {
    /// Bytes an element takes; 0 where not known.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::I16 => 2,
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::I64 => 8,
            Self::Other(_) => 0,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("float32"),
            Self::F16 => f.write_str("float16"),
            Self::U8 => f.write_str("uint8"),
            Self::I8 => f.write_str("int8"),
            Self::I16 => f.write_str("int16"),
            Self::I32 => f.write_str("int32"),
            Self::I64 => f.write_str("int64"),
            Self::Bool => f.write_str("bool"),
            Self::Other(n) => write!(f, "type {n}"),
        }
    }
}

/// Affine quantisation of a whole tensor: `real = (q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantisation {
    /// Real value of one step.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i32,
}

/// One input or output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Name in the model file.
    pub name: String,
    /// Dimensions; empty where the file leaves them to run time.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DataType,
    /// Per-tensor quantisation, where the file has one.
    pub quantisation: Option<Quantisation>,
}

impl TensorInfo {
    /// True where it is a picture in planes, `[1,3,height,width]`, as CV25 takes it.
    pub fn is_planar(&self) -> bool {
        matches!(self.shape[..], [1, 3, _, width] if width != 3)
    }

    /// Columns and rows, where it is an RGB picture.
    pub fn picture_size(&self) -> Option<(usize, usize)> {
        match self.shape[..] {
            [1, 3, height, width] if self.is_planar() => Some((width, height)),
            [1, height, width, 3] => Some((width, height)),
            _ => None,
        }
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "{} [{}] {}", self.name, shape.join(","), self.dtype)
    }
}

/// Inputs and outputs of a model, in the file's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<TensorInfo>,
}
