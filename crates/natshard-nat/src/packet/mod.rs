//! Packet layer: dissects a frame and rewrites its addresses and ports in place.
//!
//! Sans-IO: a frame is a byte slice plus the [`Link`] type it was captured or received with.
//! [`dissect()`] yields a [`View`] (offsets and decoded fields, `Copy`, no borrow of the frame) or
//! the reason ([`Skip`]) why the frame cannot be translated. [`apply`] and [`apply_quoted`] carry
//! out an [`Edit`] on the frame the view was taken from.
//!
//! * Only the outermost IP header and its transport header are translated. A tunnel is an IP
//!   protocol, or UDP payload, like any other.
//! * Checksums are updated from the difference alone ([RFC 1624]), never recomputed: the payload
//!   may be cut by the capture, or be in another fragment, and a checksum that was wrong stays
//!   wrong by the same amount. Every edit is exactly invertible; see [`checksum`].
//! * Bytes outside the IP packet (link header, Ethernet padding, trailers) are never touched.
//!
//! [RFC 1624]: https://www.rfc-editor.org/rfc/rfc1624

mod bytes;
pub mod checksum;
mod dissect;
mod edit;
mod ip;
mod layout;
mod link;
mod plain;
mod skip;
mod view;

pub use dissect::dissect;
pub use edit::{Edit, EditError, Endpoint, HopLimit, apply, apply_quoted};
pub use link::Link;
pub use plain::PlainPacket;
pub(crate) use plain::{End, Replacement};
pub use skip::{Payload, Skip};
pub use view::{
    Family, Fragment, IcmpErrorKind, IcmpQueryKind, Quoted, QuotedTransport, TcpFlags, Transport,
    View,
};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
