//! What the sources themselves promise.

use std::path::{Path, PathBuf};

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push(path);
        }
    }
}

/// The lines of the engine's sources in which one of these words stands, by file.
fn lines_with(words: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&root, &mut files);
    assert!(files.len() > 50);
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    found
}

/// F34: a weak compare-exchange may fail without reason, which loom never lets it do. The engine
/// has none, so that there is no such failure which the models could miss. `fetch_update` is a loop
/// over a weak one.
#[test]
fn f34_no_compare_exchange_of_the_engine_may_fail_without_reason() {
    let weak = lines_with(&["compare_exchange_weak", "fetch_update", "try_update"]);
    assert_eq!(weak, Vec::<String>::new());
    assert!(!lines_with(&["compare_exchange("]).is_empty());
}

/// F33: the models replace what `sync` and `reclaim` name. An atomic or an epoch named elsewhere
/// would not be in any model. (What a statistic of a test or of a planted bug is made of does not
/// count, nor does what is never shared between threads.)
#[test]
fn f33_atomics_and_the_epoch_are_named_in_one_place_each() {
    let atomics = lines_with(&["sync::atomic", "AtomicU", "AtomicBool", "AtomicPtr"]);
    let elsewhere: Vec<_> = atomics
        .iter()
        .filter(|line| !line.starts_with("sync") && !line.starts_with("planted.rs"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let epoch = lines_with(&["crossbeam_epoch"]);
    assert!(
        epoch.iter().all(|line| line.starts_with("reclaim.rs")),
        "{epoch:?}"
    );
}
