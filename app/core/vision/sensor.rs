//! Which picture of a camera is looked at.

use std::fmt;
use std::str::FromStr;

/// The largest number of an input or a channel.
const MOST: u32 = 64;

/// Which picture of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// A whole sensor, from 1 on.
    Input(u32),
    /// A channel: 0 the overview, from 1 on view areas.
    Channel(u32),
}

impl Default for View {
    fn default() -> Self {
        Self::Input(1)
    }
}

impl View {
    /// True of a whole sensor.
    pub fn is_input(self) -> bool {
        matches!(self, Self::Input(_))
    }

    /// What a person calls it.
    pub fn title(self) -> String {
        match self {
            Self::Input(number) => format!("sensor {number}"),
            Self::Channel(number) => format!("channel {number}"),
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(number) => write!(f, "input={number}"),
            Self::Channel(number) => write!(f, "channel={number}"),
        }
    }
}

/// "input=2" or "channel=1".
impl FromStr for View {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, number, least) = match text.split_once('=') {
            Some(("input", number)) => ("input", number, 1),
            Some(("channel", number)) => ("channel", number, 0),
            _ => return Err(format!("\"{text}\" is no sensor; write input=2, or channel=1")),
        };
        let known = number.parse().ok().filter(|number| (least..=MOST).contains(number));
        let number = known
            .ok_or_else(|| format!("\"{number}\" is no {what}; give a number from {least} to {MOST}"))?;
        Ok(if least == 0 { Self::Channel(number) } else { Self::Input(number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (text, view, title) in
            [("input=3", View::Input(3), "sensor 3"), ("channel=0", View::Channel(0), "channel 0")]
        {
            assert_eq!(text.parse(), Ok(view));
            assert_eq!((view.to_string().as_str(), view.title().as_str()), (text, title));
        }
        for bad in ["2", "input=0", "input=65", "channel=-1", "view=1", ""] {
            assert!(bad.parse::<View>().unwrap_err().contains(" is no "), "{bad}");
        }
    }
}
