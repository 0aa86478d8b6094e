//! A file that gets its name when it is complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempPath;

/// Where the bytes of an output go until they are complete.
pub(crate) enum Target {
    /// Beside the final name, so that no half of a file ever stands under it.
    Beside {
        /// The bytes.
        file: File,
        /// Their name until then; taken away if it comes to nothing.
        temporary: TempPath,
        /// The final name.
        path: PathBuf,
    },
    /// A device or a pipe, which cannot be renamed.
    Direct(File),
}

impl Target {
    /// Opens an output. Nothing stands under its name before [`finish`](Self::finish), unless it
    /// is a device or a pipe.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => anyhow::bail!("it is a directory; name a file in it"),
            Ok(meta) if !meta.is_file() => Target::Direct(File::options().write(true).open(path)?),
            found => {
                let path = match found {
                    // Through a symbolic link to the file behind it.
                    Ok(_) => fs::canonicalize(path)?,
                    Err(_) => path.to_path_buf(),
                };
                let (file, temporary) = beside(&path)?;
                Target::Beside {
                    file,
                    temporary,
                    path,
                }
            }
        })
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When it cannot be written to the end, or not be given its name.
    pub(crate) fn finish(self) -> Result<()> {
        match self {
            Target::Beside {
                file,
                temporary,
                path,
            } => {
                // Space that was promised late is refused here and not after the rename.
                file.sync_data()?;
                temporary.persist(path).map_err(|error| error.error)?;
            }
            Target::Direct(mut file) => file.flush()?,
        }
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::Beside { file, .. } | Target::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Beside { file, .. } | Target::Direct(file) => file.flush(),
        }
    }
}

/// A new file beside `path`, with the permissions a new file gets.
fn beside(path: &Path) -> io::Result<(File, TempPath)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    for attempt in 0..100 {
        let mut temporary = name.to_os_string();
        temporary.push(format!(".{}-{attempt}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary);
        match File::options()
            .write(true)
            .create_new(true)
            .open(&temporary)
        {
            Ok(file) => return Ok((file, TempPath::try_from_path(temporary)?)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
