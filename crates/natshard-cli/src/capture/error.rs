//! What can be wrong with a capture.

use std::io;

use thiserror::Error;

/// Why a file cannot be read as a capture at all.
#[derive(Debug, Error)]
pub(crate) enum NotACapture {
    /// No byte in it.
    #[error("the file is empty (0 bytes): record it again")]
    Empty,
    /// Too short for the header of any capture.
    #[error("the file ends after {0} bytes, inside its header: record it again")]
    HeaderCut(u64),
    /// It begins like something else.
    #[error("not a pcap or pcapng capture: it begins with {begins}{hint}")]
    Foreign {
        /// The first bytes, in hexadecimal.
        begins: String,
        /// What it probably is and what to do, or nothing.
        hint: &'static str,
    },
    /// A pcapng file whose first section header is broken.
    #[error("damaged pcapng section header at byte 0: {0}")]
    BadHeader(String),
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl NotACapture {
    /// The error for a file with these first bytes.
    pub(crate) fn foreign(first: &[u8]) -> Self {
        let hint = match first {
            [0x1f, 0x8b, ..] => "; it is gzip-compressed: `gunzip` it first",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "; it is zstd-compressed: `unzstd` it first",
            [0xfd, b'7', b'z', b'X', b'Z', ..] => "; it is xz-compressed: `unxz` it first",
            [b'B', b'Z', b'h', ..] => "; it is bzip2-compressed: `bunzip2` it first",
            [b's', b'n', b'o', b'o', b'p', ..] => "; it is a snoop file: `editcap` converts it",
            _ => "; `editcap IN OUT.pcapng` converts what Wireshark can read",
        };
        let begins: Vec<_> = first.iter().take(4).map(|it| format!("{it:02x}")).collect();
        NotACapture::Foreign {
            begins: begins.join(" "),
            hint,
        }
    }
}

/// Why reading ended before the end of the file. What came before is good.
#[derive(Debug, Error)]
pub(crate) enum Complaint {
    /// The file ends inside a record.
    #[error(
        "cut short: the record at byte {at} needs {needs} bytes, the file has {has} more; \
         the packets before it were used"
    )]
    Cut {
        /// Offset of the record.
        at: u64,
        /// Bytes of the whole record.
        needs: u64,
        /// Bytes there are.
        has: u64,
    },
    /// A record that cannot be right.
    #[error(
        "damaged at byte {at}: {what}; the packets before it were used, what follows was not \
         (`editcap` or `pcapfix` may save more)"
    )]
    Damaged {
        /// Offset of the record.
        at: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file cannot be read any further.
    #[error("cannot be read after byte {at}: {error}; the packets before it were used")]
    Io {
        /// Offset up to which it was read.
        at: u64,
        /// What the system said.
        error: io::Error,
    },
}
