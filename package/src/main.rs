//! The `spotter-package` program.

fn main() -> std::process::ExitCode {
    spotter_package::cli::main().into()
}
