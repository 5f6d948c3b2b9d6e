//! The description beside a model compiled for Ambarella's CVflow engine (CV25).
//!
//! Such a file (`.bin`, written by `cavalry_gen`) has no public format and says nothing of its tensors, so
//! they stand in a JSON file of the same name beside it. `docs/models.md` describes the keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::producer::Producer;
use crate::base::error::{Error, Kind, Result};
use crate::vision::tensor::{DataType, Quantisation, Signature, TensorInfo};

/// Larger descriptions are refused.
const MAX_BYTES: u64 = 1 << 20;
const MAX_TENSORS: usize = 64;
const MAX_DIMENSIONS: usize = 8;
const MAX_ELEMENTS: usize = 1 << 30;

/// What a person says of a compiled model.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Cavalry {
    /// One line about the model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Inputs in the order of the engine's ports: `[1,3,height,width]`, planes of red, green and blue.
    pub inputs: Vec<Port>,
    /// Outputs in the order of the engine's ports.
    pub outputs: Vec<Port>,
    /// How the outputs are to be read, by the name of a head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Names of the classes, one a class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The architecture, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<String>,
    /// Operators and how often they occur.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operators: BTreeMap<String, usize>,
    /// Multiplications with addition that one picture takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<u64>,
    /// Weights and biases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
}

/// An input or output of a compiled model.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name in the engine.
    #[serde(default)]
    pub name: String,
    /// Dimensions, without the padding that the engine adds to rows.
    pub shape: Vec<usize>,
    /// `uint8`, `int8`, `float16` or `float32`.
    #[serde(rename = "type")]
    pub dtype: String,
    /// Real value of one step, for integers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// The operator that makes it, for example `SOFTMAX`: scores are then probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The integer that stands for 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_point: Option<i32>,
}

impl Cavalry {
    /// The description beside the model `bin`: `x.json` for `x.bin`, else `x.bin.json`.
    ///
    /// # Errors
    /// [`Kind::Model`] where there is none, or it cannot be read or used.
    pub fn beside(bin: &Path) -> Result<Self> {
        let mut long = bin.as_os_str().to_owned();
        long.push(".json");
        let places = [bin.with_extension("json"), PathBuf::from(long)];
        let Some(path) = places.iter().find(|path| path.exists()) else {
            let text = format!(
                "{} is compiled for Ambarella CV25 and does not say what it takes and gives; write it into {}, \
                 at least {{\"inputs\":[{{\"shape\":[1,3,224,224],\"type\":\"uint8\"}}],\
                 \"outputs\":[{{\"shape\":[1,1001],\"type\":\"float32\"}}]}} with its own sizes",
                bin.display(),
                places[0].display()
            );
            return Err(Error::new(Kind::Model, text));
        };
        let shown = path.display().to_string();
        let unreadable =
            |error| Error::new(Kind::Model, format!("cannot read the description {shown}")).caused_by(error);
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if !about.is_file() || about.len() > MAX_BYTES {
            let text = format!("{shown} is no description of a model; give a JSON file of at most 1 MiB");
            return Err(Error::new(Kind::Model, text));
        }
        Self::parse(&std::fs::read(path).map_err(unreadable)?, &shown)
    }

    /// Reads a description; `shown` is used in messages.
    ///
    /// # Errors
    /// [`Kind::Model`] with what is wrong in it.
    pub fn parse(json: &[u8], shown: &str) -> Result<Self> {
        let found: Self = serde_json::from_slice(json).map_err(|error| {
            let text = format!("{shown} does not describe a model as docs/models.md says: {error}");
            Error::new(Kind::Model, text)
        })?;
        found.check().map_err(|why| Error::new(Kind::Model, format!("{shown}: {why}")))?;
        Ok(found)
    }

    fn check(&self) -> std::result::Result<(), String> {
        for (what, ports) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if ports.is_empty() || ports.len() > MAX_TENSORS {
                let count = ports.len();
                return Err(format!("\"{what}\" has {count} entries; give 1 to {MAX_TENSORS}"));
            }
            for (index, port) in ports.iter().enumerate() {
                port.check().map_err(|why| format!("{what}[{index}] {why}"))?;
            }
        }
        let given = self.labels.len();
        match self.classes {
            Some(classes) if given > 0 && given != classes => {
                Err(format!("{given} labels, but \"classes\" is {classes}; give one label a class"))
            }
            _ => Ok(()),
        }
    }

    /// Inputs and outputs as a model file has them.
    pub fn signature(&self) -> Signature {
        let infos = |ports: &[Port]| ports.iter().map(Port::info).collect();
        Signature { inputs: infos(&self.inputs), outputs: infos(&self.outputs) }
    }

    /// What makes each output, as far as it is said.
    pub fn producers(&self) -> Vec<Producer> {
        let made = |port: &Port| Producer {
            operator: port.operator.clone(),
            from_input: true,
            ..Producer::default()
        };
        self.outputs.iter().map(made).collect()
    }

    /// Whether a camera can fill the input: one picture in planes.
    ///
    /// # Errors
    /// The sentence says what the input is instead.
    pub fn check_input(&self) -> std::result::Result<(), String> {
        match self.inputs.as_slice() {
            [input] if matches!(input.shape[..], [1, 3, _, _]) && input.dtype == "uint8" => Ok(()),
            inputs => {
                let listed: Vec<String> = inputs.iter().take(8).map(|i| i.info().to_string()).collect();
                Err(format!(
                    "its description has the input {}; CV25 takes one picture, [1,3,height,width] of uint8",
                    listed.join("; ")
                ))
            }
        }
    }
}

