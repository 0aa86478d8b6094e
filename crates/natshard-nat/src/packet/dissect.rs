//! From bytes to a [`View`].

use super::{Link, Skip, View};

/// Finds the outermost IP packet of a frame and decodes its headers.
///
/// # Errors
/// [`Skip`] says why the frame holds no packet that can be translated.
pub fn dissect(link: Link, frame: &[u8]) -> Result<View, Skip> {
    let _ = (link, frame);
    todo!()
}
