//! What a user may name as a source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[cfg(feature = "desktop")]
use super::demo::spec::DemoSpec;
use super::vdo;
use super::vdo::spec::{Suit, VdoSpec};
use crate::base::error::{Error, Kind, Result};
use crate::base::secrets::without_credentials;
use crate::preprocess::InputPicture;
use crate::vision::geometry::Fit;

/// What sort of source it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A clip or a still on this machine.
    File,
    /// Something on the network.
    Network,
    /// A V4L2 device.
    Device,
    /// GStreamer's test picture.
    Test,
    /// The scene that Spotter draws.
    Demo,
    /// The video of the camera that Spotter runs on.
    Camera,
}

impl SourceKind {
    /// The word for it in the status.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Network => "network",
            Self::Device => "device",
            Self::Test => "test",
            Self::Demo => "demo",
            Self::Camera => "camera",
        }
    }

    /// True for sources that run whether one listens or not.
    pub fn is_live(self) -> bool {
        self != Self::File
    }
}

/// A source as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// A file by its path.
    File(PathBuf),
    /// A URI other than a local file's.
    Uri(String),
    /// A V4L2 device by its path.
    Device(PathBuf),
    /// GStreamer's test picture.
    Test,
    /// The scene that Spotter draws.
    #[cfg(feature = "desktop")]
    Demo(DemoSpec),
    /// The video of the camera that Spotter runs on.
    Vdo(VdoSpec),
}

impl FromStr for SourceSpec {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.is_empty() {
            return Err(
                "the source is empty; give a video file, a URI, /dev/videoN, vdo, demo or test".to_owned()
            );
        }
        if text == "demo" {
            return demo_scene("");
        }
        if let Some(settings) = text.strip_prefix("demo:")
            && !settings.starts_with("//")
        {
            return demo_scene(settings);
        }
        if text == "vdo" {
            return Ok(Self::Vdo(VdoSpec::default()));
        }
        if let Some(settings) = text.strip_prefix("vdo:")
            && !settings.starts_with("//")
        {
            return settings.parse().map(Self::Vdo);
        }
        if text == "test" {
            return Ok(Self::Test);
        }
        if let Some(path) = text.strip_prefix("file://") {
            return gstreamer::glib::filename_from_uri(text)
                .map(|(path, _)| Self::File(path))
                .map_err(|_| format!("file://{path} is no file URI; write file:///absolute/path"));
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if scheme.is_some_and(|s| {
            !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        }) {
            return Ok(Self::Uri(text.to_owned()));
        }
        if text.starts_with("/dev/") {
            return Ok(Self::Device(text.into()));
        }
        Ok(Self::File(text.into()))
    }
}

#[cfg(feature = "desktop")]
fn demo_scene(settings: &str) -> std::result::Result<SourceSpec, String> {
    settings.parse().map(SourceSpec::Demo)
}

#[cfg(not(feature = "desktop"))]
fn demo_scene(_: &str) -> std::result::Result<SourceSpec, String> {
    let text =
        "this build of Spotter is for a camera and has no demo scene; take the camera's own video (vdo)";
    Err(text.to_owned())
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Device(path) => write!(f, "{}", path.display()),
            Self::Uri(uri) => f.write_str(&without_credentials(uri)),
            Self::Test => f.write_str("test"),
            #[cfg(feature = "desktop")]
            Self::Demo(spec) if *spec == DemoSpec::default() => f.write_str("demo"),
            #[cfg(feature = "desktop")]
            Self::Demo(spec) => write!(f, "demo:{spec}"),
            Self::Vdo(spec) if spec.to_string().is_empty() => f.write_str("vdo"),
            Self::Vdo(spec) => write!(f, "vdo:{spec}"),
        }
    }
}

