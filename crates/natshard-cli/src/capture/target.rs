//! A file that gets its name when it is complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::NamedTempFile;

/// Where the bytes of an output go until they are complete.
pub(crate) enum Target {
    /// Beside the final name, so that no half of a file ever stands under it.
    Beside(NamedTempFile, PathBuf),
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
            // Through a symbolic link to the file behind it.
            Ok(_) => {
                let path = fs::canonicalize(path)?;
                Target::Beside(beside(&path)?, path)
            }
            Err(_) => Target::Beside(beside(path)?, path.to_path_buf()),
        })
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When it cannot be written to the end, or not be given its name.
    pub(crate) fn finish(self) -> Result<()> {
        match self {
            Target::Beside(file, path) => {
                // Space that was promised late is refused here and not after the rename.
                file.as_file().sync_data()?;
                file.persist(path).map_err(|error| error.error)?;
            }
            Target::Direct(mut file) => file.flush()?,
        }
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::Beside(file, _) => file.write(bytes),
            Target::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Beside(file, _) => file.flush(),
            Target::Direct(file) => file.flush(),
        }
    }
}

/// A file beside `path`, with the permissions a new file gets.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(|error| {
        // Without the name of the temporary file, which means nothing to the user.
        let inner = error.get_ref().and_then(std::error::Error::source);
        let inner = inner.and_then(|it| it.downcast_ref::<io::Error>());
        match inner.and_then(io::Error::raw_os_error) {
            Some(code) => io::Error::from_raw_os_error(code),
            None => error,
        }
    })
}
