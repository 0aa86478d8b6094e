//! A 256-ary trie over 32-bit keys that only grows.

use crate::sync::Link;

/// A node whose children are made on demand and live as long as it does.
#[derive(Debug)]
pub struct Node<T> {
    children: [Link<T>; 256],
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node {
            children: std::array::from_fn(|_| Link::default()),
        }
    }
}

impl<T> Node<T> {
    fn child(&self, index: u8) -> Option<&T> {
        // SAFETY: a non-null link holds a box leaked by `child_or`, freed only with the node.
        unsafe { self.children[index as usize].get().as_ref() }
    }

    fn child_or(&self, index: u8, make: impl FnOnce() -> T) -> &T {
        if let Some(child) = self.child(index) {
            return child;
        }
        let fresh = Box::into_raw(Box::new(make()));
        let child = match self.children[index as usize].exchange(std::ptr::null_mut(), fresh) {
            Ok(()) => fresh,
            Err(winner) => {
                // SAFETY: nobody saw `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
                winner
            }
        };
        // SAFETY: as in `child`.
        unsafe { &*child }
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        (0..=255).filter_map(|index| self.child(index))
    }
}

impl<T> Drop for Node<T> {
    fn drop(&mut self) {
        for link in &self.children {
            let child = link.get();
            if !child.is_null() {
                // SAFETY: the node owns its children and is going away.
                drop(unsafe { Box::from_raw(child) });
            }
        }
    }
}

/// A map from 32-bit keys to values that are never removed.
#[derive(Debug)]
pub struct Trie<T> {
    root: Node<Node<Node<Node<T>>>>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Trie {
            root: Node::default(),
        }
    }
}

impl<T> Trie<T> {
    /// The value of a key, in four loads.
    #[inline]
    pub(crate) fn get(&self, key: u32) -> Option<&T> {
        let [a, b, c, d] = key.to_be_bytes();
        self.root.child(a)?.child(b)?.child(c)?.child(d)
    }

    /// The value of a key, made where there is none; of several makers one wins.
    pub(crate) fn get_or(&self, key: u32, make: impl FnOnce() -> T) -> &T {
        let [a, b, c, d] = key.to_be_bytes();
        let node = self
            .root
            .child_or(a, Node::default)
            .child_or(b, Node::default);
        node.child_or(c, Node::default).child_or(d, make)
    }

    /// Every value, by ascending key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.root
            .iter()
            .flat_map(Node::iter)
            .flat_map(Node::iter)
            .flat_map(Node::iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_key_and_lists_them_in_order() {
        let trie = Trie::default();
        let mut keys = [0, 1, 255, 256, 65_535, 65_536, 0x0102_0304, u32::MAX];
        for &key in &keys {
            assert_eq!(trie.get(key), None);
            assert_eq!(*trie.get_or(key, || key), key);
            assert_eq!(*trie.get_or(key, || 42), key, "the first stays");
        }
        keys.sort_unstable();
        assert_eq!(trie.iter().copied().collect::<Vec<_>>(), keys);
    }
}
