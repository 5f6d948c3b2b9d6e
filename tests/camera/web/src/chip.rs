//! What a camera with a chip says of itself.

use clap::ValueEnum;

/// The chips that are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Chip {
    /// ARTPEC-7, 32 bit
    Artpec7,
    /// ARTPEC-8
    Artpec8,
    /// ARTPEC-9
    Artpec9,
    /// Ambarella CV25
    Cv25,
}

/// A camera's facts.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// As the simulators' environment variable has it.
    pub name: &'static str,
    /// `root.Properties.System.Soc`.
    pub soc: &'static str,
    /// The architecture of its processor and of the packages that it takes.
    pub architecture: &'static str,
    /// The product's number.
    pub product: &'static str,
}

impl Chip {
    /// The camera with this chip; a `native` one has the processor of this machine, and takes packages for it.
    pub fn profile(self, native: bool) -> Profile {
        let (name, soc, architecture, product) = match self {
            Chip::Artpec7 => ("artpec7", "Axis Artpec-7", "armv7hf", "Q1615 Mk III"),
            Chip::Artpec8 => ("artpec8", "Axis Artpec-8", "aarch64", "P3265-LVE"),
            Chip::Artpec9 => ("artpec9", "Axis Artpec-9", "aarch64", "Q1728"),
            Chip::Cv25 => ("cv25", "Ambarella CV25", "aarch64", "M3085-V"),
        };
        let architecture = if native { std::env::consts::ARCH } else { architecture };
        Profile { name, soc, architecture, product }
    }
}
