//! Which certificate is which camera's: asked once, then remembered.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::Address;
use crate::error::{Error, Result};

/// Certificates of cameras, in a file of the user.
#[derive(Clone, Debug)]
pub struct Known {
    file: Option<PathBuf>,
}

impl Known {
    /// The user's file: `spotter/cameras.json` in `XDG_CONFIG_HOME`, else in `~/.config`. Without a home nothing is
    /// remembered.
    pub fn from_env() -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = folder("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| folder("HOME").map(|home| home.join(".config")));
        Self { file: config.map(|config| config.join("spotter").join("cameras.json")) }
    }

    fn read(&self) -> Result<Map<String, Value>> {
        let Some(file) = &self.file else { return Ok(Map::new()) };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(error) => return Err(Error::file("read", file, error)),
        };
        serde_json::from_str(&text)
            .map_err(|error| Error::file("read", file, format!("it is no JSON object: {error}; delete it")))
    }

    /// The fingerprint that is known for a camera.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn fingerprint(&self, address: &Address) -> Result<Option<String>> {
        Ok(self.read()?.get(&address.key()).and_then(Value::as_str).map(str::to_owned))
    }

    /// Remembers a camera's fingerprint.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn remember(&self, address: &Address, fingerprint: &str) -> Result<()> {
        let mut known = self.read()?;
        let Some(file) = &self.file else { return Ok(()) };
        known.insert(address.key(), Value::from(fingerprint));
        let part = file.with_extension("part");
        let written = match file.parent() {
            Some(folder) => std::fs::create_dir_all(folder),
            None => Ok(()),
        };
        written
            .and_then(|()| std::fs::write(&part, format!("{:#}\n", Value::Object(known))))
            .and_then(|()| std::fs::rename(&part, file))
            .map_err(|error| Error::file("write", file, error))
    }

    /// What to say where a camera shows another certificate than the one that is known.
    pub fn changed(&self, address: &Address, known: &str, shown: &str) -> Error {
        let file = self.file.as_ref().map_or_else(String::new, |file| format!(" in {}", file.display()));
        Error::new(format!(
            "{address} shows another certificate than before: SHA-256 {shown}, known is {known}{file}. Where the \
             camera was reset or given a new certificate, add --fingerprint {shown}; else somebody is between \
             you and it"
        ))
    }
}

/// Asks whether a certificate is the camera's.
///
/// # Errors
/// Where the answer is no, or there is nobody to ask.
pub fn ask(address: &Address, shown: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(format!(
            "the certificate of {address} is not known yet: SHA-256 {shown}. Where that is the camera's own (its page \
             shows it under System, Security), add --fingerprint {shown}"
        )));
    }
    eprintln!("The certificate of {address} is not known yet. Its SHA-256 fingerprint is");
    eprintln!("  {shown}");
    eprint!("Is that the camera's own (its page shows it under System, Security)? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stderr().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Error::new(format!("the certificate of {address} was not accepted; nothing was done")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_kept_by_host_and_port() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known { file: Some(folder.path().join("a/cameras.json")) };
        let (one, other): (Address, Address) = ("cam".parse().unwrap(), "cam:8443".parse().unwrap());
        assert_eq!(known.fingerprint(&one).unwrap(), None);
        known.remember(&one, "AA").unwrap();
        known.remember(&other, "BB").unwrap();
        known.remember(&one, "CC").unwrap();
        assert_eq!(known.fingerprint(&one).unwrap().as_deref(), Some("CC"));
        assert_eq!(known.fingerprint(&other).unwrap().as_deref(), Some("BB"));
        std::fs::write(folder.path().join("a/cameras.json"), "[").unwrap();
        assert!(known.fingerprint(&one).unwrap_err().to_string().contains("delete it"));
        assert_eq!(Known { file: None }.fingerprint(&one).unwrap(), None);
    }
}
