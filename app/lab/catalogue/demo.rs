//! The model that comes with Spotter: it knows the demo scene, and is inside the program of a desktop.

/// Its name in the catalogue.
pub const NAME: &str = "spotter-demo";
/// Its file in the folder `models`.
pub const FILE: &str = "demo_ssd_mobilenet_v2.tflite";

/// The file's bytes where `name` is the model's; a camera's program has neither the scene nor the model.
#[cfg(not(feature = "desktop"))]
pub fn bytes(_: &str) -> Option<&'static [u8]> {
    None
}

/// The file's bytes where `name` is the model's.
#[cfg(feature = "desktop")]
pub fn bytes(name: &str) -> Option<&'static [u8]> {
    static BYTES: &[u8] = include_bytes!("../../../models/demo_ssd_mobilenet_v2.tflite");
    (name == NAME).then_some(BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, hex};
    use sha2::{Digest, Sha256};

    /// Cards and catalogue are written by different hands.
    #[test]
    fn the_catalogue_has_the_sums_of_the_file_inside() {
        let (bytes, entry) = (bytes(NAME).unwrap(), Catalogue::embedded().get(NAME).unwrap());
        assert_eq!(entry.sha256.as_deref(), Some(hex(&Sha256::digest(bytes)).as_str()));
        assert_eq!((entry.size, entry.file.as_str()), (Some(bytes.len() as u64), FILE));
        assert!(bytes.len() <= 2 << 20, "{} bytes", bytes.len());
        assert_eq!(super::bytes("spotter"), None);
    }
}