impl Port {
    fn check(&self) -> std::result::Result<(), String> {
        let shape = &self.shape;
        let elements = shape.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
        let sound = elements.is_some_and(|n| (1..=MAX_ELEMENTS).contains(&n));
        if shape.is_empty() || shape.len() > MAX_DIMENSIONS || !sound {
            return Err(format!(
                "has the shape {shape:?}; give 1 to {MAX_DIMENSIONS} dimensions of at least 1"
            ));
        }
        if self.data_type().is_none() {
            return Err(format!(
                "has the type \"{}\"; give uint8, int8, float16 or float32",
                self.dtype.chars().take(32).collect::<String>()
            ));
        }
        match self.scale {
            Some(scale) if !(scale.is_finite() && scale > 0.0) => {
                Err(format!("has the scale {scale}; give a number above 0"))
            }
            _ => Ok(()),
        }
    }

    fn data_type(&self) -> Option<DataType> {
        let known = [DataType::U8, DataType::I8, DataType::F16, DataType::F32];
        known.into_iter().find(|known| known.to_string() == self.dtype)
    }

    fn info(&self) -> TensorInfo {
        let quantisation =
            self.scale.map(|scale| Quantisation { scale, zero_point: self.zero_point.unwrap_or(0) });
        TensorInfo {
            name: self.name.clone(),
            shape: self.shape.clone(),
            dtype: self.data_type().unwrap_or(DataType::Other(u8::MAX)),
            quantisation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::format::file::ModelFile;

    const SOUND: &str = r#"{"inputs":[{"name":"data","shape":[1,3,224,224],"type":"uint8"}],
        "outputs":[{"shape":[1,3],"type":"float32"}],"classes":3,"labels":["a","b","c"],
        "head":"classification","backbone":"MobileNet v2 1.0","operators":{"CONV_2D":36},"macs":300}"#;

    fn wrong(json: &str) -> String {
        let error = Cavalry::parse(json.as_bytes(), "x.json").unwrap_err();
        assert_eq!(error.kind(), Kind::Model);
        error.to_string()
    }

    #[test]
    fn a_description_stands_for_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("x.bin");
        std::fs::write(&bin, [8, 0, 2, 2, 3, 0, 0, 0, 9]).unwrap();
        let error = ModelFile::open(&bin).unwrap_err();
        assert_eq!(error.kind(), Kind::Model);
        let sentence = error.to_string();
        assert!(sentence.contains("x.bin is compiled for Ambarella CV25"), "{sentence}");
        assert!(sentence.contains("x.json, at least {\"inputs\":"), "{sentence}");
        for name in ["x.bin.json", "x.json"] {
            std::fs::write(folder.path().join(name), SOUND.replace("\"data\"", &format!("\"{name}\"")))
                .unwrap();
            let file = ModelFile::open(&bin).unwrap();
            assert_eq!(file.signature.inputs[0].to_string(), format!("{name} [1,3,224,224] uint8"));
            assert_eq!(file.signature.outputs[0].shape, [1, 3]);
            assert_eq!(file.embedded_labels.as_deref(), Some(&["a".into(), "b".into(), "c".into()][..]));
            assert_eq!(file.operators, [("CONV_2D".to_string(), 36)]);
            assert!(
                file.check_runnable_on_cpu().unwrap_err().to_string().contains("compiled for Ambarella CV25")
            );
        }
        let again = serde_json::to_string(&Cavalry::parse(SOUND.as_bytes(), "x").unwrap()).unwrap();
        assert!(Cavalry::parse(again.as_bytes(), "x").is_ok());
    }

    #[test]
    fn what_is_wrong_in_a_description_is_named() {
        for (from, to, says) in [
            ("[1,3,224,224]", "[]", "x.json: inputs[0] has the shape []; give 1 to 8 dimensions"),
            ("[1,3,224,224]", "[1,0]", "inputs[0] has the shape [1, 0]"),
            ("[1,3,224,224]", "[4294967296,4294967296,9]", "inputs[0] has the shape"),
            (
                "\"float32\"",
                "\"real\"",
                "outputs[0] has the type \"real\"; give uint8, int8, float16 or float32",
            ),
            ("\"classes\":3", "\"classes\":4", "3 labels, but \"classes\" is 4; give one label a class"),
            ("\"macs\"", "\"mac\"", "does not describe a model as docs/models.md says: unknown field `mac`"),
            (
                "\"outputs\":[{\"shape\":[1,3],\"type\":\"float32\"}]",
                "\"outputs\":[]",
                "\"outputs\" has 0 entries",
            ),
            ("[1,3,224,224]", "[1,-3]", "does not describe a model"),
        ] {
            assert!(SOUND.contains(from), "{from}");
            let sentence = wrong(&SOUND.replacen(from, to, 1));
            assert!(sentence.contains(says), "{sentence}");
        }
        assert!(wrong("").contains("x.json does not describe a model"));
    }

    #[test]
    fn pictures_come_in_planes() {
        let of =
            |shape: &str| Cavalry::parse(SOUND.replacen("[1,3,224,224]", shape, 1).as_bytes(), "x").unwrap();
        assert!(of("[1,3,8,9]").check_input().is_ok());
        let why = of("[1,224,224,3]").check_input().unwrap_err();
        assert!(why.contains("data [1,224,224,3] uint8; CV25 takes one picture"), "{why}");
    }
}
