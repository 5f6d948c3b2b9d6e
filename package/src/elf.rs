//! What a binary is made for and what it needs at run time.

use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, EF_ARM_ABI_FLOAT_HARD, EM_AARCH64, EM_ARM, EM_X86_64, FileHeader32,
    FileHeader64, SHT_DYNSYM,
};
use object::read::elf::{Dyn, FileHeader, Sym};
use object::{Endianness, SymbolIndex};

use crate::error::{Error, Result};
use crate::manifest::Arch;

/// A symbol that a library is to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// The version that it must have, `GLIBC_2.17`.
    pub version: Option<String>,
}

/// A program as the loader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it runs on; none for processors that no camera has.
    pub arch: Option<Arch>,
    /// The libraries that must be there before it starts.
    pub needed: Vec<String>,
    /// Where it looks for them beside the system's folders.
    pub search: Vec<String>,
    /// What it takes from them.
    pub imports: Vec<Import>,
}

impl Program {
    /// Reads a program or library.
    ///
    /// # Errors
    /// Where it is no ELF file, or damaged.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let kind = object::FileKind::parse(bytes).map_err(damaged)?;
        match kind {
            object::FileKind::Elf32 => read::<FileHeader32<Endianness>>(bytes),
            object::FileKind::Elf64 => read::<FileHeader64<Endianness>>(bytes),
            _ => Err(Error::new("it is no ELF file")),
        }
    }

    /// The highest version with this prefix that an import asks for, `GLIBC_` → (2, 30).
    pub fn floor(&self, prefix: &str) -> Option<(u32, u32)> {
        let number = |import: &Import| {
            let version = import.version.as_deref()?.strip_prefix(prefix)?;
            let mut parts = version.split('.').map(str::parse);
            Some((parts.next()?.ok()?, parts.next().unwrap_or(Ok(0)).ok()?))
        };
        self.imports.iter().filter_map(number).max()
    }
}

fn damaged(error: object::Error) -> Error {
    Error::new(format!("it is no whole ELF file ({error})"))
}

fn read<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Program> {
    let header = H::parse(bytes).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let arch = match header.e_machine(endian) {
        EM_AARCH64 => Some(Arch::Aarch64),
        // Numbers are passed in the registers of the floating-point unit.
        EM_ARM if header.e_flags(endian).0 & EF_ARM_ABI_FLOAT_HARD != 0 => Some(Arch::Armv7hf),
        EM_X86_64 => Some(Arch::X86_64),
        _ => None,
    };
    let sections = header.sections(endian, bytes).map_err(damaged)?;
    let (mut needed, mut search) = (Vec::new(), Vec::new());
    if let Some((entries, link)) = sections.dynamic(endian, bytes).map_err(damaged)? {
        let strings = sections.strings(endian, bytes, link).map_err(damaged)?;
        for entry in entries {
            let list = match entry.d_tag(endian) {
                DT_NEEDED => &mut needed,
                DT_RPATH | DT_RUNPATH => &mut search,
                _ => continue,
            };
            let text = entry.string(endian, strings).map_err(damaged)?;
            list.push(String::from_utf8_lossy(text).into_owned());
        }
    }
    let versions = sections.versions(endian, bytes).map_err(damaged)?;
    let symbols = sections.symbols(endian, bytes, SHT_DYNSYM).map_err(damaged)?;
    let mut imports = Vec::new();
    for (index, symbol) in symbols.iter().enumerate().skip(1) {
        if !symbol.is_undefined(endian) {
            continue;
        }
        let version = match &versions {
            Some(table) => {
                let index = table.version_index(endian, SymbolIndex(index)).index();
                table
                    .version(index)
                    .map_err(damaged)?
                    .map(|version| String::from_utf8_lossy(version.name()).into_owned())
            }
            None => None,
        };
        let name = symbols.symbol_name(endian, symbol).map_err(damaged)?;
        imports.push(Import { name: String::from_utf8_lossy(name).into_owned(), version });
    }
    Ok(Program { arch, needed, search, imports })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_program_is_read() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let program = Program::read(&bytes).unwrap();
        if cfg!(target_arch = "x86_64") {
            assert_eq!(program.arch, Some(Arch::X86_64));
        }
        assert!(program.needed.iter().any(|name| name.starts_with("libc.so")), "{:?}", program.needed);
        let floor = program.floor("GLIBC_").unwrap();
        assert!(((2, 2)..(3, 0)).contains(&floor), "{floor:?}");
        assert_eq!(program.floor("NOTHING_"), None);
        // Cut anywhere it is an error or another program, never a panic.
        for part in 0..64 {
            let _ = Program::read(&bytes[..bytes.len() * part / 64]);
        }
        assert!(Program::read(b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn floors_compare_as_numbers() {
        let import = |version: &str| Import { name: String::new(), version: Some(version.to_owned()) };
        let imports = ["GLIBC_2.9", "GLIBC_2.30", "GLIBC_2.2.5", "GCC_4.2"].map(import).to_vec();
        let program = Program { arch: None, needed: vec![], search: vec![], imports };
        assert_eq!((program.floor("GLIBC_"), program.floor("GCC_")), (Some((2, 30)), Some((4, 2))));
    }
}
