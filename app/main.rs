//! The `spotter` program.

fn main() -> std::process::ExitCode {
    spotter::cli::main().into()
}
