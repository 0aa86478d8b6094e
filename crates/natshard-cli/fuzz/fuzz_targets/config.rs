//! The configuration on arbitrary bytes: reading, checking and every way of saying what is wrong
//! must not panic; what is refused has an error with a place in the text, and what is accepted
//! makes an engine.
//!
//! Run in `crates/natshard-cli` with `cargo install cargo-fuzz` done:
//! `mkdir -p fuzz/corpus && RUSTC_BOOTSTRAP=1 cargo fuzz run config fuzz/corpus examples-config --
//! -max_total_time=300 -dict=fuzz/config.dict`

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use natshard::Engine;

// The program has no library that shows it, so it is built in.
#[allow(dead_code, unused_imports)]
#[path = "../../src/config/mod.rs"]
mod config;
// What it needs of the rest.
#[allow(dead_code)]
#[path = "../../src/foreign.rs"]
mod foreign;
#[path = "../../src/stdin.rs"]
mod stdin;

fuzz_target!(|bytes: &[u8]| {
    match config::from_bytes(Path::new("fuzz.toml"), bytes.to_vec()) {
        Ok(loaded) => {
            let rendered = loaded.render_warnings(true);
            assert_eq!(rendered.is_empty(), loaded.warnings_json() == serde_json::json!([]));
            let json = loaded.to_json();
            assert_eq!(json["pools"].as_array().map(Vec::len), Some(loaded.pools().len()));
            // With nothing preopened: that takes memory as asked for.
            if !text_has(bytes, b"preopen") {
                Engine::new(loaded.engine(None, None)).expect("what is accepted makes an engine");
            }
        }
        Err(faults) => {
            let rendered = faults.render(false);
            assert!(rendered.contains("error: "), "{rendered}");
            let list = faults.to_json();
            let list = list.as_array().expect("a list of faults");
            assert!(list.iter().any(|it| it["severity"] == "error"));
            assert!(list.iter().all(|it| it["line"].as_u64() >= Some(1)));
            // Control characters of the text must not reach a terminal.
            assert!(!rendered.contains(|it: char| it.is_control() && it != '\n'), "{rendered:?}");
        }
    }
});

fn text_has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|it| it == word)
}