impl SourceSpec {
    /// What sort of source it is.
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::File(_) => SourceKind::File,
            Self::Uri(_) => SourceKind::Network,
            Self::Device(_) => SourceKind::Device,
            Self::Test => SourceKind::Test,
            #[cfg(feature = "desktop")]
            Self::Demo(_) => SourceKind::Demo,
            Self::Vdo(_) => SourceKind::Camera,
        }
    }

    /// The source where the user names none: the camera's video on a camera, else the demo scene.
    #[cfg(feature = "desktop")]
    pub fn of_this_machine() -> Self {
        if vdo::is_here() { Self::Vdo(VdoSpec::default()) } else { Self::Demo(DemoSpec::default()) }
    }

    /// The source where the user names none: the camera's video.
    #[cfg(not(feature = "desktop"))]
    pub fn of_this_machine() -> Self {
        Self::Vdo(VdoSpec::default())
    }

    /// The same source, which need not give more than a model with this input takes. Only a camera's video can give
    /// less.
    pub fn suited_to(mut self, input: Option<InputPicture>) -> Self {
        if let (Self::Vdo(spec), Some(InputPicture { size: (width, height), fit, planar })) =
            (&mut self, input)
            && let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height))
        {
            // A part of the middle needs as much on both sides as a stretched frame, and its own shape.
            let (input, stretched) = ((width, height), fit == Fit::Stretch);
            let input = match fit {
                Fit::Crop | Fit::CropInner => (width.max(height) * 2, width.max(height) * 2),
                Fit::Letterbox | Fit::Stretch => input,
            };
            let cropped = matches!(fit, Fit::Crop | Fit::CropInner);
            spec.suit = Some(Suit { input, stretched, planar, cropped });
        }
        self
    }

    /// A short name for the page: the file's name, or the URI without credentials.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => {
                path.file_name().map_or_else(|| self.to_string(), |name| name.to_string_lossy().into_owned())
            }
            Self::Test => "test picture".to_owned(),
            #[cfg(feature = "desktop")]
            Self::Demo(_) => "demo scene".to_owned(),
            Self::Vdo(_) => "camera".to_owned(),
            _ => self.to_string(),
        }
    }

    /// Checks what can be checked without opening the source.
    ///
    /// # Errors
    /// `Kind::Source` where a file or device is not there, is a folder, is empty or may not be read, or where this is
    /// no camera.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::File(path) => check_file(path),
            Self::Device(path) if !path.exists() => Err(Error::new(
                Kind::Source,
                format!("there is no device {}; ls /dev/video* lists those there are", path.display()),
            )),
            Self::Vdo(_) => vdo::sys::library().map(|_| ()),
            _ => Ok(()),
        }
    }
}

fn check_file(path: &Path) -> Result<()> {
    let fail = |message: String| Err(Error::new(Kind::Source, message));
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fail(format!("there is no file {shown}; check the path given as the source"))
        }
        Err(error) => fail(format!("cannot read {shown}: {error}")),
        Ok(metadata) if metadata.is_dir() => {
            fail(format!("{shown} is a folder; give a video or image file in it"))
        }
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 => {
            fail(format!("{shown} is empty; was it copied to the end?"))
        }
        Ok(_) => match std::fs::File::open(path) {
            Ok(_) => Ok(()),
            Err(error) => fail(format!("cannot read {shown}: {error}; check its permissions")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_may_name() {
        let parse = |text: &str| text.parse::<SourceSpec>();
        assert_eq!(parse("a/clip.mp4"), Ok(SourceSpec::File("a/clip.mp4".into())));
        assert_eq!(parse("file:///a%20b.mp4"), Ok(SourceSpec::File("/a b.mp4".into())));
        assert_eq!(parse("/dev/video0"), Ok(SourceSpec::Device("/dev/video0".into())));
        assert_eq!(parse("test"), Ok(SourceSpec::Test));
        assert_eq!(parse("rtsp://cam/1").unwrap().kind(), SourceKind::Network);
        assert_eq!(parse("odd://?name.mp4").unwrap().kind(), SourceKind::Network);
        assert_eq!(parse("a b://x").unwrap().kind(), SourceKind::File);
        assert_eq!(parse("demo"), Ok(SourceSpec::Demo(DemoSpec::default())));
        assert_eq!(parse("demo:"), parse("demo"));
        let demo = parse("demo:size=640x360,seed=7").unwrap();
        assert_eq!((demo.to_string().as_str(), demo.kind().word()), ("demo:seed=7,size=640x360", "demo"));
        assert_eq!((parse("demo").unwrap().to_string(), demo.name()), ("demo".into(), "demo scene".into()));
        assert!(demo.kind().is_live() && parse("demo:speed=1").is_err());
        for file in ["./demo", "demo.mp4", "Demo"] {
            assert_eq!(parse(file).unwrap().kind(), SourceKind::File, "{file}");
        }
        assert_eq!(parse("demo://x").unwrap().kind(), SourceKind::Network);
        let vdo = parse("vdo:channel=1,fps=15").unwrap();
        assert_eq!((vdo.to_string().as_str(), vdo.kind().word()), ("vdo:channel=1,fps=15", "camera"));
        assert_eq!((parse("vdo").unwrap().to_string(), parse("vdo:")), ("vdo".into(), parse("vdo")));
        assert!(parse("vdo:speed=1").is_err() && parse("vdo://x").unwrap().kind() == SourceKind::Network);
        assert!(parse("").is_err());
        assert!(parse("file://relative").is_err());
    }

    #[test]
    fn credentials_are_never_shown() {
        let spec = SourceSpec::Uri("rtsp://u:p@h/?password=abc".into());
        assert_eq!((spec.to_string(), spec.name()), ("rtsp://h/?password=***".into(), spec.to_string()));
    }

    #[test]
    fn missing_empty_and_folder_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.mp4");
        std::fs::write(&empty, "").unwrap();
        let message = |path: &Path| SourceSpec::File(path.into()).check().unwrap_err().to_string();
        assert!(message(&folder.path().join("none.mp4")).starts_with("there is no file "));
        assert!(message(folder.path()).contains(" is a folder"));
        assert!(message(&empty).contains(" is empty"));
    }
}
