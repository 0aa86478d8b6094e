//! A hierarchical timer wheel over slots of a slab.
