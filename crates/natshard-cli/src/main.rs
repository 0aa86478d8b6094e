//! The `natshard` program; everything is in the library beside it, where tests reach it.
use std::process::ExitCode;

use natshard_cli::bench::heap::Counting;

#[global_allocator]
static HEAP: Counting = Counting;

fn main() -> ExitCode {
    natshard_cli::main()
}
