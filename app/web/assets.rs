//! The page's files, inside the program: there is nothing to install beside it.

use super::http::response::{self, Response};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Path below the page's root, "style.css".
    pub path: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

/// The file of that path; the empty path is the page itself.
pub fn find(path: &str) -> Option<Asset> {
    let path = if path.is_empty() { "index.html" } else { path };
    ASSETS.iter().find(|asset| asset.path == path).copied()
}

impl Asset {
    /// The file as a response.
    pub fn response(&self) -> Response {
        response::file(content_type(self.path), self.bytes)
    }
}

/// The content type by the file's ending.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_all_it_needs_is_inside() {
        assert!(find("").is_some());
        assert!(find("index.html").is_some());
        assert!(find("../Cargo.toml").is_none());
        for asset in ASSETS {
            assert_ne!(content_type(asset.path), "application/octet-stream", "{}", asset.path);
        }
    }
}
