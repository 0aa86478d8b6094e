//! From a path to text: everything that can be wrong with a file before its first line is read.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::diagnostic::{Diagnostic, Source};
use super::{Faults, Unreadable};
use crate::stdin::is_stdin;

/// Largest configuration taken, in bytes.
pub(crate) const MAX_BYTES: u64 = 4 << 20;

/// The text of a configuration file, or of stdin where the name is `-`.
pub(crate) fn read(path: &Path) -> Result<Source, Faults> {
    let name = match is_stdin(path) {
        true => Path::new("stdin"),
        false => path,
    };
    let unreadable = |why: String, help: &str| {
        Faults::Unreadable(Unreadable {
            path: name.to_path_buf(),
            why,
            help: help.into(),
        })
    };
    let from_io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => unreadable(
            "there is no such file".into(),
            "check the name and the folder",
        ),
        io::ErrorKind::PermissionDenied => unreadable(
            "permission denied".into(),
            "make the file readable for this user",
        ),
        io::ErrorKind::IsADirectory => is_directory(name),
        _ => unreadable(error.to_string(), ""),
    };
    let mut bytes = Vec::new();
    let mut take = |input: &mut dyn io::Read| {
        let mut bounded = input.take(MAX_BYTES + 1);
        bounded.read_to_end(&mut bytes).map_err(from_io)
    };
    if is_stdin(path) {
        take(&mut io::stdin())?;
        return decode(name, bytes);
    }
    let mut file = File::open(path).map_err(from_io)?;
    if file.metadata().map_err(from_io)?.is_dir() {
        return Err(is_directory(path));
    }
    take(&mut file)?;
    decode(path, bytes)
}

/// Bytes that were read from `path`, as text.
pub(crate) fn decode(path: &Path, bytes: Vec<u8>) -> Result<Source, Faults> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Faults::one(
            Source::new(path, String::new()),
            Diagnostic::error(
                0..0,
                format!(
                    "larger than {} MiB: too large for a configuration",
                    MAX_BYTES >> 20
                ),
            )
            .help(
                "name prefixes instead of single addresses, or check that this is the right file",
            ),
        ));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let source = Source::new(path, String::from_utf8_lossy(&bytes).into_owned());
            return Err(Faults::one(
                source,
                Diagnostic::error(
                    valid..valid + 1,
                    format!("not UTF-8: byte 0x{:02x} at offset {valid}", bytes[valid]),
                )
                .label("this byte")
                .help("save the file as UTF-8 text"),
            ));
        }
    };
    if text.trim().is_empty() {
        return Err(Faults::one(
            Source::new(path, text),
            Diagnostic::error(0..0, "the configuration is empty").help(
                "give at least one pool: `[[external-ip-address-pool]]` with `name` and \
                 `external-ip-pool`",
            ),
        ));
    }
    // A byte-order mark would move every column of the first line.
    Ok(Source::new(path, text))
}

fn is_directory(path: &Path) -> Faults {
    Faults::Unreadable(Unreadable {
        path: path.to_path_buf(),
        why: "it is a directory".into(),
        help: "name a TOML file in it".into(),
    })
}
