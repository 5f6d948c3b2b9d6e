//! The `spotter` program.
fn main() {}
