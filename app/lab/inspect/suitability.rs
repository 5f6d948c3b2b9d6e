//! Which chips a model suits: what the page says of the one that runs.

use serde_json::{Value, json};

use super::report::{self, Look};
use super::rules::{Level, Rule, Subject, Verdict};
use spotter_core::base::error::Result;
use spotter_core::model::chip::Chip;
use spotter_core::model::format::file::ModelFile;

/// Every chip's verdict on a model.
#[derive(Clone, Debug)]
pub struct Suitability {
    chips: Vec<(Chip, Verdict)>,
    /// Why some or all rules say nothing.
    note: Option<String>,
}

impl Suitability {
    /// Judges a model by the rules of all chips; a file that cannot be looked into has none of their verdicts.
    pub fn of(file: &ModelFile) -> Self {
        Self::judge(file).unwrap_or_else(|error| Self { chips: Vec::new(), note: Some(error.to_string()) })
    }

    fn judge(file: &ModelFile) -> Result<Self> {
        let Look { graph, cost } = Look::into(file)?;
        let note = graph.as_ref().is_none_or(report::hides_layers).then(|| {
            "it is compiled, and its layers cannot be seen: only its inputs and outputs are judged".to_owned()
        });
        let subject = Subject { file, graph: graph.as_ref(), cost: &cost };
        let chips = Chip::ALL.into_iter().map(|chip| (chip, Verdict::of(&subject, chip))).collect();
        Ok(Self { chips, note })
    }

    /// As JSON: the verdict of the chip that runs it and, where `all` are wanted, of the others after it, each with
    /// the rules that warn or fail, the gravest first.
    pub fn to_json(&self, here: Chip, all: bool) -> Value {
        let own = self.chips.iter().filter(|(chip, _)| *chip == here);
        let others = self.chips.iter().filter(|(chip, _)| all && *chip != here);
        let chips = own.chain(others).map(|(chip, verdict)| {
            let mut rules: Vec<&Rule> =
                verdict.rules.iter().filter(|rule| rule.level > Level::Pass).collect();
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.level));
            json!({ "chip": chip, "title": chip.title(), "verdict": verdict.verdict, "rules": rules })
        });
        json!({ "chip": here, "chips": chips.collect::<Vec<_>>(), "note": self.note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::demo;
    use spotter_core::model::format::cavalry::Cavalry;

    fn demo_model() -> ModelFile {
        ModelFile::from_bytes(demo::FILE, demo::bytes(demo::NAME).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_chip_that_runs_it_comes_first_and_the_gravest_rule_too() {
        let suitability = Suitability::of(&demo_model());
        let own = suitability.to_json(Chip::Artpec8, false);
        assert_eq!((&own["chip"], own["chips"].as_array().unwrap().len()), (&json!("artpec8"), 1));
        let all = suitability.to_json(Chip::Cpu, true);
        let names: Vec<&str> =
            all["chips"].as_array().unwrap().iter().map(|chip| chip["chip"].as_str().unwrap()).collect();
        assert_eq!(names, ["cpu", "artpec7", "artpec8", "artpec9", "cv25"]);
        assert_eq!(all["chips"][2], own["chips"][0]);
        let cv25 = &all["chips"][4];
        assert_eq!((&cv25["verdict"], &cv25["rules"][0]["level"]), (&json!("fail"), &json!("fail")));
        for chip in all["chips"].as_array().unwrap() {
            let rules = chip["rules"].as_array().unwrap();
            assert!(
                rules.iter().all(|rule| rule["level"] != "pass" && rule["message"].is_string()),
                "{chip}"
            );
            let worst = rules.first().map_or(&json!("pass"), |rule| &rule["level"]).clone();
            assert_eq!(chip["verdict"], worst);
        }
        assert_eq!(all["note"], Value::Null);
    }

    #[test]
    fn a_compiled_file_says_that_its_layers_are_not_seen() {
        let described = r#"{"inputs":[{"shape":[1,3,224,224],"type":"uint8"}],"outputs":[{"shape":[1,9],"type":"float32"}]}"#;
        let cavalry = Cavalry::parse(described.as_bytes(), "x.json").unwrap();
        let mut file = demo_model();
        (file.signature, file.cavalry) = (cavalry.signature(), Some(cavalry.into()));
        let value = Suitability::of(&file).to_json(Chip::Cv25, true);
        assert!(value["note"].as_str().unwrap().contains("its layers cannot be seen"), "{value}");
        let verdicts: Vec<&Value> =
            value["chips"].as_array().unwrap().iter().map(|chip| &chip["verdict"]).collect();
        assert_ne!(verdicts[0], "fail", "{value}");
        assert_eq!(verdicts[1..], ["fail"; 4], "{value}");
    }

    #[test]
    fn a_file_that_cannot_be_looked_into_says_why() {
        let mut file = demo_model();
        file.bytes = file.bytes[..file.bytes.len() / 4].into();
        let value = Suitability::of(&file).to_json(Chip::Cpu, true);
        assert_eq!(value["chips"], json!([]));
        assert!(value["note"].as_str().unwrap().contains(&file.name), "{value}");
    }
}
