//! Stdin, by its name on the command line.

use std::path::Path;

/// Whether a name on the command line means stdin; a file of that name is `./-`.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}
