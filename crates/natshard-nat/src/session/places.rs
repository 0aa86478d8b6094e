//! From a session's line to its endpoints and keys, whatever family it is of.

use super::Half;
use super::entry::{End, Ends, Key, Mapping, Pair, REDIRECT, Redirect, Session, Wide};
use super::slab::Slab;
use crate::addr::Addr;

/// Where the parts of sessions lie that their lines have no room for.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) wides: &'a Slab<Wide>,
    pub(super) redirects: &'a Slab<Redirect>,
}

impl Places<'_> {
    /// Inside, remote, public; the remote one means nothing if it is a redirect.
    #[inline]
    fn addresses(self, session: &Session) -> [Addr; 3] {
        if session.kind.is_v6() {
            self.wides[session.addresses[0]].addresses
        } else {
            session.addresses.map(Addr::v4)
        }
    }

    #[inline]
    pub(super) fn remotes(self, session: &Session) -> [End; 2] {
        let port = session.ports[1];
        if session.flags & REDIRECT != 0 {
            let redirect = &self.redirects[session.addresses[1]];
            return [
                (redirect.remote, port),
                (redirect.outside, redirect.outside_port),
            ];
        }
        let [_, remote, _] = self.addresses(session);
        [(remote, port); 2]
    }

    pub(super) fn peer_key(self, session: &Session) -> Key {
        let remote = self.remotes(session)[1].0;
        Key::of_peer(session.mapping, session.kind.is_v6(), remote)
    }

    #[inline]
    pub(super) fn ends(self, session: &Session) -> Ends {
        let [inside, _, public] = self.addresses(session);
        Ends {
            vpcs: session.vpcs,
            kind: session.kind,
            inside,
            inside_port: session.ports[0],
            public,
            public_port: session.ports[2],
        }
    }

    /// What packets of one half of a session read on arrival.
    #[inline]
    pub(super) fn flow_key(self, session: &Session, half: Half) -> Key {
        let ends = self.ends(session);
        let [remote, remote_outside] = self.remotes(session);
        match half {
            Half::Inside => ends.question_key(remote),
            Half::Outside => ends.answer_key(remote_outside),
        }
    }
}

#[inline]
pub(super) fn ends_in<L>(pairs: &Slab<Pair>, mapping: &Mapping<L>) -> Ends {
    let (inside, public) = if mapping.kind.is_v6() {
        let pair = &pairs[mapping.inside];
        (pair.inside, pair.public)
    } else {
        let v4 = Addr::v4;
        (v4(mapping.inside), v4(mapping.public))
    };
    Ends {
        vpcs: mapping.vpcs,
        kind: mapping.kind,
        inside,
        inside_port: mapping.inside_port,
        public,
        public_port: mapping.public_port,
    }
}
