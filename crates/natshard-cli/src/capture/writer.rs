//! Translated packets to a pcapng file: each as it was inside and as it was outside.

use std::borrow::Cow;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{Block, PcapNgBlock as _, PcapNgWriteError, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

use super::target::Target;

/// Which side of the NAT a packet was seen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before its source was translated, or after its destination was.
    Inside,
    /// The other way round.
    Outside,
}

/// Writes a capture with an interface named `inside` and one named `outside`, a pair for each link
/// type.
pub(crate) struct Writer {
    path: PathBuf,
    stream: PcapNgWriter<BufWriter<Target>>,
    /// Link types, in the order of their interface pairs.
    linktypes: Vec<u16>,
}

impl Writer {
    /// Opens the file. Nothing stands under its name before [`finish`](Self::finish), unless it is
    /// a device or a pipe.
    ///
    /// # Errors
    /// When it cannot be created or written to.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let open = || -> Result<Self> {
            let target = Target::open(path)?;
            let section = SectionHeaderBlock {
                endianness: Endianness::native(),
                options: vec![SectionHeaderOption::UserApplication(
                    concat!("natshard ", env!("CARGO_PKG_VERSION")).into(),
                )],
                ..SectionHeaderBlock::default()
            };
            let stream = PcapNgWriter::with_section_header(
                BufWriter::with_capacity(256 << 10, target),
                section,
            )
            .map_err(plain)?;
            Ok(Writer {
                path: path.to_path_buf(),
                stream,
                linktypes: Vec::new(),
            })
        };
        open().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes one packet. `at` is in nanoseconds since 1970.
    ///
    /// # Errors
    /// When the file cannot be written, for want of space say.
    pub(crate) fn packet(
        &mut self,
        side: Side,
        linktype: u16,
        at: u64,
        wire_len: u32,
        data: &[u8],
    ) -> Result<()> {
        let pair = self.pair(linktype)?;
        let block = EnhancedPacketBlock {
            interface_id: 2 * pair + u32::from(side == Side::Outside),
            timestamp: Duration::from_nanos(at),
            original_len: wire_len.max(data.len() as u32),
            data: Cow::Borrowed(data),
            options: Vec::new(),
        };
        self.write(&block.into_block())
    }

    /// Completes the file and gives it its name. A capture without packets has its two
    /// interfaces nevertheless.
    ///
    /// # Errors
    /// When it cannot be written to the end, or not be given its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.linktypes.is_empty() {
            self.pair(1)?;
        }
        let path = self.path;
        let done = || -> Result<()> {
            let buffer = self.stream.into_inner();
            let target = buffer.into_inner().map_err(|error| error.into_error())?;
            target.finish()
        };
        done().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The number of the pair of interfaces of a link type, described when first met.
    fn pair(&mut self, linktype: u16) -> Result<u32> {
        if let Some(at) = self.linktypes.iter().position(|it| *it == linktype) {
            return Ok(at as u32);
        }
        for name in ["inside", "outside"] {
            let interface = InterfaceDescriptionBlock {
                linktype: DataLink::from(u32::from(linktype)),
                snaplen: 0,
                options: vec![
                    InterfaceDescriptionOption::IfName(name.into()),
                    InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
                ],
            };
            self.write(&interface.into_block())?;
        }
        self.linktypes.push(linktype);
        Ok(self.linktypes.len() as u32 - 1)
    }

    fn write(&mut self, block: &Block<'_>) -> Result<()> {
        self.stream
            .write_block(block)
            .map(drop)
            .map_err(plain)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// What the system said, without the library's frame around it.
fn plain(error: PcapNgWriteError) -> anyhow::Error {
    match error {
        PcapNgWriteError::Io(error) => error.into(),
        other => other.into(),
    }
}
