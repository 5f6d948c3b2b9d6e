//! What each chip asks of a model, as rules that pass, warn or fail.
//!
//! Sources: the pages "Computer vision on device" of Axis's developer documentation, one a chip (model
//! conversion, optimisation tips, supported operators), and Axis's own models for the chips. What follows
//! from neither in so many words says "inferred" in its message.

pub mod artpec7;
pub mod artpec8;
pub mod artpec9;
pub mod common;
pub mod cpu;
pub mod cv25;
mod rule;

use serde::Serialize;

use rule::Check;
pub use rule::{Level, Rule, Subject};
use spotter_core::model::chip::Chip;

/// The rules of a chip.
fn rules_of(chip: Chip) -> &'static [Check] {
    match chip {
        Chip::Artpec7 => artpec7::RULES,
        Chip::Artpec8 => artpec8::RULES,
        Chip::Artpec9 => artpec9::RULES,
        Chip::Cv25 => cv25::RULES,
        Chip::Cpu => cpu::RULES,
    }
}

/// All rules of a chip on one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The worst of the rules.
    pub verdict: Level,
    /// Every rule that applies.
    pub rules: Vec<Rule>,
}

impl Verdict {
    /// How a model does on a chip.
    pub fn of(subject: &Subject<'_>, chip: Chip) -> Self {
        let rules: Vec<Rule> = rules_of(chip).iter().filter_map(|check| check(subject, chip)).collect();
        let verdict = rules.iter().map(|rule| rule.level).max().unwrap_or(Level::Pass);
        Self { verdict, rules }
    }

    /// How many rules went so.
    pub fn count(&self, level: Level) -> usize {
        self.rules.iter().filter(|rule| rule.level == level).count()
    }
}

#[cfg(test)]
mod tests;
