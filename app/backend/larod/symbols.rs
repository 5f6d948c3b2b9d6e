//! The functions of an opened library by name and version.
//!
//! liblarod keeps old interfaces under the versions of their symbols ("ABI backward compatibility is handled under the
//! hood by symbol versioning", introduction-for-app-developers.html), and `dlsym` takes the newest. Spotter's
//! declarations are those of liblarod 3, so their version is asked for first.
//!
//! `unsafe` here: the loader's functions, and a pointer taken for the function that it is.
#![allow(unsafe_code, reason = "the border to C")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;

use libloading::os::unix::Library;

/// The version of the interface that is declared here.
pub(super) const VERSION: &CStr = c"LIBLAROD_3.0.0";

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    /// glibc's: the address of a symbol of this version; null where there is none.
    fn dlvsym(handle: *mut c_void, name: *const c_char, version: *const c_char) -> *mut c_void;
}

/// Only glibc knows versions of symbols.
#[cfg(not(target_env = "gnu"))]
unsafe fn dlvsym(_: *mut c_void, _: *const c_char, _: *const c_char) -> *mut c_void {
    std::ptr::null_mut()
}

/// An opened library; it is never closed.
pub struct Symbols {
    handle: *mut c_void,
    /// Functions that were found by their version.
    versioned: usize,
    /// Functions that have no such version.
    unversioned: usize,
}

impl Symbols {
    /// Opens a library.
    ///
    /// # Errors
    /// What the loader says.
    ///
    /// # Safety
    /// Its constructors are sound.
    pub unsafe fn open(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: the caller vouches for the constructors.
        let library = unsafe { Library::new(path) }?;
        Ok(Self { handle: library.into_raw(), versioned: 0, unversioned: 0 })
    }

    /// The function of this name: of [`VERSION`], else of the version that the library takes by default.
    ///
    /// # Errors
    /// Where there is none.
    ///
    /// # Safety
    /// `F` is the type of a pointer to that function.
    pub unsafe fn find<F: Copy>(&mut self, name: &str) -> Result<F, String> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let c_name = CString::new(name).map_err(|_| format!("{name:?} has a zero byte in it"))?;
        // SAFETY: the handle is open and both texts end with a zero.
        let found = unsafe { dlvsym(self.handle, c_name.as_ptr(), VERSION.as_ptr()) };
        if !found.is_null() {
            self.versioned += 1;
            // SAFETY: a pointer of the same size; the caller vouches for its type.
            return Ok(unsafe { std::mem::transmute_copy(&found) });
        }
        // SAFETY: the handle came from into_raw and goes back there, so the library stays open.
        let library = unsafe { Library::from_raw(self.handle) };
        // SAFETY: the caller vouches for the type.
        let symbol = unsafe { library.get::<F>(c_name.as_bytes_with_nul()) }.map(|symbol| *symbol);
        self.handle = library.into_raw();
        let symbol = symbol.map_err(|error| error.to_string())?;
        self.unversioned += 1;
        Ok(symbol)
    }

    /// Which versions were taken, for the log.
    pub fn taken(&self) -> String {
        let version = VERSION.to_string_lossy();
        match (self.versioned, self.unversioned) {
            (0, _) => format!("it has no {version}, so all functions are of its default version"),
            (_, 0) => format!("all functions are of {version} or of no version"),
            (old, new) => format!("{old} functions are of {version}, {new} of its default version"),
        }
    }
}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    use super::super::sys::{Api, DECLARED};
    use super::*;
    use std::process::Command;

    /// Builds a library whose functions are `source` with these versions, first to last; `None` without a compiler.
    fn library(folder: &Path, source: &str, versions: &str) -> Option<std::path::PathBuf> {
        let [c, map, so] = ["lib.c", "lib.map", "lib.so"].map(|name| folder.join(name));
        std::fs::write(&c, source).unwrap();
        std::fs::write(&map, versions).unwrap();
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&so)
            .arg(&c)
            .arg(format!("-Wl,--version-script={}", map.display()))
            .output();
        let Ok(made) = made else {
            crate::said::skip("there is no C compiler (cc) to build a library with versions");
            return None;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(so)
    }

    #[test]
    fn functions_are_those_of_version_3_where_a_newer_one_is_the_default() {
        let folder = tempfile::tempdir().unwrap();
        // Each function twice: that of 3.0.0 does nothing, that of 4.0.0, which dlsym would take, ends the process.
        // Without its older version: the one that is optional.
        let mut source = "#include <stdlib.h>\n".to_owned();
        for (name, needed) in DECLARED {
            source.push_str(&format!("void *{name}_4(void) {{ abort(); }}\n"));
            source.push_str(&format!("__asm__(\".symver {name}_4,{name}@@LIBLAROD_4.0.0\");\n"));
            if *needed {
                source.push_str(&format!("void *{name}_3(void) {{ return 0; }}\n"));
                source.push_str(&format!("__asm__(\".symver {name}_3,{name}@LIBLAROD_3.0.0\");\n"));
            }
        }
        let versions = "LIBLAROD_3.0.0 { global: larod*; }; LIBLAROD_4.0.0 { } LIBLAROD_3.0.0;";
        let Some(path) = library(folder.path(), &source, versions) else { return };
        // SAFETY: the library has no constructors.
        let mut symbols = unsafe { Symbols::open(&path) }.unwrap();
        let api = Api::of(&mut symbols).unwrap();
        // Had the newer one been taken, this test would end here.
        // SAFETY: the functions above look at no argument.
        unsafe {
            (api.larodClearError)(std::ptr::null_mut());
            assert!(
                (api.larodListDevices)(std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut())
                    .is_null()
            );
        }
        assert!(api.larodConvertVmemFdToDmabuf.is_some(), "what came later is taken as it is");
        let said = symbols.taken();
        assert_eq!(
            said,
            format!("{} functions are of LIBLAROD_3.0.0, 1 of its default version", DECLARED.len() - 1)
        );
    }

    #[test]
    fn a_library_without_that_version_is_taken_as_it_is() {
        for (versions, says) in [
            (
                "LIBLAROD_2.0.0 { global: larod*; local: *; };",
                "it has no LIBLAROD_3.0.0, so all functions are of",
            ),
            // Symbols without any version are of whichever is asked for, says the loader.
            ("{ global: larod*; local: *; };", "all functions are of LIBLAROD_3.0.0 or of no version"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let function = |(name, _): &(&str, bool)| format!("void *{name}(void) {{ return 0; }}\n");
            let source: String = DECLARED.iter().map(function).collect();
            let Some(path) = library(folder.path(), &source, versions) else { return };
            // SAFETY: the library has no constructors.
            let mut symbols = unsafe { Symbols::open(&path) }.unwrap();
            let api = Api::of(&mut symbols).unwrap();
            // SAFETY: the function looks at no argument.
            assert!(unsafe { (api.larodCreateMap)(std::ptr::null_mut()) }.is_null());
            assert!(symbols.taken().starts_with(says), "{}", symbols.taken());
            // SAFETY: it is not there.
            assert!(unsafe { symbols.find::<unsafe extern "C" fn()>("larodNothing") }.is_err());
        }
    }
}
