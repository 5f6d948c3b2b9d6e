//! The command line: arguments → command → exit code.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::base::error::{Kind, Result};
use crate::detect::sandbox;

#[cfg(feature = "desktop")]
pub mod answers;
pub mod args;
#[cfg(feature = "desktop")]
pub mod bench;
#[cfg(feature = "desktop")]
pub mod compare;
#[cfg(feature = "desktop")]
pub mod demo;
#[cfg(feature = "desktop")]
pub mod detect;
#[cfg(feature = "desktop")]
pub mod eval;
mod heap;
pub mod inspect;
#[cfg(feature = "desktop")]
pub mod models;
pub mod output;
#[cfg(feature = "desktop")]
pub mod recommend;
pub mod run;
pub mod signals;

#[cfg(feature = "desktop")]
use args::{BenchArgs, DetectArgs, ModelsCommand, RecommendArgs};
use args::{InspectArgs, RunArgs};

/// Finds objects in live video and shows them on a web page.
#[derive(Debug, Parser)]
#[command(name = "spotter", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Detect in a video source and show it live on a web page
    Run(RunArgs),
    /// Detect in images or clips, nothing left out, results to standard output
    #[cfg(feature = "desktop")]
    Detect(DetectArgs),
    /// Measure how fast a clip goes through a model on this machine
    #[cfg(feature = "desktop")]
    Bench(BenchArgs),
    /// List, download and check the models of the catalogue
    #[command(subcommand)]
    #[cfg(feature = "desktop")]
    Models(ModelsCommand),
    /// Rank the catalogue's models for a chip by published figures
    #[cfg(feature = "desktop")]
    Recommend(RecommendArgs),
    /// Tell what a model is, what it costs and how it suits each chip
    Inspect(InspectArgs),
    /// Measure how good a model is on pictures whose content is known
    #[cfg(feature = "desktop")]
    Eval(eval::EvalArgs),
    /// Hold two models' answers, or two files of answers, against each other
    #[cfg(feature = "desktop")]
    Compare(compare::CompareArgs),
    /// Write the demo scene to disk, with the true boxes of what is in it
    #[cfg(feature = "desktop")]
    Demo(demo::DemoArgs),
    /// Load and run a model once, in a process that may break down: what the other commands start
    #[command(hide = true)]
    TryModel {
        /// The model file
        file: PathBuf,
    },
    /// Take processor time until standard input ends: what `bench --busy` starts
    #[command(hide = true)]
    #[cfg(feature = "desktop")]
    KeepBusy,
    /// What this build leaves out
    #[cfg(not(feature = "desktop"))]
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Runs the command that the arguments name.
///
/// # Errors
/// Whatever ends the command; the kind says the exit code.
pub fn execute(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        #[cfg(feature = "desktop")]
        Command::Detect(args) => detect::detect(&args),
        #[cfg(feature = "desktop")]
        Command::Bench(args) => bench::bench(&args),
        #[cfg(feature = "desktop")]
        Command::Models(command) => models::models(&command),
        #[cfg(feature = "desktop")]
        Command::Recommend(args) => recommend::recommend(&args),
        #[cfg(feature = "desktop")]
        Command::Eval(args) => eval::eval(&args),
        #[cfg(feature = "desktop")]
        Command::Compare(args) => compare::compare_models(&args),
        #[cfg(feature = "desktop")]
        Command::Demo(args) => demo::demo(&args),
        #[cfg(feature = "desktop")]
        Command::KeepBusy => bench::keep_busy(),
        Command::TryModel { file } => sandbox::try_model(&file),
        Command::Inspect(args) => inspect::inspect(&args),
        #[cfg(not(feature = "desktop"))]
        Command::Other(words) => {
            let name = words.first().cloned().unwrap_or_default();
            let text = format!(
                "this build of Spotter is for a camera and has `run` and `inspect` alone; `{name}` is for a desktop"
            );
            Err(crate::base::error::Error::new(Kind::Usage, text))
        }
    }
}

/// Parses, runs, reports: the whole program. Returns the exit code.
pub fn main() -> u8 {
    heap::give_back();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no failure; clap formats both.
            let code = if error.use_stderr() { Kind::Usage.exit_code() } else { 0 };
            let _ = error.print();
            return code;
        }
    };
    crate::base::logging::start();
    sandbox::enable();
    match execute(cli) {
        Ok(()) => 0,
        Err(error) => {
            log::error!("{error}");
            error.kind().exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_outputs_limit_needs_an_output() {
        let parse = |more: &[&str]| Cli::try_parse_from([&["spotter", "run"], more].concat());
        assert!(parse(&[]).is_ok() && parse(&["--output", "a", "--output-limit", "5"]).is_ok());
        let error = parse(&["--output-limit", "5"]).unwrap_err().to_string();
        assert!(error.contains("--output <FILE.jsonl>"), "{error}");
    }
}
