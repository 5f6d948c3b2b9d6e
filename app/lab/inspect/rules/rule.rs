//! What a rule is given, and how it can go.

use serde::Serialize;

use crate::inspect::cost::Cost;
use spotter_core::base::text::printable;
use spotter_core::model::chip::Chip;
use spotter_core::model::format::file::ModelFile;
use spotter_core::model::format::graph::{Graph, Operator};

/// How a rule went, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As the chip wants it.
    Pass,
    /// It runs, but slower or less accurately than it could.
    Warn,
    /// It does not run, or none of it on the accelerator.
    Fail,
}

impl Level {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One rule and how a model does by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The rule's name; it stays the same over versions.
    pub id: &'static str,
    /// How it went.
    pub level: Level,
    /// What was found, and how to mend it.
    pub message: String,
}

impl Rule {
    pub(super) fn new(id: &'static str, level: Level, message: impl Into<String>) -> Option<Self> {
        Some(Self { id, level, message: message.into() })
    }

    pub(super) fn pass(id: &'static str, message: impl Into<String>) -> Option<Self> {
        Self::new(id, Level::Pass, message)
    }

    pub(super) fn warn(id: &'static str, message: impl Into<String>) -> Option<Self> {
        Self::new(id, Level::Warn, message)
    }

    pub(super) fn fail(id: &'static str, message: impl Into<String>) -> Option<Self> {
        Self::new(id, Level::Fail, message)
    }
}

/// A rule; `None` where it does not apply to a model.
pub(super) type Check = fn(&Subject<'_>, Chip) -> Option<Rule>;

/// A model under judgement.
pub struct Subject<'a> {
    /// What the file says of itself.
    pub file: &'a ModelFile,
    /// Its layers; `None` for a compiled file that has none to read.
    pub graph: Option<&'a Graph>,
    /// What its layers cost.
    pub cost: &'a Cost,
}

impl<'a> Subject<'a> {
    /// Operators by name, with their places.
    pub(super) fn operators(&self, names: &[&str]) -> Vec<(usize, &'a Operator)> {
        let all = self.graph.map_or(&[][..], |graph| graph.operators.as_slice()).iter().enumerate();
        all.filter(|(_, operator)| names.contains(&operator.name.as_str())).collect()
    }

    /// Convolutions, depthwise and transposed ones too.
    pub(super) fn convolutions(&self) -> Vec<(usize, &'a Operator)> {
        self.operators(&["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
    }

    /// The graph and its convolutions; `None` where there are none, so that rules about them do not apply.
    pub(super) fn convolved(&self) -> Option<(&'a Graph, Vec<(usize, &'a Operator)>)> {
        let found = self.convolutions();
        if found.is_empty() { None } else { Some((self.graph?, found)) }
    }

    /// How many convolutions there are, and those whose output channels are no multiple of `of`.
    pub(super) fn uneven_channels(&self, of: usize) -> Option<(usize, Vec<usize>)> {
        let (graph, convolutions) = self.convolved()?;
        let fits = |o: &Operator| graph.output(o).and_then(|t| t.shape.last()).is_some_and(|c| c % of == 0);
        Some((convolutions.len(), misfits(&convolutions, fits)))
    }

    /// Fails a rule whose layers do most of the work and warns of it otherwise.
    pub(super) fn by_share(&self, layers: &[usize]) -> Level {
        if self.cost.share(layers.iter().copied()) >= 0.5 { Level::Fail } else { Level::Warn }
    }

    /// Share of the MACs in these layers, for people.
    pub(super) fn percent(&self, layers: impl IntoIterator<Item = usize>) -> String {
        let share = self.cost.share(layers) * 100.0;
        if share > 0.0 && share < 0.1 { "under 0.1 %".to_string() } else { format!("{share:.1} %") }
    }
}

/// "layer 3", "layers 3, 4 and 9", "layers 3, 4, 9 and 20 more".
pub(super) fn layers(indices: &[usize]) -> String {
    const LISTED: usize = 4;
    let shown: Vec<String> = indices.iter().take(LISTED).map(usize::to_string).collect();
    match (indices.len(), shown.as_slice()) {
        (1, [one]) => format!("layer {one}"),
        (count, _) if count > LISTED => format!("layers {} and {} more", shown.join(", "), count - LISTED),
        (_, [first @ .., last]) => format!("layers {} and {last}", first.join(", ")),
        _ => "no layer".to_string(),
    }
}

/// Places of the operators that do not fit.
pub(super) fn misfits(operators: &[(usize, &Operator)], fits: impl Fn(&Operator) -> bool) -> Vec<usize> {
    operators.iter().filter(|(_, operator)| !fits(operator)).map(|(place, _)| *place).collect()
}

/// Operators that occur, each with its number: "2 PAD, 1 ARG_MAX".
pub(super) fn tally<'a>(operators: impl IntoIterator<Item = &'a Operator>) -> String {
    const LISTED: usize = 6;
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for operator in operators {
        match counts.iter().position(|(name, _)| *name == operator.name) {
            Some(place) => counts[place].1 += 1,
            None if counts.len() <= LISTED => counts.push((&operator.name, 1)),
            None => {}
        }
    }
    let more = if counts.len() > LISTED { ", …" } else { "" };
    let shown: Vec<String> =
        counts.iter().take(LISTED).map(|(name, count)| format!("{count} {}", printable(name, 48))).collect();
    format!("{}{more}", shown.join(", "))
}
